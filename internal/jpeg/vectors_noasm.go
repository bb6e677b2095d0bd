//go:build !amd64 || noasm

package jpeg

func idct(p *pair, quant *[128]int16, a, b []byte, stride int) { idctGo(p, quant, a, b, stride) }

func rgb(dst, luma, cb, cr []byte, n int, shift uint) { rgbGo(dst, luma, cb, cr, 0, n, shift) }

func (r *reader) short(t *huffman, block *pair, places *[256]uint8, k uint) uint {
	return r.shortGo(t, block, places, k)
}
