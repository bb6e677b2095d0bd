package ref

import (
	"math"
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/rng"
)

// sigregOf returns the SIGReg of one view of projections (rows, dirs).
func sigregOf(e *Engine, p []float64, rows, dirs int, k engine.Knots) float64 {
	pt, et := tensorOf(e, 1, rows, dirs), tensorOf(e, 1, dirs, k.Count, 2)
	loss := tensorOf(e, 1)
	e.UploadFloat64(pt, p)
	e.ECF(engine.ECFArgs{E: et, P: pt, Knots: k})
	e.SIGReg(engine.SIGRegArgs{Loss: loss, E: et, Knots: k, N: float64(rows)})
	return e.load(loss)[0]
}

// TestSIGRegConstants checks the two values anyone can recompute: rows of zeros
// give N·∫(1−φ)²φ by the trapezoid rule, standard normal rows the expectation
// ∫(1−φ²)φ whatever N is.
func TestSIGRegConstants(t *testing.T) {
	for _, c := range []struct {
		name         string
		knots        engine.Knots
		normal, zero float64
	}{
		{"17 knots on [-5, 5]", engine.Knots{Max: 5, Count: 17}, 1.0594, 0.40892},
		{"17 knots on [0, 3] doubled", engine.Knots{Max: 3, Count: 17, Half: true}, 1.0525, 0.40205},
	} {
		e := New()
		const rows, dirs = 24, 4000
		zero := sigregOf(e, make([]float64, rows*3), rows, 3, c.knots)
		if !(math.Abs(zero/rows-c.zero) < 1e-5) {
			t.Errorf("%s: zero rows give %.5f·N, want %.5f·N", c.name, zero/rows, c.zero)
		}
		r, p := rng.New(1, c.name), make([]float64, rows*dirs)
		for i := range p {
			p[i] = r.NormFloat64()
		}
		got := sigregOf(e, p, rows, dirs, c.knots)
		if !(math.Abs(got-c.normal) < 0.04) {
			t.Errorf("%s: standard normal rows give %.4f, want about %.4f", c.name, got, c.normal)
		}
		want := 0.0 // the expectation itself: E|ECF − φ|² = (1 − φ²)/N
		for q := range c.knots.Count {
			phi := c.knots.Target(q)
			want += c.knots.Weight(q) * phi * (1 - phi*phi)
		}
		if !(math.Abs(want-c.normal) < 1e-4) {
			t.Errorf("%s: expectation %.5f, want %.4f", c.name, want, c.normal)
		}
	}
}
