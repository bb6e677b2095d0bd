package jpeg

// rgbGo sets dst (to − from, 3) to the colours of pixels from … to−1 of a row by
// the JFIF matrix in 16-bit fixed point. Pixel x has chroma sample x>>shift.
func rgbGo(dst, luma, cb, cr []byte, from, to int, shift uint) {
	dst = dst[:3*(to-from)]
	for x, v := range luma[from:to] {
		y := int32(v)<<16 + 1<<15
		c := (from + x) >> shift
		u, v := int32(cb[c])-128, int32(cr[c])-128
		q := dst[:3:3]
		q[0] = clampPixel(y + 91881*v)
		q[1] = clampPixel(y - 22554*u - 46802*v)
		q[2] = clampPixel(y + 116130*u)
		dst = dst[3:]
	}
}

func clampPixel(v int32) byte {
	if uint32(v) < 1<<24 {
		return byte(v >> 16)
	}
	return byte(^(v >> 31)) // 0 below, 255 above
}
