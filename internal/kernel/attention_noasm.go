//go:build !amd64 || noasm

package kernel

func softmaxRows(s []float32, lds, rows, n int, c float32, stat []float32) {
	softmaxRowsGo(s, lds, rows, n, c, stat)
}

func softmaxBackwardRows(s, dp []float32, ld, rows, n int, c float32, lse, delta []float32,
	scale float32) {
	softmaxBackwardRowsGo(s, dp, ld, rows, n, c, lse, delta, scale)
}

func scaleRows(x []float32, ld, rows, n int, f []float32) { scaleRowsGo(x, ld, rows, n, f) }

func rowDots(dot, x []float32, ldx int, y []float32, ldy, rows, n int) {
	rowDotsGo(dot, x, ldx, y, ldy, rows, n)
}
