package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

func TestSumSquares(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(15, 16))
		for _, n := range append(vecSizes, 2047, 2048, 2049, 10000) {
			x, _ := guardedVec(r, n, 1)
			var want float64
			for _, v := range x {
				want += float64(v) * float64(v)
			}
			if got := SumSquares(x); !(math.Abs(got-want) <= 1e-6*want) {
				t.Fatalf("n %d: %v, want %v", n, got, want)
			}
			ScaleRow(x, 1e-20) // squares that float32 has no digits for
			if got := SumSquares(x); !(math.Abs(got-1e-40*want) <= 1e-46*want) {
				t.Fatalf("n %d: %v, want %v", n, got, 1e-40*want)
			}
			if n > 0 {
				x[n-1] = float32(math.NaN())
				if got := SumSquares(x); got == got {
					t.Fatalf("n %d: NaN gave %v", n, got)
				}
			}
		}
	})
}

func TestAdamW(t *testing.T) {
	const lr, b1, b2, eps, wd, scale = 0.1, 0.9, 0.999, 1e-3, 0.05, 0.5
	eachISA(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(17, 18))
		for _, n := range vecSizes {
			p, okP := guardedVec(r, n, 1)
			g, okG := guardedVec(r, n, 2)
			m, okM := guardedVec(r, n, 1)
			v, okV := guardedVec(r, n, 0)
			var wantP, wantM, wantV []float64
			for i := range p {
				v[i] *= v[i]
				gi := scale * float64(g[i])
				mi := b1*float64(m[i]) + (1-b1)*gi
				vi := b2*float64(v[i]) + (1-b2)*gi*gi
				root := math.Sqrt(vi / (1 - math.Pow(b2, 3)))
				wantM, wantV = append(wantM, mi), append(wantV, vi)
				wantP = append(wantP,
					float64(p[i])*(1-lr*wd)-lr*mi/(1-math.Pow(b1, 3))/(root+eps))
			}
			step := NewAdamWStep(lr, b1, b2, eps, wd, 3, scale)
			AdamW(p, g, m, v, &step)
			near(t, "m", m, wantM, 1e-6)
			near(t, "v", v, wantV, 1e-6)
			near(t, "p", p, wantP, 2e-6)
			okP(t, "p")
			okG(t, "g")
			okM(t, "m")
			okV(t, "v")
		}
	})
}

// TestAdamWDenormals holds denormal operands and results to zeros.
func TestAdamWDenormals(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		const n = 2*lanes + 3 // registers and a tail
		tiny := func(v float32) (x []float32) {
			for range n {
				x = append(x, v)
			}
			return x
		}
		step := NewAdamWStep(0.1, 0.9, 0.999, 1e-8, 0, 3, 1)
		for _, c := range []struct{ p, g, m, v, wantP, wantM, wantV float32 }{
			{1, 1e-40, 0, 0, 1, 0, 0},         // the gradient
			{1, 1e-20, 1e-20, 0, 1, 1e-20, 0}, // its square
			{1, 0, 1e-40, 1e-40, 1, 0, 0},     // the moments
			{1, 0, -0x1p-126, 0x1p-126, 1, 0, 0},
			{1e-40, 0, 0, 0, 0, 0, 0},
		} {
			p, m, v := tiny(c.p), tiny(c.m), tiny(c.v)
			AdamW(p, tiny(c.g), m, v, &step)
			if smallest32/2 == 0 {
				t.Fatal("denormals are 0 outside AdamW too")
			}
			for i := range p {
				if p[i] != c.wantP || v[i] != c.wantV || !(abs32(m[i]-c.wantM) <= 1e-6*c.wantM) {
					t.Fatalf("%v: element %d: p %v, m %v, v %v", c, i, p[i], m[i], v[i])
				}
			}
		}
	})
}

var smallest32 = float32(0x1p-126) // no constant, lest the compiler divides

func abs32(x float32) float32 { return float32(math.Abs(float64(x))) }

// BenchmarkAdamW takes one step of 16 MB of parameters and of gradients that
// have been that small all along.
func BenchmarkAdamW(b *testing.B) {
	const n = 4 << 20
	p, g, m, v := make([]float32, n), make([]float32, n), make([]float32, n), make([]float32, n)
	for _, gradient := range []float32{1e-3, 1e-20} {
		b.Run(fmt.Sprint(gradient), func(b *testing.B) {
			for i := range p {
				p[i], g[i], m[i], v[i] = 1, gradient, gradient, gradient*gradient
			}
			step := NewAdamWStep(1e-3, 0.9, 0.999, 1e-8, 0.05, 3, 1)
			b.SetBytes(28 * n)
			for b.Loop() {
				AdamW(p, g, m, v, &step)
			}
		})
	}
}

func BenchmarkSumSquares(b *testing.B) {
	const n = 4 << 20
	g := make([]float32, n)
	for _, gradient := range []float32{1e-3, 1e-20, 1e-39} {
		b.Run(fmt.Sprint(gradient), func(b *testing.B) {
			for i := range g {
				g[i] = gradient
			}
			b.SetBytes(4 * n)
			for b.Loop() {
				SumSquares(g)
			}
		})
	}
}
