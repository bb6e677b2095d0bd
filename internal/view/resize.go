package view

import (
	"encoding/binary"
	"math"
)

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
	width      int  // room for weights per output
	identity   bool // src == dst: one tap each
	flip       bool
}

// plan sets the weights for outputs off … off+count−1 of a resize from src to
// dst pixels, in reverse order with flip.
func (a *axis) plan(src, dst, off, count int, flip bool) {
	scale := float64(src) / float64(dst)
	support := max(scale, 1)
	a.src, a.count, a.width = src, count, int(math.Ceil(support))*2+1
	a.identity, a.flip = src == dst, flip
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
		for hi-lo > 1 && triangle(lo) == 0 {
			lo++
		}
		for hi-lo > 1 && triangle(hi-1) == 0 {
			hi--
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

// across sets dst (count, 3) to the weighted sums of the pixels of one row.
func (a *axis) across(dst, src []byte) {
	if a.identity {
		if a.flip {
			mirror(dst, src[a.first[a.count-1]*3:][:len(dst)])
		} else {
			copy(dst, src[a.first[0]*3:])
		}
		return
	}
	for i, first := range a.first {
		k := a.coeff[i*a.width:][:a.taps[i]]
		q := dst[i*3 : i*3+3 : i*3+3]
		switch len(k) {
		case 2:
			p := src[first*3 : first*3+6 : first*3+6]
			c0, c1 := k[0], k[1]
			q[0] = round8(int32(p[0])*c0 + int32(p[3])*c1)
			q[1] = round8(int32(p[1])*c0 + int32(p[4])*c1)
			q[2] = round8(int32(p[2])*c0 + int32(p[5])*c1)
		case 3:
			p := src[first*3 : first*3+9 : first*3+9]
			c0, c1, c2 := k[0], k[1], k[2]
			q[0] = round8(int32(p[0])*c0 + int32(p[3])*c1 + int32(p[6])*c2)
			q[1] = round8(int32(p[1])*c0 + int32(p[4])*c1 + int32(p[7])*c2)
			q[2] = round8(int32(p[2])*c0 + int32(p[5])*c1 + int32(p[8])*c2)
		default:
			var s0, s1, s2 int32
			p := src[first*3 : (first+len(k))*3]
			for _, c := range k {
				s0 += int32(p[0]) * c
				s1 += int32(p[1]) * c
				s2 += int32(p[2]) * c
				p = p[3:]
			}
			q[0], q[1], q[2] = round8(s0), round8(s1), round8(s2)
		}
	}
}

// mirror sets dst to the pixels of src, one row, from right to left.
func mirror(dst, src []byte) {
	// A pixel is moved with the byte before it, which the next move overwrites.
	i := len(dst) - 3
	for ; i >= 3; i -= 3 {
		v := binary.LittleEndian.Uint32(src[:4])
		binary.LittleEndian.PutUint32(dst[i-1:i+3], v<<8)
		src = src[3:]
	}
	copy(dst[:3], src)
}

// down sets dst to the weighted sum of len(k) rows of len(dst) bytes.
func down(dst, rows []byte, k []int32) {
	n := len(dst)
	switch len(k) {
	case 1:
		copy(dst, rows)
	case 2:
		a, b := rows[:n], rows[n:][:n]
		c0, c1 := k[0], k[1]
		for j := range dst {
			dst[j] = round8(int32(a[j])*c0 + int32(b[j])*c1)
		}
	case 3:
		a, b, c := rows[:n], rows[n:][:n], rows[2*n:][:n]
		c0, c1, c2 := k[0], k[1], k[2]
		for j := range dst {
			dst[j] = round8(int32(a[j])*c0 + int32(b[j])*c1 + int32(c[j])*c2)
		}
	default:
		for j := range dst {
			s := int32(0)
			for t, c := range k {
				s += int32(rows[t*n+j]) * c
			}
			dst[j] = round8(s)
		}
	}
}

// round8 rounds a weighted sum of pixels to the nearest integer. Weights are
// rounded themselves and may add up to a little more than 1; 255 of that is
// still below 255.5, so nothing can leave the range.
func round8(s int32) byte { return byte((s + 1<<(weightBits-1)) >> weightBits) }
