//go:build amd64 && !noasm

package kernel

import (
	"time"
	"unsafe"
)

// columnMask holds −1 for each column of the widest AVX2 panel, then zeros.
var columnMask = func() (m [32]int32) {
	for i := range 16 {
		m[i] = -1
	}
	return m
}()

// mul runs the micro-kernel of the active instruction set.
func (p *panel) mul() {
	if isa == Portable {
		p.mulGo()
		return
	}
	a, b, c := unsafe.SliceData(p.a), unsafe.SliceData(p.b), unsafe.SliceData(p.c)
	d, bias, next := unsafe.SliceData(p.d), unsafe.SliceData(p.bias), unsafe.SliceData(p.next)
	rs, cs, pa := uintptr(p.rs)*4, uintptr(p.cs)*4, uintptr(p.pa)*4
	ldc, ldd := uintptr(p.ldc)*4, uintptr(p.ldd)*4
	if isa == AVX512 {
		gemmAVX512(p.rows, p.kc, a, rs, cs, pa, b, c, ldc, d, ldd, bias, p.cols, nil, next)
		return
	}
	gemmAVX2(p.rows, p.kc, a, rs, cs, pa, b, c, ldc, d, ldd, bias, p.cols, &columnMask[0], next)
}

// transpose8 sets dst[k·ldd + r] = src[r·lds + k] for r < 8 and k below the
// greatest multiple of 8 up to n, which it returns; 0 without assembly. It
// writes in order of k.
func transpose8(dst []float32, ldd int, src []float32, lds, n int) int {
	if isa == Portable || n < 8 {
		return 0
	}
	packTransposeAVX2(unsafe.SliceData(dst), uintptr(ldd)*4, unsafe.SliceData(src),
		uintptr(lds)*4, n/8)
	return n / 8 * 8
}

// copyRows copies n rows of w floats to dst, where they follow each other.
func copyRows(dst, src []float32, lds, n, w int) {
	d, s, l := unsafe.SliceData(dst), unsafe.SliceData(src), uintptr(lds)*4
	switch {
	case isa >= AVX2 && w == 16:
		packCopy16AVX2(d, s, l, n)
	case isa == AVX512 && w == 32:
		packCopy32AVX512(d, s, l, n)
	default:
		copyRowsGo(dst, src, lds, n, w)
	}
}

// copyTiles copies n columns of mr·tiles floats, lds apart, into tiles:
// dst[(i·n + c)·w + r] = src[c·lds + i·mr + r] for c < n, r < mr, w = packedRows(mr).
func copyTiles(dst []float32, mr int, src []float32, lds, tiles, n int) {
	if tiles == 0 {
		return
	}
	d, s := unsafe.SliceData(dst), unsafe.SliceData(src)
	tile := uintptr(4 * packedRows(mr) * n)
	switch {
	case isa == AVX512 && mr == 14:
		packTilesAVX512(d, tile, s, uintptr(lds)*4, tiles, n)
	case isa == AVX2 && mr == 6:
		packTilesAVX2(d, tile, s, uintptr(lds)*4, tiles, n)
	default:
		copyTilesGo(dst, mr, src, lds, tiles, n)
	}
}

// PeakGFLOPS measures how many billion multiply-adds (counted as two) one
// thread does a second in registers, the bound on any matrix product. It takes
// about 20 ms.
func PeakGFLOPS(i ISA) float64 {
	const rounds, chains = 20000, 12
	lanes, loop := 8, peakAVX2
	switch i {
	case Portable:
		return peakGo()
	case AVX512:
		lanes, loop = 16, peakAVX512
	}
	best := 0.0
	for end := time.Now().Add(20 * time.Millisecond); time.Now().Before(end); {
		start := time.Now()
		loop(rounds)
		rate := float64(2*rounds*chains*lanes) / float64(time.Since(start).Nanoseconds())
		best = max(best, rate)
	}
	return best
}
