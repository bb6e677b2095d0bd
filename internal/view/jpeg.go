package view

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"math"
)

// Limits of a stored frame, checked before its pixels are decoded.
const (
	maxFrameSide   = 4096
	maxFramePixels = 1 << 23
)

// frameSize returns width and height of a JPEG from its header.
func frameSize(data []byte) (w, h int, err error) {
	c, err := jpeg.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return 0, 0, fmt.Errorf("header: %w", err)
	}
	if c.Width < 1 || c.Height < 1 || c.Width > maxFrameSide || c.Height > maxFrameSide ||
		c.Width*c.Height > maxFramePixels {
		return 0, 0, fmt.Errorf("%d×%d pixels exceed a side of %d or %d pixels",
			c.Width, c.Height, maxFrameSide, maxFramePixels)
	}
	return c.Width, c.Height, nil
}

// boxPixels returns the part of a w × h frame that box (fractions) names: at
// least one pixel each way.
func boxPixels(box [4]float64, w, h int) image.Rectangle {
	if box == ([4]float64{}) {
		return image.Rect(0, 0, w, h)
	}
	edge := func(lo, hi float64, n int) (int, int) {
		a := min(int(math.Round(lo*float64(n))), n-1)
		return a, max(int(math.Round(hi*float64(n))), a+1)
	}
	x0, x1 := edge(box[0], box[2], w)
	y0, y1 := edge(box[1], box[3], h)
	return image.Rect(x0, y0, x1, y1)
}

// decodeFrame sets dst (r.Dy(), r.Dx(), 3) to the part r of a JPEG whose size
// must be w × h.
func decodeFrame(dst, data []byte, w, h int, r image.Rectangle) error {
	img, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		return err
	}
	if b := img.Bounds(); b != image.Rect(0, 0, w, h) {
		return fmt.Errorf("%v pixels in a clip of %d×%d: all frames must be alike",
			b.Size(), w, h)
	}
	switch img := img.(type) {
	case *image.YCbCr:
		fromYCbCr(dst, img, r)
	case *image.Gray:
		for y := r.Min.Y; y < r.Max.Y; y++ {
			for _, v := range img.Pix[y*img.Stride:][r.Min.X:r.Max.X] {
				dst[0], dst[1], dst[2] = v, v, v
				dst = dst[3:]
			}
		}
	default: // RGB and CMYK are rare
		for y := r.Min.Y; y < r.Max.Y; y++ {
			for x := r.Min.X; x < r.Max.X; x++ {
				cr, cg, cb, _ := img.At(x, y).RGBA()
				dst[0], dst[1], dst[2] = byte(cr>>8), byte(cg>>8), byte(cb>>8)
				dst = dst[3:]
			}
		}
	}
	return nil
}

// fromYCbCr converts the part r of img to RGB, by the JFIF matrix in 16-bit
// fixed point. Chroma is repeated, not interpolated.
func fromYCbCr(dst []byte, img *image.YCbCr, r image.Rectangle) {
	shift := uint(0) // log2 of luma columns per chroma column
	switch img.SubsampleRatio {
	case image.YCbCrSubsampleRatio420, image.YCbCrSubsampleRatio422:
		shift = 1
	case image.YCbCrSubsampleRatio411, image.YCbCrSubsampleRatio410:
		shift = 2
	}
	for y := r.Min.Y; y < r.Max.Y; y++ {
		luma := img.Y[img.YOffset(0, y):]
		at := img.COffset(0, y)
		us, vs := img.Cb[at:], img.Cr[at:]
		row := dst[(y-r.Min.Y)*r.Dx()*3:][:r.Dx()*3]
		for x := r.Min.X; x < r.Max.X; x++ {
			yy := int32(luma[x])<<16 + 1<<15
			u, v := int32(us[x>>shift])-128, int32(vs[x>>shift])-128
			q := row[:3:3]
			q[0] = clampPixel(yy + 91881*v)
			q[1] = clampPixel(yy - 22554*u - 46802*v)
			q[2] = clampPixel(yy + 116130*u)
			row = row[3:]
		}
	}
}

func clampPixel(v int32) byte {
	if uint32(v) < 1<<24 {
		return byte(v >> 16)
	}
	return byte(^(v >> 31)) // 0 below, 255 above
}
