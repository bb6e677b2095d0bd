package kernel

import (
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

func BenchmarkAdamW(b *testing.B) {
	const n = 4 << 20
	x := make([]float32, 4*n)
	step := NewAdamWStep(1e-3, 0.9, 0.999, 1e-8, 0.05, 3, 1)
	for range b.N {
		AdamW(x[:n], x[n:2*n], x[2*n:3*n], x[3*n:], &step)
	}
	b.SetBytes(28 * n)
}
