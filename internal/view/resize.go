package view

import (
	"encoding/binary"
	"image"
	"math"
)

// Weights of the resize are fixed-point numbers with this many bits after the
// point, so that an int16 holds a weight of 1, and a machine that multiplies
// pairs of int16 can add up two pixels at once. Weights of an output add up to
// exactly 1: flat pictures stay what they are, and no sum leaves a byte.
const weightBits = 14

// axis holds the weights of one direction of a resize: output i is the sum of
// taps[i] source pixels from first[i] on, with weights coeff[i·width:], which
// are 0 from taps[i] on.
//
// Source: Pillow's antialiased bilinear filter, a triangle whose half width is
// the scale, but at least 1.
type axis struct {
	src, count int
	first      []int
	taps       []int
	coeff      []int16
	width      int  // room for weights per output; even
	identity   bool // src == dst: one tap each
	flip       bool
	table      crossTable
	weights    []float64 // of one output, before they are rounded
}

// reset readies the axis for count outputs from src pixels, each the sum of at
// most taps.
func (a *axis) reset(src, count, taps int) {
	a.src, a.count, a.width = src, count, (taps+1)/2*2
	a.identity, a.flip = false, false
	a.first, a.taps = grow(a.first, count), grow(a.taps, count)
	a.coeff = grow(a.coeff, count*a.width)
	clear(a.coeff)
	a.weights = grow(a.weights, a.width)
	a.table.ready = false
}

// set makes output i the sum of the pixels lo … hi−1 with weights in
// proportion to weight, none negative. Rounded, they still add up to 1: the
// largest takes the difference.
func (a *axis) set(i, lo, hi int, weight func(x int) float64) {
	w, sum := a.weights[:hi-lo], 0.
	for j := range w {
		w[j] = weight(lo + j)
		sum += w[j]
	}
	k, left, largest := a.coeff[i*a.width:], int16(1<<weightBits), 0
	for j, v := range w {
		k[j] = int16(math.Round(v / sum * (1 << weightBits)))
		left -= k[j]
		if k[j] > k[largest] {
			largest = j
		}
	}
	k[largest] += left
	a.first[i], a.taps[i] = lo, hi-lo
}

// plan sets the weights for outputs off … off+count−1 of a resize from src to
// dst pixels, in reverse order with flip.
func (a *axis) plan(src, dst, off, count int, flip bool) {
	scale := float64(src) / float64(dst)
	support := max(scale, 1)
	a.reset(src, count, int(math.Ceil(support))*2+1)
	a.identity, a.flip = src == dst, flip
	for i := range count {
		center := float64((float64(off+i) + .5) * scale) // on no machine fused with what follows
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
		at := i
		if flip {
			at = count - 1 - i
		}
		a.set(at, lo, hi, triangle)
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

// source returns the part of a frame that the plan reads.
func (r *resampler) source() image.Rectangle {
	x0, x1 := r.x.span()
	y0, y1 := r.y.span()
	return image.Rect(x0, y0, x1, y1)
}

// run sets dst (y.count, x.count, 3) to the planned resize of the part of src
// that starts at byte off and has rows stride bytes apart.
func (r *resampler) run(dst, src []byte, off, stride int) {
	lo, hi := r.y.span()
	row := r.x.count * 3
	if r.x.identity && r.y.identity {
		for i, y := range r.y.first {
			r.x.across(dst[i*row:][:row], src[off+y*stride:])
		}
		return
	}
	// Vectors take rows by twos and write pixels by eight.
	r.tmp = grow(r.tmp, (hi-lo+1)*row+crossSlack)
	for y := lo; y < hi; y++ {
		r.x.across(r.tmp[(y-lo)*row:], src[off+y*stride:])
	}
	for i := range r.y.count {
		first := r.y.first[i] - lo
		down(dst[i*row:][:row], r.tmp[first*row:], r.y.coeff[i*r.y.width:], r.y.taps[i])
	}
}

// across sets dst (count, 3) to the weighted sums of the pixels of one row, src.
// It may change crossSlack bytes behind dst.
func (a *axis) across(dst, src []byte) {
	switch {
	case a.identity && a.flip:
		mirror(dst[:3*a.count], src[a.first[a.count-1]*3:])
	case a.identity:
		copy(dst[:3*a.count], src[a.first[0]*3:])
	case !a.acrossVectors(dst, src):
		a.acrossGo(dst, src)
	}
}

func (a *axis) acrossGo(dst, src []byte) {
	for i, first := range a.first {
		k := a.coeff[i*a.width:][:a.taps[i]]
		q := dst[i*3 : i*3+3 : i*3+3]
		switch len(k) {
		case 2:
			p := src[first*3 : first*3+6 : first*3+6]
			c0, c1 := int32(k[0]), int32(k[1])
			q[0] = round8(int32(p[0])*c0 + int32(p[3])*c1)
			q[1] = round8(int32(p[1])*c0 + int32(p[4])*c1)
			q[2] = round8(int32(p[2])*c0 + int32(p[5])*c1)
		case 3:
			p := src[first*3 : first*3+9 : first*3+9]
			c0, c1, c2 := int32(k[0]), int32(k[1]), int32(k[2])
			q[0] = round8(int32(p[0])*c0 + int32(p[3])*c1 + int32(p[6])*c2)
			q[1] = round8(int32(p[1])*c0 + int32(p[4])*c1 + int32(p[7])*c2)
			q[2] = round8(int32(p[2])*c0 + int32(p[5])*c1 + int32(p[8])*c2)
		default:
			var s0, s1, s2 int32
			p := src[first*3 : (first+len(k))*3]
			for _, c := range k {
				s0 += int32(p[0]) * int32(c)
				s1 += int32(p[1]) * int32(c)
				s2 += int32(p[2]) * int32(c)
				p = p[3:]
			}
			q[0], q[1], q[2] = round8(s0), round8(s1), round8(s2)
		}
	}
}

// mirrorGo sets dst to the pixels of src, one row, from right to left.
func mirrorGo(dst, src []byte) {
	// A pixel is moved with the byte before it, which the next move overwrites.
	i := len(dst) - 3
	for ; i >= 3; i -= 3 {
		v := binary.LittleEndian.Uint32(src[:4])
		binary.LittleEndian.PutUint32(dst[i-1:i+3], v<<8)
		src = src[3:]
	}
	copy(dst[:3], src)
}

// downGo sets dst to the weighted sum of rows of len(dst) bytes. Columns from
// from on are set.
func downGo(dst, rows []byte, k []int16, from int) {
	n := len(dst)
	switch len(k) {
	case 2:
		a, b := rows[:n], rows[n:][:n]
		c0, c1 := int32(k[0]), int32(k[1])
		for j := from; j < n; j++ {
			dst[j] = round8(int32(a[j])*c0 + int32(b[j])*c1)
		}
	case 3:
		a, b, c := rows[:n], rows[n:][:n], rows[2*n:][:n]
		c0, c1, c2 := int32(k[0]), int32(k[1]), int32(k[2])
		for j := from; j < n; j++ {
			dst[j] = round8(int32(a[j])*c0 + int32(b[j])*c1 + int32(c[j])*c2)
		}
	default:
		for j := from; j < n; j++ {
			s := int32(0)
			for t, c := range k {
				s += int32(rows[t*n+j]) * int32(c)
			}
			dst[j] = round8(s)
		}
	}
}

// down sets dst to the weighted sum of taps rows of len(dst) bytes. It may read
// one row more.
func down(dst, rows []byte, k []int16, taps int) {
	if taps == 1 {
		copy(dst, rows)
		return
	}
	downGo(dst, rows, k[:taps], downVectors(dst, rows, k, taps))
}

// round8 rounds a weighted sum of pixels to the nearest integer.
func round8(s int32) byte { return byte((s + 1<<(weightBits-1)) >> weightBits) }
