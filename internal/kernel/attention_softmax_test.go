package kernel

import (
	"math"
	"math/rand/v2"
	"testing"

	"avjepa/internal/rng"
)

// TestSoftmaxRows holds both passes to 2ˣ in float64, over exponents to below the
// least normal number, with columns that do not exist and with dropout.
func TestSoftmaxRows(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(11, 12))
		for _, drop := range []float64{0, 0.3} {
			for rows := 1; rows <= 5; rows++ {
				for n := 16; n <= 96; n += 16 {
					softmaxRowsCase(t, r, rows, n, drop)
				}
			}
		}
	})
}

func softmaxRowsCase(t *testing.T, r *rand.Rand, rows, n int, drop float64) {
	t.Helper()
	// So many bits that every exponent s·c − m is exact.
	const c, scale, bits = 1.25, 0.5, 1 << 14
	exact := func(x float32) float32 { return float32(math.Round(float64(x*bits)) / bits) }
	ld := n + 7
	s, dp := make([]float32, rows*ld), make([]float32, rows*ld)
	for i := range s {
		s[i], dp[i] = exact(60*r.Float32()*r.Float32()*r.Float32()), r.Float32()-0.5
		if i%ld >= n {
			s[i], dp[i] = guard, guard
		}
		if i%ld == n-1 {
			s[i] = minusInf
		}
	}
	var mask rowMask
	if drop > 0 {
		mask.threshold = rng.Threshold(drop)
		for row := range rows {
			k0, k1 := rng.NewKey(1, 2, n).Row(row)
			mask.words = append(mask.words, k0, k1)
		}
	}
	stat, m, delta := make([]float32, 2*rows), make([]float32, rows), make([]float32, rows)
	for row := range rows {
		stat[2*row], m[row] = exact(20*r.Float32()), exact(70+20*r.Float32())
		delta[row] = r.Float32()
	}
	near := func(what string, got, x, factor, relative float64) {
		t.Helper()
		want := factor * math.Exp2(x)
		tol := math.Abs(want)*relative + 2*math.Abs(factor)*0x1p-126
		if !(math.Abs(got-want) <= tol) {
			t.Fatalf("%d rows of %d, dropout %v: %s is %v, want %v", rows, n, drop, what, got, want)
		}
	}

	p, tops := append([]float32(nil), s...), append([]float32(nil), stat...)
	softmaxRows(p, ld, rows, n, c, stat, mask)
	for row := range rows {
		top := float64(tops[2*row])
		for _, v := range s[row*ld:][:n] {
			top = max(top, c*float64(v))
		}
		near("the exponent", float64(stat[2*row]), 0, top, 1e-7)
		sum := 0.0
		for j, v := range s[row*ld:][:n] {
			x := c*float64(v) - top
			sum += math.Exp2(x)
			if mask.dropped(row, j) {
				if p[row*ld+j] != 0 {
					t.Fatalf("column %d of row %d is not dropped", j, row)
				}
				continue
			}
			near("a power", float64(p[row*ld+j]), x, 1, 2e-7)
		}
		near("the sum", float64(stat[2*row+1]), math.Log2(sum), 1, 1e-6)
	}

	p, ds := append([]float32(nil), s...), append([]float32(nil), dp...)
	softmaxBackwardRows(p, ds, ld, rows, n, c, m, delta, scale, mask)
	for i, v := range s {
		row, j := i/ld, i%ld
		if j >= n {
			if p[i] == p[i] || ds[i] == ds[i] {
				t.Fatalf("%d rows of %d: written behind row %d", rows, n, row)
			}
			continue
		}
		x, d := c*float64(v)-float64(m[row]), float64(dp[i])
		if mask.dropped(row, j) {
			d = 0
			if p[i] != 0 {
				t.Fatalf("column %d of row %d is not dropped", j, row)
			}
		} else {
			near("p", float64(p[i]), x, 1, 2e-7)
		}
		near("ds", float64(ds[i]), x, scale*float64(float32(d)-delta[row]), 4e-7)
	}
}

func TestLogarithm2(t *testing.T) {
	for x := float32(0x1p-126); x <= math.MaxFloat32; x *= 1.0009 {
		want := math.Log2(float64(x))
		if got := logarithm2(x); !(math.Abs(got-want) <= 2e-9+1e-15*math.Abs(want)) {
			t.Fatalf("of %v: %v, want %v", x, got, want)
		}
	}
	if x := logarithm2(guard); x == x {
		t.Fatalf("of NaN: %v", x)
	}
}
