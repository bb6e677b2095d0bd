package kernel

import "math"

// ECF computes empirical characteristic functions at evenly spaced knots.
//
// The knots are multiples of one step, so each value costs one sine and cosine,
// of step·x, and a complex rotation per multiple; on a symmetric grid the
// negative knots are the conjugates of the positive ones and cost nothing.
type ECF struct {
	first, step float64
	count       int
	multiples   int // of the step from 0 up; 0: no knot lies at 0, no fast path
	mid         int // index of the knot at 0
	consts      ecfConsts
}

// ecfConsts is what the assembly reads, by the order of the fields.
type ecfConsts struct {
	StepHi, StepLo float32 // their sum is the step
	TurnsPerX      float32 // step/(π/2): quarter turns per unit of x
}

const (
	maxMultiples = 64     // bounds the accumulators on the stack
	maxAngle     = 8192.0 // the reduction of larger angles would lose digits
)

// NewECF returns the plan for count ≥ 2 knots on [−max, max], or on [0, max]
// with half.
func NewECF(max float64, count int, half bool) ECF {
	f := ECF{first: -max, step: 2 * max / float64(count-1), count: count, mid: (count - 1) / 2}
	if half {
		f.first, f.step, f.mid = 0, max/float64(count-1), 0
	}
	if half || count%2 == 1 {
		f.multiples = count - f.mid
	}
	f.consts.StepHi = float32(f.step)
	f.consts.StepLo = float32(f.step - float64(f.consts.StepHi))
	f.consts.TurnsPerX = float32(f.step * 2 / math.Pi)
	return f
}

// Forward sets e to the means over rows of cos(t·x) and sin(t·x).
//
//	e  (dirs, Q, 2)   contiguous
//	x  (rows, dirs)   rows ld apart
func (f *ECF) Forward(e, x []float32, rows, dirs, ld int) {
	m := 0
	if isa >= AVX2 && f.multiples > 0 && f.multiples <= maxMultiples && rows > 0 {
		for ; m+lanes <= dirs; m += lanes {
			if !f.forwardLanes(e[m*f.count*2:], x[m:], rows, ld) {
				f.forward(e[m*f.count*2:], x[m:], rows, lanes, ld)
			}
		}
	}
	if m < dirs {
		f.forward(e[m*f.count*2:], x[m:], rows, dirs-m, ld)
	}
}

// forward is Forward in portable Go.
func (f *ECF) forward(e, x []float32, rows, dirs, ld int) {
	q2 := 2 * f.count
	e = e[:dirs*q2]
	clear(e)
	for r := 0; r < rows; r++ {
		for m, v := range x[r*ld:][:dirs] {
			em := e[m*q2:][:q2]
			s, c := math.Sincos(f.first * float64(v))
			ds, dc := math.Sincos(f.step * float64(v))
			for q := 0; q < q2; q += 2 {
				em[q] += float32(c)
				em[q+1] += float32(s)
				c, s = c*dc-s*ds, s*dc+c*ds
			}
		}
	}
	ScaleRow(e, 1/float32(rows))
}

// forwardLanes handles one register of directions; it reports false, having set
// nothing of use, when an angle is too large for its reduction.
func (f *ECF) forwardLanes(e, x []float32, rows, ld int) bool {
	var sums [2 * maxMultiples * lanes]float32
	var largest [lanes]float32
	_ = x[(rows-1)*ld+lanes-1]
	ecfForwardAVX2(&sums[0], &x[0], rows, ld, f.multiples, &f.consts.StepHi,
		&largest[0])
	if f.tooLarge(&largest) {
		return false
	}
	q2 := 2 * f.count
	_ = e[lanes*q2-1]
	inv := 1 / float32(rows)
	for k := 0; k < f.multiples; k++ {
		c, s := sums[2*k*lanes:][:lanes], sums[(2*k+1)*lanes:][:lanes]
		up, down := 2*(f.mid+k), 2*(f.mid-k)
		for l := 0; l < lanes; l++ {
			el := e[l*q2:][:q2]
			cv, sv := c[l]*inv, s[l]*inv
			el[up], el[up+1] = cv, sv
			if f.mid > 0 && k > 0 {
				el[down], el[down+1] = cv, -sv
			}
		}
	}
	return true
}

// Backward sets dx = Σ_q t·(−sin(t·x)·dC + cos(t·x)·dS)/rows.
//
//	dx, x  (rows, dirs)  rows ld apart
//	de     (dirs, Q, 2)  dC and dS
func (f *ECF) Backward(dx, de, x []float32, rows, dirs, ld int) {
	m := 0
	if isa >= AVX2 && f.multiples > 0 && f.multiples <= maxMultiples && rows > 0 {
		for ; m+lanes <= dirs; m += lanes {
			if !f.backwardLanes(dx[m:], de[m*f.count*2:], x[m:], rows, ld) {
				f.backward(dx[m:], de[m*f.count*2:], x[m:], rows, lanes, ld)
			}
		}
	}
	if m < dirs {
		f.backward(dx[m:], de[m*f.count*2:], x[m:], rows, dirs-m, ld)
	}
}

// backward is Backward in portable Go.
func (f *ECF) backward(dx, de, x []float32, rows, dirs, ld int) {
	q2 := 2 * f.count
	for r := 0; r < rows; r++ {
		out := dx[r*ld:][:dirs]
		for m, v := range x[r*ld:][:dirs] {
			dem := de[m*q2:][:q2]
			s, c := math.Sincos(f.first * float64(v))
			ds, dc := math.Sincos(f.step * float64(v))
			t, sum := f.first, 0.0
			for q := 0; q < q2; q += 2 {
				sum += t * (c*float64(dem[q+1]) - s*float64(dem[q]))
				c, s = c*dc-s*ds, s*dc+c*ds
				t += f.step
			}
			out[m] = float32(sum / float64(rows))
		}
	}
}

// backwardLanes is to Backward what forwardLanes is to Forward. Knots t and −t
// share a sine and a cosine, so their gradients are joined first:
// A = t·(dC₊ + dC₋)/rows and B = t·(dS₊ − dS₋)/rows.
func (f *ECF) backwardLanes(dx, de, x []float32, rows, ld int) bool {
	var coef [2 * maxMultiples * lanes]float32
	var largest [lanes]float32
	q2 := 2 * f.count
	_ = de[lanes*q2-1]
	for k := 0; k < f.multiples; k++ {
		a, b := coef[2*k*lanes:][:lanes], coef[(2*k+1)*lanes:][:lanes]
		t := float32(float64(k) * f.step / float64(rows))
		up, down := 2*(f.mid+k), 2*(f.mid-k)
		for l := 0; l < lanes; l++ {
			dl := de[l*q2:][:q2]
			dc, ds := dl[up], dl[up+1]
			if f.mid > 0 && k > 0 {
				dc += dl[down]
				ds -= dl[down+1]
			}
			a[l], b[l] = t*dc, t*ds
		}
	}
	_, _ = x[(rows-1)*ld+lanes-1], dx[(rows-1)*ld+lanes-1]
	ecfBackwardAVX2(&dx[0], &x[0], &coef[0], rows, ld, f.multiples, &f.consts.StepHi,
		&largest[0])
	return !f.tooLarge(&largest)
}

func (f *ECF) tooLarge(x *[lanes]float32) bool {
	for _, v := range x {
		if float64(v)*f.step > maxAngle {
			return true
		}
	}
	return false
}
