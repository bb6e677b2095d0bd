package kernel

import "math"

// ECF computes empirical characteristic functions at evenly spaced knots.
//
// The knots are multiples of one step, or odd multiples of half a step when
// there is an even number of them around 0. So each value costs one sine and
// cosine, and a complex rotation per knot; negative knots are the conjugates of
// the positive ones and cost nothing.
type ECF struct {
	first, step float64
	count       int
	half        bool
	angles      int // knots ≥ 0
	up, down    int // index of the first knot ≥ 0, and of the one opposite to it
	odd         int // 1 if no knot lies at 0, else 0
	unit        float64
	consts      ecfConsts
}

// ecfConsts is what the assembly reads, by the order of the fields.
type ecfConsts struct {
	UnitHi, UnitLo float32 // their sum is unit, of which the knots are multiples
	TurnsPerX      float32 // unit/(π/2): quarter turns per unit of x
}

const (
	maxAngles = 64     // bounds the accumulators on the stack
	maxAngle  = 8192.0 // the reduction of larger angles would lose digits
)

// NewECF returns the plan for count ≥ 2 knots on [−max, max], or on [0, max]
// with half.
func NewECF(max float64, count int, half bool) ECF {
	f := ECF{first: -max, step: 2 * max / float64(count-1), count: count, half: half,
		angles: (count + 1) / 2, up: count / 2, down: (count - 1) / 2, odd: 1 - count%2}
	if half {
		f.first, f.step = 0, max/float64(count-1)
		f.angles, f.up, f.odd = count, 0, 0
	}
	f.unit = f.step
	if f.odd == 1 {
		f.unit = f.step / 2
	}
	f.consts.UnitHi = float32(f.unit)
	f.consts.UnitLo = float32(f.unit - float64(f.consts.UnitHi))
	f.consts.TurnsPerX = float32(f.unit * 2 / math.Pi)
	return f
}

// opposite returns the indices of the knots of angle k and minus that, and
// whether the latter is another.
func (f *ECF) opposite(k int) (up, down int, two bool) {
	up, down = f.up+k, f.down-k
	return up, down, !f.half && up != down
}

// widths returns how many directions the assembly may take at once.
func (f *ECF) widths(rows int) []int {
	switch {
	case rows == 0 || f.angles > maxAngles:
		return nil
	case isa == AVX512:
		return registerLanes[:]
	case isa == AVX2:
		return registerLanes[1:]
	}
	return nil
}

var registerLanes = [...]int{2 * lanes, lanes}

// Forward sets e to the means over rows of cos(t·x) and sin(t·x).
//
//	e  (dirs, Q, 2)   contiguous
//	x  (rows, dirs)   rows ld apart
func (f *ECF) Forward(e, x []float32, rows, dirs, ld int) {
	m := 0
	for _, w := range f.widths(rows) {
		for ; m+w <= dirs; m += w {
			if !f.forwardLanes(e[m*f.count*2:], x[m:], rows, ld, w) {
				f.forward(e[m*f.count*2:], x[m:], rows, w, ld)
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

// forwardLanes handles one register of w directions; it reports false, having
// set nothing of use, when an angle is too large for its reduction.
func (f *ECF) forwardLanes(e, x []float32, rows, ld, w int) bool {
	var sums [2 * maxAngles * 2 * lanes]float32
	var largest [2 * lanes]float32
	_ = x[(rows-1)*ld+w-1]
	if w == lanes {
		ecfForwardAVX2(&sums[0], &x[0], rows, ld, f.angles, f.odd, &f.consts.UnitHi, &largest[0])
	} else {
		ecfForwardAVX512(&sums[0], &x[0], rows, ld, f.angles, f.odd, &f.consts.UnitHi, &largest[0])
	}
	if f.tooLarge(&largest) {
		return false
	}
	q2 := 2 * f.count
	_ = e[w*q2-1]
	inv := 1 / float32(rows)
	for k := 0; k < f.angles; k++ {
		c, s := sums[2*k*w:][:w], sums[(2*k+1)*w:][:w]
		up, down, two := f.opposite(k)
		for l := range c {
			el := e[l*q2:][:q2]
			cv, sv := c[l]*inv, s[l]*inv
			el[2*up], el[2*up+1] = cv, sv
			if two {
				el[2*down], el[2*down+1] = cv, -sv
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
	for _, w := range f.widths(rows) {
		for ; m+w <= dirs; m += w {
			if !f.backwardLanes(dx[m:], de[m*f.count*2:], x[m:], rows, ld, w) {
				f.backward(dx[m:], de[m*f.count*2:], x[m:], rows, w, ld)
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
func (f *ECF) backwardLanes(dx, de, x []float32, rows, ld, w int) bool {
	var coef [2 * maxAngles * 2 * lanes]float32
	var largest [2 * lanes]float32
	q2 := 2 * f.count
	_ = de[w*q2-1]
	for k := 0; k < f.angles; k++ {
		b, a := coef[2*k*w:][:w], coef[(2*k+1)*w:][:w]
		up, down, two := f.opposite(k)
		t := float32((f.first + float64(up)*f.step) / float64(rows))
		for l := range b {
			dl := de[l*q2:][:q2]
			dc, ds := dl[2*up], dl[2*up+1]
			if two {
				dc += dl[2*down]
				ds -= dl[2*down+1]
			}
			b[l], a[l] = t*ds, t*dc
		}
	}
	_, _ = x[(rows-1)*ld+w-1], dx[(rows-1)*ld+w-1]
	if w == lanes {
		ecfBackwardAVX2(&dx[0], &x[0], &coef[0], rows, ld, f.angles, f.odd, &f.consts.UnitHi,
			&largest[0])
	} else {
		ecfBackwardAVX512(&dx[0], &x[0], &coef[0], rows, ld, f.angles, f.odd, &f.consts.UnitHi,
			&largest[0])
	}
	return !f.tooLarge(&largest)
}

func (f *ECF) tooLarge(x *[2 * lanes]float32) bool {
	for _, v := range x {
		if float64(v)*f.unit > maxAngle {
			return true
		}
	}
	return false
}
