package chart

import (
	"image"
	"image/color"
	"math"
	"slices"
)

// Field is a map of weights over a rectangle, row 0 at the top. Between the middles of
// cells it is interpolated, beyond the outermost ones it stays.
type Field struct {
	Rows, Cols int
	V          []float32 // (Rows, Cols)
}

// At returns the weight at (x, y) of the unit square.
func (f Field) At(x, y float64) float64 {
	r0, r1, fr := between(y, f.Rows)
	c0, c1, fc := between(x, f.Cols)
	v := func(r, c int) float64 { return float64(f.V[r*f.Cols+c]) }
	return (1-fr)*((1-fc)*v(r0, c0)+fc*v(r0, c1)) + fr*((1-fc)*v(r1, c0)+fc*v(r1, c1))
}

// between returns the cells of n on both sides of x in [0, 1], and how far it is from
// the first to the second.
func between(x float64, n int) (lo, hi int, f float64) {
	at := math.Max(0, math.Min(x*float64(n)-.5, float64(n-1)))
	lo = min(int(at), n-1)
	return lo, min(lo+1, n-1), at - float64(lo)
}

// Exposure says how weights become brightness, the same for all fields that are compared.
type Exposure struct {
	Full float64 // weight that is shown undimmed; more is too
	Half float64 // contour: where as much or more is lies half of all; infinite for none
}

// Dimmest is the brightness of what has no weight.
const Dimmest = .25

// ExposureOf returns the Exposure of fields: undimmed is what but a fiftieth of the cells
// have, so that a single heavy one does not leave the others in the dark. Where the half
// takes nearly half of the cells there is no contour: it would divide noise.
func ExposureOf(fields []Field) Exposure {
	var all []float64
	sum := 0.0
	for _, f := range fields {
		for _, v := range f.V {
			all = append(all, float64(v))
			sum += float64(v)
		}
	}
	if len(all) == 0 {
		return Exposure{Full: 1, Half: 1}
	}
	slices.Sort(all)
	l := Exposure{Full: all[(len(all)-1)*49/50]}
	for i, rest := len(all)-1, sum/2; i >= 0; i-- {
		l.Half = all[i]
		if rest -= all[i]; rest <= 0 {
			if float64(len(all)-i) > nearlyEven*float64(len(all)) {
				l.Half = math.Inf(1)
			}
			break
		}
	}
	if !(l.Full > 0) {
		l.Full = 1
	}
	return l
}

// nearlyEven is the share of cells from which on half of the weight is no finding.
const nearlyEven = .47

// Spotlight dims the part box of img to what the field leaves of it, and draws the
// contour around the heavier half: white between dark lines, so it needs no colour.
func Spotlight(img *image.RGBA, box image.Rectangle, f Field, l Exposure) {
	w, h := box.Dx(), box.Dy()
	inside := make([]bool, w*h)
	for y := range h {
		for x := range w {
			v := f.At((float64(x)+.5)/float64(w), (float64(y)+.5)/float64(h))
			inside[y*w+x] = v >= l.Half
			dim(img, box.Min.X+x, box.Min.Y+y, Dimmest+(1-Dimmest)*math.Min(1, v/l.Full))
		}
	}
	outline(img, box, inside)
}

// dim multiplies a pixel by b.
func dim(img *image.RGBA, x, y int, b float64) {
	p := img.Pix[img.PixOffset(x, y):]
	for c := range 3 {
		p[c] = uint8(float64(p[c])*b + .5)
	}
}

// outline draws the edge of a set of pixels of a box: a white line, dark on both sides.
func outline(img *image.RGBA, box image.Rectangle, inside []bool) {
	w, h := box.Dx(), box.Dy()
	// stamp paints the pixels about (x, y) that are in the set, or are not.
	stamp := func(x, y, reach int, in bool, c color.RGBA) {
		for b := max(0, y-reach); b <= min(h-1, y+reach); b++ {
			for a := max(0, x-reach); a <= min(w-1, x+reach); a++ {
				if inside[b*w+a] == in {
					img.SetRGBA(box.Min.X+a, box.Min.Y+b, c)
				}
			}
		}
	}
	dark, white := color.RGBA{0, 0, 0, 255}, color.RGBA{255, 255, 255, 255}
	for _, layer := range []struct {
		reach int
		in    bool
		c     color.RGBA
	}{{2, false, dark}, {3, true, dark}, {1, true, white}} {
		for y := range h {
			for x := range w {
				i := y*w + x
				if x+1 < w && inside[i] != inside[i+1] || y+1 < h && inside[i] != inside[i+w] {
					stamp(x, y, layer.reach, layer.in, layer.c)
				}
			}
		}
	}
}
