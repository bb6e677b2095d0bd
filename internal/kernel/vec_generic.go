//go:build !amd64 || noasm

package kernel

const noAssembly = "kernel: assembly called on a machine without it"

func expAVX2(y, x *float32, n int)                               { panic(noAssembly) }
func axpyAVX2(y, x *float32, n int, a float32)                   { panic(noAssembly) }
func scaleAVX2(x *float32, n int, a float32)                     { panic(noAssembly) }
func add3AVX2(y, x, a, b *float32, n int)                        { panic(noAssembly) }
func geluAVX2(y, x *float32, n int)                              { panic(noAssembly) }
func dgeluAVX2(dx, dy, x *float32, n int)                        { panic(noAssembly) }
func geluBackAVX2(dx, dy, x, y *float32, n int)                  { panic(noAssembly) }
func geluAVX512(y, x *float32, n int)                            { panic(noAssembly) }
func geluBackAVX512(dx, dy, x, y *float32, n int)                { panic(noAssembly) }
func dgeluAVX512(dx, dy, x *float32, n int)                      { panic(noAssembly) }
func columnSumAVX2(sum, x *float32, n, rows, ld int)             { panic(noAssembly) }
func columnSumAVX512(sum, x *float32, n, rows, ld int)           { panic(noAssembly) }
func columnSquaresAVX2(sum, x, mean *float32, n, rows, ld int)   { panic(noAssembly) }
func columnSquaresAVX512(sum, x, mean *float32, n, rows, ld int) { panic(noAssembly) }
func normColumnsAVX2(y, x, mean, a, b *float32, n int)           { panic(noAssembly) }
func normColumnsAVX512(y, x, mean, a, b *float32, n int)         { panic(noAssembly) }
func normColumnsBackwardAVX2(dx, dy, x, mean, a, m, s *float32, n int) {
	panic(noAssembly)
}
func normColumnsBackwardAVX512(dx, dy, x, mean, a, m, s *float32, n int) {
	panic(noAssembly)
}
func columnProductsAVX2(dot, dy, x, mean *float32, n, rows, ld int)   { panic(noAssembly) }
func columnProductsAVX512(dot, dy, x, mean *float32, n, rows, ld int) { panic(noAssembly) }
func sumSquaresAVX2(x *float32, n int) float64                        { panic(noAssembly) }
func adamwAVX2(p, g, m, v *float32, n int, step *float32)             { panic(noAssembly) }
func pixelsAVX2(y *float32, x *byte, n, plane int, a, b *float32)     { panic(noAssembly) }
func dropoutAVX2(y, x *float32, n int, k0, k1, threshold uint32, scale float32) {
	panic(noAssembly)
}
func dropoutAVX512(y, x *float32, n int, k0, k1, threshold uint32, scale float32) {
	panic(noAssembly)
}
func layerNormAVX2(y, x, gain, bias *float32, n int, inv, eps float32, stat *float32) {
	panic(noAssembly)
}
func layerNormAVX512(y, x, gain, bias *float32, n int, inv, eps float32, stat *float32) {
	panic(noAssembly)
}
func layerNormBackwardAVX2(dx, dgain, dbias, dy, x, gain *float32, n int,
	inv, mean, rstd float32, add int) {
	panic(noAssembly)
}
func layerNormBackwardAVX512(dx, dgain, dbias, dy, x, gain *float32, n int,
	inv, mean, rstd float32, add int) {
	panic(noAssembly)
}
func ecfForwardAVX2(sums, x *float32, rows, ld, angles, odd int,
	consts, largest *float32) {
	panic(noAssembly)
}
func ecfBackwardAVX2(dx, x, coef *float32, rows, ld, angles, odd int,
	consts, largest *float32) {
	panic(noAssembly)
}
func ecfForwardAVX512(sums, x *float32, rows, ld, angles, odd int,
	consts, largest *float32) {
	panic(noAssembly)
}
func ecfBackwardAVX512(dx, x, coef *float32, rows, ld, angles, odd int,
	consts, largest *float32) {
	panic(noAssembly)
}
