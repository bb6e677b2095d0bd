package kernel

import "math"

// lanes is the number of float32 in one AVX2 register. The assembly works on
// whole registers; what is left at the end of a slice goes through a register's
// worth of stack, or through the portable loop where that is exact enough.
const lanes = 8

// whole returns the part of n that fills whole registers, 0 without AVX2.
func whole(n int) int {
	if isa < AVX2 {
		return 0
	}
	return n &^ (lanes - 1)
}

// whole512 returns the part of n that fills registers of AVX-512.
func whole512(n int) int {
	if isa < AVX512 {
		return 0
	}
	return n &^ (2*lanes - 1)
}

// ExpRow sets y = exp(x). y may be x. Arguments below −87.3 count as −87.3,
// those above 88.3 as 88.3, so no result is denormal or infinite.
func ExpRow(y, x []float32) {
	n := len(x)
	y = y[:n]
	w := whole(n)
	if w > 0 {
		expAVX2(&y[0], &x[0], w)
	}
	if w < n && isa >= AVX2 {
		var t [lanes]float32
		copy(t[:], x[w:])
		expAVX2(&t[0], &t[0], lanes)
		copy(y[w:], t[:])
		return
	}
	for i := w; i < n; i++ {
		y[i] = expScalar(x[i])
	}
}

const expMin, expMax = -87.3, 88.3

func expScalar(x float32) float32 {
	if x < expMin {
		x = expMin
	}
	if x > expMax {
		x = expMax
	}
	return float32(math.Exp(float64(x)))
}

// Axpy adds a·x to y, which has the length of x. y may be x.
func Axpy(y, x []float32, a float32) {
	n := len(x)
	y = y[:n]
	w := whole(n)
	if w > 0 {
		axpyAVX2(&y[0], &x[0], w, a)
	}
	for i := w; i < n; i++ {
		y[i] += a * x[i]
	}
}

// ScaleRow multiplies x by a in place.
func ScaleRow(x []float32, a float32) {
	n := len(x)
	w := whole(n)
	if w > 0 {
		scaleAVX2(&x[0], w, a)
	}
	for i := w; i < n; i++ {
		x[i] *= a
	}
}

// Add3 sets y = x + a + b, all of the length of y. y may be any of them.
func Add3(y, x, a, b []float32) {
	n := len(y)
	x, a, b = x[:n], a[:n], b[:n]
	w := whole(n)
	if w > 0 {
		add3AVX2(&y[0], &x[0], &a[0], &b[0], w)
	}
	for i := w; i < n; i++ {
		y[i] = x[i] + a[i] + b[i]
	}
}

// PixelRow spreads interleaved bytes over three planes of floats:
// y[c·plane+i] = x[3i+c]·a[c] + b[c] for n pixels i.
func PixelRow(y []float32, x []byte, n, plane int, a, b *[3]float32) {
	x = x[:3*n]
	y = y[:2*plane+n]
	w := whole(n)
	if w > 0 {
		pixelsAVX2(&y[0], &x[0], w, plane, &a[0], &b[0])
	}
	for c := 0; c < 3; c++ {
		row := y[c*plane:][:n]
		for i := w; i < n; i++ {
			row[i] = float32(x[3*i+c])*a[c] + b[c]
		}
	}
}
