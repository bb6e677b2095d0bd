//go:build amd64 && !noasm

package jpeg

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// vectors says whether the assembly is used; tests turn it off.
var vectors = cpu.X86.HasAVX2 && cpu.X86.HasBMI2

// The layout of bits that the assembly knows.
var (
	_ [0]struct{}  = [unsafe.Offsetof(bits{}.acc)]struct{}{}
	_ [8]struct{}  = [unsafe.Offsetof(bits{}.n)]struct{}{}
	_ [16]struct{} = [unsafe.Offsetof(bits{}.at)]struct{}{}
)

// short is shortGo.
func (r *reader) short(t *huffman, block *pair, places *[256]uint8, k uint) uint {
	// 63 symbols of 10 bits, 8 bytes read at once.
	if !vectors || len(r.buf)-r.at < 63*lookBits/8+16 {
		return r.shortGo(t, block, places, k)
	}
	return shortBMI2(&r.acc, &r.buf[0], &t.look[0], &block[0], &places[0], k)
}

// idct is idctGo.
func idct(p *pair, quant *[128]int16, a, b []byte, stride int) {
	if !vectors {
		idctGo(p, quant, a, b, stride)
		return
	}
	_, _ = a[7*stride+7], b[7*stride+7]
	idctAVX2(&p[0], &quant[0], unsafe.SliceData(a), unsafe.SliceData(b), stride)
}

// rgb is rgbGo from pixel 0 to n, for shift 0 or 1. It may read and write what
// belongs to the next 31 pixels.
func rgb(dst, luma, cb, cr []byte, n int, shift uint) {
	if !vectors {
		rgbGo(dst, luma, cb, cr, 0, n, shift)
		return
	}
	n = (n + 31) &^ 31
	_, _, _, _ = dst[3*n-1], luma[n-1], cb[n>>shift-1], cr[n>>shift-1]
	f := rgbAVX2
	if shift == 1 {
		f = rgbHalfAVX2
	}
	f(unsafe.SliceData(dst), unsafe.SliceData(luma), unsafe.SliceData(cb), unsafe.SliceData(cr), n)
}
