//go:build amd64 && !noasm

package kernel

import "unsafe"

func softmaxRows(s []float32, lds, rows, n int, c float32, stat []float32, drop rowMask) {
	x, ld, st := unsafe.SliceData(s), uintptr(lds)*4, unsafe.SliceData(stat)
	words := unsafe.SliceData(drop.words)
	switch {
	case isa == Portable:
		softmaxRowsGo(s, lds, rows, n, c, stat, drop)
	case isa == AVX512 && words == nil:
		softmaxAVX512(x, ld, rows, n, c, st)
	case isa == AVX512:
		softmaxDropoutAVX512(x, ld, rows, n, c, st, words, drop.threshold)
	case words == nil:
		softmaxAVX2(x, ld, rows, n, c, st)
	default:
		softmaxDropoutAVX2(x, ld, rows, n, c, st, words, drop.threshold)
	}
}

func softmaxBackwardRows(s, dp []float32, ld, rows, n int, c float32, m, delta []float32,
	scale float32, drop rowMask) {
	x, dx, lds := unsafe.SliceData(s), unsafe.SliceData(dp), uintptr(ld)*4
	pm, pd, words := unsafe.SliceData(m), unsafe.SliceData(delta), unsafe.SliceData(drop.words)
	switch {
	case isa == Portable:
		softmaxBackwardRowsGo(s, dp, ld, rows, n, c, m, delta, scale, drop)
	case isa == AVX512 && words == nil:
		softmaxBackwardAVX512(x, dx, lds, rows, n, c, pm, pd, scale)
	case isa == AVX512:
		softmaxBackwardDropoutAVX512(x, dx, lds, rows, n, c, pm, pd, scale, words, drop.threshold)
	case words == nil:
		softmaxBackwardAVX2(x, dx, lds, rows, n, c, pm, pd, scale)
	default:
		softmaxBackwardDropoutAVX2(x, dx, lds, rows, n, c, pm, pd, scale, words, drop.threshold)
	}
}

func scaleRows(x []float32, ld, rows, n int, f []float32) {
	if isa == Portable || n%8 != 0 {
		scaleRowsGo(x, ld, rows, n, f)
		return
	}
	scaleRowsAVX2(unsafe.SliceData(x), uintptr(ld)*4, rows, n, unsafe.SliceData(f))
}

func rowDots(dot, x []float32, ldx int, y []float32, ldy, rows, n int) {
	if isa == Portable || n%8 != 0 {
		rowDotsGo(dot, x, ldx, y, ldy, rows, n)
		return
	}
	rowDotsAVX2(unsafe.SliceData(dot), unsafe.SliceData(x), uintptr(ldx)*4, unsafe.SliceData(y),
		uintptr(ldy)*4, rows, n)
}
