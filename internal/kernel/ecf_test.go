package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

type knots struct {
	max   float64
	count int
	half  bool
}

var testKnots = []knots{{5, 17, false}, {3, 17, true}, {5, 16, false}, {1.7, 3, false},
	{2, 2, true}, {4.1, 127, false}, {4, 130, true}}

func (k knots) at(q int) float64 {
	if k.half {
		return k.max * float64(q) / float64(k.count-1)
	}
	return -k.max + 2*k.max*float64(q)/float64(k.count-1)
}

func TestECF(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		for _, k := range testKnots {
			for _, dirs := range []int{1, 7, 8, 9, 24, 33} {
				for _, rows := range []int{1, 2, 3, 7, 8} {
					checkECF(t, k, rows, dirs, 2)
				}
			}
		}
		for _, k := range testKnots[:3] {
			checkECF(t, k, 7, 24, 100) // angles of some hundred turns
		}
	})
}

func checkECF(t *testing.T, k knots, rows, dirs int, scale float32) {
	t.Helper()
	r := rand.New(rand.NewPCG(19, 20))
	ld := dirs + 3
	x, _ := guardedVec(r, rows*ld, 1)
	ScaleRow(x, scale/2)
	e, okE := guardedVec(r, dirs*k.count*2, 1)
	de, _ := guardedVec(r, dirs*k.count*2, 1)
	dx, okDX := guardedVec(r, rows*ld, 2)
	before := append([]float32(nil), dx...)
	f := NewECF(k.max, k.count, k.half)
	f.Forward(e, x, rows, dirs, ld)
	f.Backward(dx, de, x, rows, dirs, ld)
	name := fmt.Sprintf("%v, %d rows, %d directions", k, rows, dirs)
	okE(t, name)
	okDX(t, name)
	want := make([]float64, len(e))
	wantDX := make([]float64, len(dx))
	for i := range wantDX {
		wantDX[i] = float64(before[i])
	}
	norm := 0.0
	for m := range dirs {
		for i := range rows {
			v, sum := float64(x[i*ld+m]), 0.0
			for q := range k.count {
				at := (m*k.count + q) * 2
				s, c := math.Sincos(k.at(q) * v)
				want[at] += c / float64(rows)
				want[at+1] += s / float64(rows)
				sum += k.at(q) * (c*float64(de[at+1]) - s*float64(de[at])) / float64(rows)
			}
			wantDX[i*ld+m] = sum
			norm = max(norm, math.Abs(sum))
		}
	}
	tol := 2e-6 * max(1, float64(k.count)/32)
	near(t, "ECF "+name, e, want, tol)
	near(t, "ECF backward "+name, dx, wantDX, 2*tol*max(1, norm))
}

// TestECFOddValues sends NaN, Inf and huge numbers through single lanes.
func TestECFOddValues(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		for _, k := range testKnots[:3] {
			for _, odd := range []float32{float32(math.NaN()), float32(math.Inf(-1)), 1e9} {
				checkECFOdd(t, k, odd)
			}
		}
	})
}

func checkECFOdd(t *testing.T, k knots, odd float32) {
	t.Helper()
	const rows, dirs, at, row = 5, 24, 19, 1
	f := NewECF(k.max, k.count, k.half)
	x, de := make([]float32, rows*dirs), make([]float32, dirs*k.count*2)
	for i := range de {
		de[i] = 1
	}
	x[row*dirs+at] = odd
	e, dx := make([]float32, len(de)), make([]float32, len(x))
	f.Forward(e, x, rows, dirs, dirs)
	f.Backward(dx, de, x, rows, dirs, dirs)
	nan := odd != 1e9
	for i, v := range e {
		if (v != v) != (nan && i/(2*k.count) == at) || math.Abs(float64(v)) > 1.0001 {
			t.Fatalf("%v, %v: direction %d, value %d is %v", k, odd, i/(2*k.count), i%(2*k.count), v)
		}
	}
	for i, v := range dx {
		if (v != v) != (nan && i == row*dirs+at) {
			t.Fatalf("%v, %v: gradient %d is %v", k, odd, i, v)
		}
	}
}

func BenchmarkECF(b *testing.B) {
	const rows, dirs = 32, 2048
	r := rand.New(rand.NewPCG(1, 1))
	x, _ := guardedVec(r, rows*dirs, 0)
	dx := make([]float32, rows*dirs)
	per := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(rows*dirs),
			"ns/row·direction")
	}
	for _, k := range testKnots[:3] {
		f := NewECF(k.max, k.count, k.half)
		e := make([]float32, 2*dirs*k.count)
		b.Run(fmt.Sprint("forward ", k), func(b *testing.B) {
			for range b.N {
				f.Forward(e, x, rows, dirs, dirs)
			}
			per(b)
		})
		b.Run(fmt.Sprint("backward ", k), func(b *testing.B) {
			for range b.N {
				f.Backward(dx, e, x, rows, dirs, dirs)
			}
			per(b)
		})
	}
}
