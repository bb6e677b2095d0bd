package sigreg

import (
	"math"
	"strings"
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/engine/ref"
	"avjepa/internal/nn"
	"avjepa/internal/rng"
)

// setup returns a regulariser of dimension k with drawn directions.
func setup(t *testing.T, cfg Config, k int) (*nn.Context, *Regularizer) {
	t.Helper()
	e := ref.New()
	arena, err := engine.NewArena(e, engine.F32, engine.ArenaSize{F32: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(e, cfg, k)
	if err != nil {
		t.Fatal(err)
	}
	r.Draw(1, 0)
	return &nn.Context{Engine: e, Arena: arena}, r
}

func losses(cx *nn.Context, r *Regularizer, z engine.Tensor) []float64 {
	loss := cx.Arena.New(r.Losses(z.Dim(0)))
	r.Step(cx, loss, engine.Tensor{}, z, 1)
	host := make([]float32, loss.Elems())
	cx.Engine.Download(host, loss)
	out := make([]float64, len(host))
	for i, v := range host {
		out[i] = float64(v)
	}
	return out
}

func TestUnitConstants(t *testing.T) {
	const n, k = 64, 8
	for _, c := range []struct {
		knots        engine.Knots
		zero, normal float64 // per row; expectation
	}{
		{DefaultKnots, 0.40892, 1.0594},
		{engine.Knots{Max: 3, Count: 17, Half: true}, 0.40205, 1.0525},
	} {
		cx, r := setup(t, Config{Directions: 128, Knots: c.knots}, k)
		z := cx.Arena.New(1, n, k)
		cx.Engine.Fill(z, 0)
		if got := losses(cx, r, z)[0] / n; !(math.Abs(got-c.zero) <= 1e-5) {
			t.Errorf("knots %v: rows at 0 give %g·N, want %g·N", c.knots, got, c.zero)
		}
		const trials = 40
		sum, x := 0.0, make([]float32, n*k)
		for i := range trials {
			rng.New(2, "normal", i).FillNormal(x, 1)
			cx.Engine.Upload(z, x)
			sum += losses(cx, r, z)[0]
		}
		if got := sum / trials; !(math.Abs(got-c.normal) <= 0.06) {
			t.Errorf("knots %v: normal rows give %g, want %g", c.knots, got, c.normal)
		}
	}
}

func TestPooledSeesAllViewsAsOne(t *testing.T) {
	const v, n, k = 3, 5, 4
	x := make([]float32, v*n*k)
	rng.New(3).FillNormal(x, 0.7)
	cfg := Config{Directions: 16, Knots: DefaultKnots, Pooled: true}
	cx, r := setup(t, cfg, k)
	z := cx.Arena.New(v, n, k)
	cx.Engine.Upload(z, x)
	pooled := losses(cx, r, z)
	cfg.Pooled = false
	cx, r = setup(t, cfg, k)
	z = cx.Arena.New(1, v*n, k)
	cx.Engine.Upload(z, x)
	one := losses(cx, r, z)
	if len(pooled) != 1 || pooled[0] != one[0] {
		t.Errorf("pooled %v, want %v", pooled, one)
	}
}

// TestGradient compares dz with central differences along z itself.
func TestGradient(t *testing.T) {
	const v, n, k, weight, h = 2, 6, 4, 0.3, 1e-2
	for _, pooled := range []bool{false, true} {
		cx, r := setup(t, Config{Directions: 16, Knots: DefaultKnots, Pooled: pooled}, k)
		x := make([]float32, v*n*k)
		rng.New(4).FillNormal(x, 0.9)
		z, dz := cx.Arena.New(v, n, k), cx.Arena.New(v, n, k)
		cx.Engine.Upload(z, x)
		cx.Engine.Fill(dz, 1) // added to
		loss := cx.Arena.New(r.Losses(v))
		r.Step(cx, loss, dz, z, weight)
		got := make([]float32, v*n*k)
		cx.Engine.Download(got, dz)
		mean := func() (m float64) {
			for _, l := range losses(cx, r, z) {
				m += l / float64(r.Losses(v))
			}
			return m
		}
		for _, i := range []int{0, 7, v*n*k - 1} {
			at := func(d float32) float64 {
				y := append([]float32(nil), x...)
				y[i] += d
				cx.Engine.Upload(z, y)
				return mean()
			}
			want := 1 + weight*(at(h)-at(-h))/(2*h)
			if !(math.Abs(float64(got[i])-want) <= 1e-4) {
				t.Errorf("pooled %v: dz[%d] = %g, want %g", pooled, i, got[i], want)
			}
		}
	}
}

func TestDirections(t *testing.T) {
	const k, m = 8, 500
	a, b := make([]float32, k*m), make([]float32, k*m)
	draw(rng.New(0), a, k, 1, 5)
	draw(rng.New(0), b, k, 1, 5)
	other := make([]float32, k*m)
	draw(rng.New(0), other, k, 1, 6)
	same, sum := true, make([]float64, k)
	for i := range m {
		norm := 0.0
		for j := range k {
			x := float64(a[i*k+j])
			norm += x * x
			sum[j] += x / m
			same = same && a[i*k+j] == other[i*k+j]
			if a[i*k+j] != b[i*k+j] {
				t.Fatal("a step's directions differ between draws")
			}
		}
		if !(math.Abs(norm-1) <= 1e-6) {
			t.Fatalf("direction %d has squared length %g", i, norm)
		}
	}
	if same {
		t.Error("two steps have the same directions")
	}
	for j, s := range sum {
		if !(math.Abs(s) <= 4/math.Sqrt(k*m)) {
			t.Errorf("directions lean by %g along axis %d", s, j)
		}
	}
}

func TestValidateListsEveryFault(t *testing.T) {
	_, err := New(ref.New(), Config{Knots: engine.Knots{Max: -1}}, 4)
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("three faults, got: %v", err)
	}
}
