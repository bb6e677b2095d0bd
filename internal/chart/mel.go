package chart

import (
	"image"
	"image/color"
	"math"
)

// cividis is the colour map of log-mel pictures: its lightness rises evenly, so
// it reads the same in grey and to people who confuse red and green.
var cividis = []uint32{
	0x00224E, 0x123570, 0x3B496C, 0x575D6D, 0x707173, 0x8A8678, 0xA59C74, 0xC3B369, 0xE1CC55, 0xFEE838,
}

// Cividis returns the colour of a value in [0, 1]; others are clamped.
func Cividis(v float64) color.RGBA {
	if !(v > 0) {
		v = 0
	}
	v = math.Min(v, 1) * float64(len(cividis)-1)
	i := min(int(v), len(cividis)-2)
	f := v - float64(i)
	mix := func(shift uint) uint8 {
		a, b := float64(cividis[i]>>shift&255), float64(cividis[i+1]>>shift&255)
		return uint8(math.Round(a + f*(b-a)))
	}
	return color.RGBA{mix(16), mix(8), mix(0), 255}
}

// Mel draws a log-mel of bands × frames values with the lowest band at the
// bottom, every value a block of scaleX × scaleY pixels. lo and hi are the
// values of the darkest and the brightest colour.
func Mel(mel []float32, bands, frames int, lo, hi float64, scaleX, scaleY int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, frames*scaleX, bands*scaleY))
	for b := 0; b < bands; b++ {
		for t := 0; t < frames; t++ {
			c := Cividis((float64(mel[b*frames+t]) - lo) / (hi - lo))
			y0 := (bands - 1 - b) * scaleY
			for y := y0; y < y0+scaleY; y++ {
				for x := t * scaleX; x < (t+1)*scaleX; x++ {
					img.SetRGBA(x, y, c)
				}
			}
		}
	}
	return img
}

// Strip puts RGB frames of w × h pixels (interleaved, w·h·3 bytes each) side by
// side with a gap between them.
func Strip(frames [][]byte, w, h, gap int) *image.RGBA {
	n := len(frames)
	img := image.NewRGBA(image.Rect(0, 0, max(1, n*w+(n-1)*gap), h))
	for i, f := range frames {
		x0 := i * (w + gap)
		for y := 0; y < h; y++ {
			for x := 0; x < w; x++ {
				p := f[(y*w+x)*3:]
				img.SetRGBA(x0+x, y, color.RGBA{p[0], p[1], p[2], 255})
			}
		}
	}
	return img
}
