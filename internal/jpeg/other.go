package jpeg

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
)

// maxScans bounds what image/jpeg is given: a progressive picture is gone over
// once per scan, and a scan of nothing takes a few bytes.
const maxScans = 64

// decodeOther is Decode by image/jpeg, which knows progressive files, CMYK and
// other subsampling, at its own speed and in its own memory.
func decodeOther(dst []byte, stride int, data []byte, w, h int, r image.Rectangle) error {
	if n := bytes.Count(data, []byte{0xFF, markerSOS}); n > maxScans {
		return broken("%d scans, more than %d", n, maxScans)
	}
	c, err := jpeg.DecodeConfig(bytes.NewReader(data))
	if err == nil && (c.Width != w || c.Height != h) {
		return sizeError(c.Width, c.Height, w, h)
	}
	var img image.Image
	if err == nil {
		img, err = jpeg.Decode(bytes.NewReader(data))
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if b := img.Bounds(); b != image.Rect(0, 0, w, h) {
		return sizeError(b.Dx(), b.Dy(), w, h)
	}
	for y := r.Min.Y; y < r.Max.Y; y++ {
		row := dst[(y-r.Min.Y)*stride:][:3*r.Dx()]
		switch img := img.(type) {
		case *image.YCbCr:
			fromYCbCr(row, img, y, r)
		case *image.Gray:
			for i, v := range img.Pix[y*img.Stride:][r.Min.X:r.Max.X] {
				row[3*i], row[3*i+1], row[3*i+2] = v, v, v
			}
		default: // RGB and CMYK are rare
			for i := range r.Dx() {
				cr, cg, cb, _ := img.At(r.Min.X+i, y).RGBA()
				row[3*i], row[3*i+1], row[3*i+2] = byte(cr>>8), byte(cg>>8), byte(cb>>8)
			}
		}
	}
	return nil
}

// fromYCbCr converts row y of the part r of img to RGB. Chroma is repeated, not
// interpolated.
func fromYCbCr(row []byte, img *image.YCbCr, y int, r image.Rectangle) {
	shift := uint(0) // log2 of luma columns per chroma column
	switch img.SubsampleRatio {
	case image.YCbCrSubsampleRatio420, image.YCbCrSubsampleRatio422:
		shift = 1
	case image.YCbCrSubsampleRatio411, image.YCbCrSubsampleRatio410:
		shift = 2
	}
	luma, at := img.Y[img.YOffset(0, y):], img.COffset(0, y)
	rgbGo(row, luma, img.Cb[at:], img.Cr[at:], r.Min.X, r.Max.X, shift)
}
