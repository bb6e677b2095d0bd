package chart

import (
	"image"
	"image/color"
	"math"
	"testing"
)

func TestFieldInterpolates(t *testing.T) {
	f := Field{Rows: 2, Cols: 3, V: []float32{0, 1, 2, 4, 5, 6}}
	for _, c := range []struct{ x, y, want float64 }{
		{1. / 6, .25, 0}, {.5, .25, 1}, {.5, .75, 5}, {.5, .5, 3}, {2. / 3, .25, 1.5},
		{0, 0, 0}, {1, 1, 6}, {-3, 9, 4}, // beyond the middles it stays
	} {
		if got := f.At(c.x, c.y); !(math.Abs(got-c.want) <= 1e-9) {
			t.Errorf("at %g, %g: %g, want %g", c.x, c.y, got, c.want)
		}
	}
}

func TestExposureFindsTheHeavierHalf(t *testing.T) {
	f := []Field{{Rows: 1, Cols: 3, V: []float32{.05, .4, .05}},
		{Rows: 1, Cols: 2, V: []float32{.3, .2}}}
	if e := ExposureOf(f); e.Half != float64(float32(.3)) {
		t.Errorf("the heavier half begins at %g, want 0.3", e.Half)
	}
	even := Field{Rows: 1, Cols: 100}
	for i := range 100 {
		even.V = append(even.V, 1+float32(i%7)/1000)
	}
	if e := ExposureOf([]Field{even}); !math.IsInf(e.Half, 1) {
		t.Errorf("weight spread evenly has a contour at %g", e.Half)
	}
	if e := ExposureOf([]Field{{Rows: 1, Cols: 2, V: []float32{0, 0}}}); !(e.Full > 0) {
		t.Errorf("a map without weight is lit by %g", e.Full)
	}
}

// TestSpotlightDims looks at pixels with full weight, none, and on the contour.
func TestSpotlightDims(t *testing.T) {
	img := image.NewRGBA(image.Rect(0, 0, 80, 40))
	for i := range img.Pix {
		img.Pix[i] = 200
	}
	f := Field{Rows: 1, Cols: 2, V: []float32{1, 0}}
	Spotlight(img, img.Bounds(), f, Exposure{Full: 1, Half: .5})
	if got := img.RGBAAt(3, 20).R; got != 200 {
		t.Errorf("full weight leaves %d of 200", got)
	}
	if got := img.RGBAAt(77, 20).R; got != 50 {
		t.Errorf("no weight leaves %d of 200, want a quarter", got)
	}
	white, dark := 0, 0
	for x := 30; x < 50; x++ {
		switch img.RGBAAt(x, 20) {
		case color.RGBA{255, 255, 255, 255}:
			white++
		case color.RGBA{0, 0, 0, 255}:
			dark++
		}
	}
	if white == 0 || dark < 2 || white+dark > 12 {
		t.Errorf("the contour has %d white and %d dark pixels across", white, dark)
	}
}
