//go:build !amd64 || noasm

package kernel

func softmaxRows(s []float32, lds, rows, n int, c float32, stat []float32, drop rowMask) {
	softmaxRowsGo(s, lds, rows, n, c, stat, drop)
}

func softmaxBackwardRows(s, dp []float32, ld, rows, n int, c float32, m, delta []float32,
	scale float32, drop rowMask) {
	softmaxBackwardRowsGo(s, dp, ld, rows, n, c, m, delta, scale, drop)
}

func scaleRows(x []float32, ld, rows, n int, f []float32) { scaleRowsGo(x, ld, rows, n, f) }

func rowDots(dot, x []float32, ldx int, y []float32, ldy, rows, n int) {
	rowDotsGo(dot, x, ldx, y, ldy, rows, n)
}
