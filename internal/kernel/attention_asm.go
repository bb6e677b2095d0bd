//go:build amd64 && !noasm

package kernel

import "unsafe"

func softmaxRows(s []float32, lds, rows, n int, c float32, stat []float32) {
	switch isa {
	case AVX512:
		softmaxAVX512(unsafe.SliceData(s), uintptr(lds)*4, rows, n, c, unsafe.SliceData(stat))
	case AVX2:
		softmaxAVX2(unsafe.SliceData(s), uintptr(lds)*4, rows, n, c, unsafe.SliceData(stat))
	default:
		softmaxRowsGo(s, lds, rows, n, c, stat)
	}
}

func softmaxBackwardRows(s, dp []float32, ld, rows, n int, c float32, lse, delta []float32,
	scale float32) {
	switch isa {
	case AVX512:
		softmaxBackwardAVX512(unsafe.SliceData(s), unsafe.SliceData(dp), uintptr(ld)*4, rows, n,
			c, unsafe.SliceData(lse), unsafe.SliceData(delta), scale)
	case AVX2:
		softmaxBackwardAVX2(unsafe.SliceData(s), unsafe.SliceData(dp), uintptr(ld)*4, rows, n,
			c, unsafe.SliceData(lse), unsafe.SliceData(delta), scale)
	default:
		softmaxBackwardRowsGo(s, dp, ld, rows, n, c, lse, delta, scale)
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
