package neardup

import (
	"math"
	"math/bits"
)

// transform is the Fourier transform of two windows at once, one as the real and one as
// the imaginary part. gonum's takes three times as long, and would be most of what a
// signature costs.
type transform struct {
	re, im   [windowSize]float64
	cos, sin [windowSize / 2]float64
	place    [windowSize]uint16 // bit-reversed
}

func newTransform() *transform {
	t := new(transform)
	for i := range t.cos {
		a := 2 * math.Pi * float64(i) / windowSize
		t.cos[i], t.sin[i] = math.Cos(a), -math.Sin(a)
	}
	for i := range t.place {
		t.place[i] = bits.Reverse16(uint16(i)) >> (16 - bits.Len(windowSize-1))
	}
	return t
}

// load sets sample i of both windows.
func (t *transform) load(i int, a, b float64) {
	at := t.place[i]
	t.re[at], t.im[at] = a, b
}

// run transforms what was loaded.
func (t *transform) run() {
	for half := 1; half < windowSize; half *= 2 {
		step := windowSize / 2 / half
		for base := 0; base < windowSize; base += 2 * half {
			lr, li := t.re[base:base+half], t.im[base:base+half]
			hr, hi := t.re[base+half:][:len(lr)], t.im[base+half:][:len(lr)]
			li = li[:len(lr)]
			for k := range lr {
				c, s := t.cos[k*step], t.sin[k*step]
				xr, xi := hr[k]*c-hi[k]*s, hr[k]*s+hi[k]*c
				hr[k], hi[k] = lr[k]-xr, li[k]-xi
				lr[k], li[k] = lr[k]+xr, li[k]+xi
			}
		}
	}
}

// power returns the squared magnitudes of bin k in [0, windowSize/2] of both windows.
func (t *transform) power(k int) (a, b float64) {
	o := (windowSize - k) % windowSize
	ar, ai := t.re[k]+t.re[o], t.im[k]-t.im[o]
	br, bi := t.im[k]+t.im[o], t.re[o]-t.re[k]
	return (ar*ar + ai*ai) / 4, (br*br + bi*bi) / 4
}
