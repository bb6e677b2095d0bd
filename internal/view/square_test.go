package view

import (
	"math"
	"testing"
)

// TestEvalSquareIsWhatResizeReads compares with the pixels that the resize of a view
// reads, which reach over the square by less than the filter's width.
func TestEvalSquareIsWhatResizeReads(t *testing.T) {
	for _, c := range []struct{ w, h, resize, side int }{
		{320, 240, 256, 224}, {240, 320, 256, 224}, {64, 64, 32, 32}, {640, 360, 48, 32}} {
		cfg := Default()
		cfg.Resize, cfg.Side = c.resize, c.side
		var r resampler
		r.fit(c.w, c.h, c.resize, c.side, false)
		got, read := cfg.EvalSquare(c.w, c.h), r.source()
		slack := 2 + 2*float64(min(c.w, c.h))/float64(c.resize)
		for i, want := range []int{read.Min.X, read.Min.Y, read.Max.X, read.Max.Y} {
			at := got[i] * float64([]int{c.w, c.h}[i%2])
			if !(math.Abs(at-float64(want)) <= slack) {
				t.Errorf("%+v: edge %d at %g, the resize reads from %d", c, i, at, want)
			}
		}
	}
	cfg := Default()
	cfg.EvalSquash, cfg.Box = true, [4]float64{.25, 0, .75, 1}
	if got := cfg.EvalSquare(100, 50); got != [4]float64{.25, 0, .75, 1} {
		t.Errorf("squashed box %v", got)
	}
}
