package view

import "math"

// Weights of the resize are fixed-point numbers with this many bits after the
// point: 8 bits of pixel, 22 of weight and the carry fit an int32.
const weightBits = 22

// axis holds the weights of one direction of a resize: output i is the sum of
// taps[i] source pixels from first[i] on, with weights coeff[i·width:].
//
// Source: Pillow's antialiased bilinear filter, a triangle whose half width is
// the scale, but at least 1.
type axis struct {
	src, count int
	first      []int
	taps       []int
	coeff      []int32
	width      int // room for weights per output
	identity   bool
}

// plan sets the weights for outputs off … off+count−1 of a resize from src to
// dst pixels, in reverse order with flip.
func (a *axis) plan(src, dst, off, count int, flip bool) {
	scale := float64(src) / float64(dst)
	support := max(scale, 1)
	a.src, a.count, a.width = src, count, int(math.Ceil(support))*2+1
	a.identity = src == dst
	a.first = grow(a.first, count)
	a.taps = grow(a.taps, count)
	a.coeff = grow(a.coeff, count*a.width)
	for i := range count {
		center := (float64(off+i) + .5) * scale
		lo := max(int(center-support+.5), 0)
		hi := min(int(center+support+.5), src)
		triangle := func(x int) float64 {
			return max(0, 1-math.Abs((float64(x)+.5-center)/support))
		}
		sum := 0.
		for x := lo; x < hi; x++ {
			sum += triangle(x)
		}
		at := i
		if flip {
			at = count - 1 - i
		}
		for x := lo; x < hi; x++ {
			a.coeff[at*a.width+x-lo] = int32(math.Round(triangle(x) / sum * (1 << weightBits)))
		}
		a.first[at], a.taps[at] = lo, hi-lo
	}
}

// span returns the source pixels that any output needs.
func (a *axis) span() (lo, hi int) {
	lo = a.src
	for i, f := range a.first {
		lo, hi = min(lo, f), max(hi, f+a.taps[i])
	}
	return lo, hi
}

// grow returns a slice of n elements, s itself when it is large enough.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// resampler resizes a part of RGB frames. Its plan serves any number of
// frames; it is used by one goroutine at a time.
type resampler struct {
	x, y axis
	tmp  []byte // rows after the horizontal pass
}

// fit plans the rule of global and evaluation views: a frame of w × h is
// resized to a short side of size pixels, the long one int(size·long/short),
// and its centre side × side cut out.
func (r *resampler) fit(w, h, size, side int, flip bool) {
	rw, rh := size, size
	if w > h {
		rw = size * w / h
	} else {
		rh = size * h / w
	}
	centre := func(n int) int { return int(math.RoundToEven(float64(n-side) / 2)) }
	r.x.plan(w, rw, centre(rw), side, flip)
	r.y.plan(h, rh, centre(rh), side, false)
}

// stretch plans a resize of a whole w × h part to dw × dh.
func (r *resampler) stretch(w, h, dw, dh int, flip bool) {
	r.x.plan(w, dw, 0, dw, flip)
	r.y.plan(h, dh, 0, dh, false)
}

// run sets dst (y.count, x.count, 3) to the planned resize of the part of src
// that starts at byte off and has rows stride bytes apart.
func (r *resampler) run(dst, src []byte, off, stride int) {
	lo, hi := r.y.span()
	row := r.x.count * 3
	r.tmp = grow(r.tmp, (hi-lo)*row)
	for y := lo; y < hi; y++ {
		line := src[off+y*stride:]
		r.x.across(r.tmp[(y-lo)*row:][:row], line[:r.x.src*3])
	}
	for i := range r.y.count {
		first := r.y.first[i] - lo
		rows := r.tmp[first*row : (first+r.y.taps[i])*row]
		down(dst[i*row:][:row], rows, r.y.coeff[i*r.y.width:][:r.y.taps[i]])
	}
}

const half = 1 << (weightBits - 1)

// across sets dst (count, 3) to the weighted sums of the pixels of one row.
func (a *axis) across(dst, src []byte) {
	for i, first := range a.first {
		var s0, s1, s2 int32 = half, half, half
		p := src[first*3:]
		for t, c := range a.coeff[i*a.width:][:a.taps[i]] {
			q := p[t*3 : t*3+3 : t*3+3]
			s0 += int32(q[0]) * c
			s1 += int32(q[1]) * c
			s2 += int32(q[2]) * c
		}
		q := dst[i*3 : i*3+3 : i*3+3]
		q[0], q[1], q[2] = clamp8(s0), clamp8(s1), clamp8(s2)
	}
}

// down sets dst to the weighted sum of len(coeff) rows of len(dst) bytes.
func down(dst, rows []byte, coeff []int32) {
	n := len(dst)
	switch len(coeff) {
	case 1:
		copy(dst, rows)
	case 2:
		a, b := rows[:n], rows[n:][:n]
		c0, c1 := coeff[0], coeff[1]
		for j := range dst {
			dst[j] = clamp8(half + int32(a[j])*c0 + int32(b[j])*c1)
		}
	case 3:
		a, b, c := rows[:n], rows[n:][:n], rows[2*n:][:n]
		c0, c1, c2 := coeff[0], coeff[1], coeff[2]
		for j := range dst {
			dst[j] = clamp8(half + int32(a[j])*c0 + int32(b[j])*c1 + int32(c[j])*c2)
		}
	default:
		for j := range dst {
			s := int32(half)
			for t, c := range coeff {
				s += int32(rows[t*n+j]) * c
			}
			dst[j] = clamp8(s)
		}
	}
}

// clamp8 rounds a fixed-point sum, half already added. Weights are not
// negative, so only an overshoot by their own rounding can leave the range.
func clamp8(s int32) byte { return byte(min(s>>weightBits, 255)) }
