package jpeg

import (
	"image"
	"math"
	"testing"
)

// TestPixels holds the conversion from JPEG to the JFIF formula, for every
// subsampling and a part of the frame.
func TestPixels(t *testing.T) {
	rect := image.Rect(3, 2, 29, 19)
	for _, ratio := range []image.YCbCrSubsampleRatio{image.YCbCrSubsampleRatio444,
		image.YCbCrSubsampleRatio422, image.YCbCrSubsampleRatio420,
		image.YCbCrSubsampleRatio440, image.YCbCrSubsampleRatio411,
		image.YCbCrSubsampleRatio410} {
		img := image.NewYCbCr(image.Rect(0, 0, 32, 20), ratio)
		state := uint32(1)
		for _, plane := range [][]byte{img.Y, img.Cb, img.Cr} {
			for i := range plane {
				state = state*1664525 + 1013904223
				plane[i] = byte(state >> 24)
			}
		}
		got := make([]byte, 3*rect.Dx()*rect.Dy())
		for y := rect.Min.Y; y < rect.Max.Y; y++ {
			fromYCbCr(got[3*rect.Dx()*(y-rect.Min.Y):], img, y, rect)
		}
		for i := range got {
			p := i / 3
			v := img.YCbCrAt(3+p%rect.Dx(), 2+p/rect.Dx())
			luma, u, w := float64(v.Y), float64(v.Cb)-128, float64(v.Cr)-128
			want := []float64{luma + 1.402*w, luma - .344136*u - .714136*w, luma + 1.772*u}[i%3]
			want = min(max(want, 0), 255)
			if diff := math.Abs(float64(got[i]) - want); !(diff <= .501) {
				t.Fatalf("%v: byte %d is %d, want %v", ratio, i, got[i], want)
			}
		}
	}
}
