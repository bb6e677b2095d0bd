package kernel

import (
	"math"
	"math/rand/v2"
	"testing"

	"avjepa/internal/rng"
)

// vecSizes are the lengths that reach every loop and every tail.
var vecSizes = []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 15, 16, 17, 23, 24, 25, 31, 32, 33, 40, 41,
	63, 64, 65, 71, 72, 96, 127, 384, 1001}

// guardedVec returns n normal numbers off floats into memory filled with NaN,
// and a function that fails the test when one of these has changed.
func guardedVec(r *rand.Rand, n, off int) (x []float32, intact func(t *testing.T, op string)) {
	whole := make([]float32, n+off+2*lanes)
	for i := range whole {
		whole[i] = guard
	}
	x = whole[off : off+n]
	for i := range x {
		x[i] = float32(r.NormFloat64() * 2)
	}
	return x, func(t *testing.T, op string) {
		t.Helper()
		for i, v := range whole {
			if (i < off || i >= off+n) && v == v {
				t.Fatalf("%s, n %d: wrote outside, at %d", op, n, i-off)
			}
		}
	}
}

// near fails unless got is within tol·max(1, |want|) of want everywhere.
func near(t *testing.T, op string, got []float32, want []float64, tol float64) {
	t.Helper()
	for i := range want {
		if !(math.Abs(float64(got[i])-want[i]) <= tol*max(1, math.Abs(want[i]))) {
			t.Fatalf("%s, n %d: element %d is %v, want %v", op, len(want), i, got[i], want[i])
		}
	}
}

func each64(n int, f func(i int) float64) []float64 {
	y := make([]float64, n)
	for i := range y {
		y[i] = f(i)
	}
	return y
}

// checkMap holds an operation y = f(x, z) on rows to its definition: all sizes,
// alignments, in place, and NaN through every position.
func checkMap(t *testing.T, op string, run func(y, x, z []float32), f func(x, z float64) float64,
	tol float64) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range vecSizes {
		for off := range 3 {
			x, okX := guardedVec(r, n, off)
			z, okZ := guardedVec(r, n, 2-off)
			y, okY := guardedVec(r, n, off)
			want := each64(n, func(i int) float64 { return f(float64(x[i]), float64(z[i])) })
			run(y, x, z)
			near(t, op, y, want, tol)
			if n > 0 {
				at := r.IntN(n)
				old := x[at]
				x[at] = float32(math.NaN())
				run(y, x, z)
				if y[at] == y[at] {
					t.Fatalf("%s, n %d: NaN at %d became %v", op, n, at, y[at])
				}
				x[at] = old
			}
			run(x, x, z)
			near(t, op+" in place", x, want, tol)
			okX(t, op)
			okY(t, op)
			okZ(t, op)
		}
	}
}

func TestMaps(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		checkMap(t, "exp", func(y, x, _ []float32) { ExpRow(y, x) },
			func(x, _ float64) float64 { return math.Exp(x) }, 3e-7)
		checkMap(t, "gelu", func(y, x, _ []float32) { GELURow(y, x) },
			func(x, _ float64) float64 { return x * normalCDF(x) }, 5e-7)
		checkMap(t, "dgelu", func(y, x, z []float32) { DGELURow(y, z, x) },
			func(x, z float64) float64 {
				return z * (normalCDF(x) + x*math.Exp(-x*x/2)/math.Sqrt(2*math.Pi))
			}, 2e-6)
		checkMap(t, "gelu back, forward", func(y, x, z []float32) {
			GELUBackRow(make([]float32, len(x)), z, x, y)
		}, func(x, _ float64) float64 { return x * normalCDF(x) }, 5e-7)
		checkMap(t, "gelu back", func(y, x, z []float32) {
			GELUBackRow(y, z, x, make([]float32, len(x)))
		}, func(x, z float64) float64 {
			return z * (normalCDF(x) + x*math.Exp(-x*x/2)/math.Sqrt(2*math.Pi))
		}, 2e-6)
		checkMap(t, "scale", func(y, x, _ []float32) { copy(y, x); ScaleRow(y, 1.7) },
			func(x, _ float64) float64 { return x * 1.7 }, 1e-6)
		checkMap(t, "axpy", func(y, x, z []float32) { copy(y, x); Axpy(y, z, -0.3) },
			func(x, z float64) float64 { return x - 0.3*z }, 1e-6)
		checkMap(t, "add3", func(y, x, z []float32) { Add3(y, x, z, z) },
			func(x, z float64) float64 { return x + 2*z }, 1e-6)
	})
}

// TestMapsFarOut runs the whole range of arguments, where exponents clamp and
// tails vanish.
func TestMapsFarOut(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		var x []float32
		for v := -120.0; v <= 120; v += 0.013 {
			x = append(x, float32(v))
		}
		x = append(x, 1e20, -1e20, 3e38, -3e38, 0, 1e-40)
		y, ones := make([]float32, len(x)), make([]float32, len(x))
		for i := range ones {
			ones[i] = 1
		}
		ExpRow(y, x)
		for i, v := range x {
			want := math.Exp(float64(min(max(v, expMin), expMax)))
			if !(math.Abs(float64(y[i])-want) <= 2e-6*want) {
				t.Fatalf("exp(%v) = %v, want %v", v, y[i], want)
			}
		}
		GELURow(y, x)
		near(t, "gelu", y, each64(len(x), func(i int) float64 {
			return float64(x[i]) * normalCDF(float64(x[i]))
		}), 5e-7)
		for i, v := range x { // the tail, where rounding x² costs most
			want := float64(v) * normalCDF(float64(v))
			tol := 1e-7*float64(4+v*v)*math.Abs(want) + 0x1p-126 // denormals may be 0
			if v > -12.9 && !(math.Abs(float64(y[i])-want) <= tol) {
				t.Fatalf("gelu(%v) = %v, want %v", v, y[i], want)
			}
		}
		DGELURow(y, ones, x)
		near(t, "dgelu", y, each64(len(x), func(i int) float64 {
			v := float64(x[i])
			return normalCDF(v) + v*math.Exp(-v*v/2)/math.Sqrt(2*math.Pi)
		}), 5e-7)
		inf := []float32{float32(math.Inf(1))}
		GELURow(y, inf)
		if y[0] != inf[0] {
			t.Fatalf("gelu(+Inf) = %v", y[0])
		}
	})
}

func TestDropoutRow(t *testing.T) {
	const scale = 1.7
	threshold := rng.Threshold(0.3)
	eachISA(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 4))
		for _, n := range vecSizes {
			x, okX := guardedVec(r, n, 1)
			y, okY := guardedVec(r, n, 2)
			k0, k1 := rng.NewKey(5, n, 6).Row(n)
			DropoutRow(y, x, k0, k1, threshold, scale)
			okX(t, "dropout")
			okY(t, "dropout")
			for i := range y {
				want := x[i] * scale
				if rng.RowBits(k0, k1, uint32(i)) < threshold {
					want = 0
				}
				if y[i] != want {
					t.Fatalf("n %d: column %d is %v, want %v", n, i, y[i], want)
				}
			}
		}
	})
}

func TestPixelRow(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(5, 6))
		a, b := [3]float32{0.5, 0.25, 2}, [3]float32{-1, 3, 0.125}
		for _, n := range vecSizes {
			plane := n + 5
			x := make([]byte, 3*n)
			for i := range x {
				x[i] = byte(r.IntN(256))
			}
			y, intact := guardedVec(r, 2*plane+n, 1)
			before := append([]float32(nil), y...)
			PixelRow(y, x, n, plane, &a, &b)
			intact(t, "pixels")
			for i := range y {
				want := before[i]
				if c, px := i/plane, i%plane; px < n {
					want = float32(x[3*px+c])*a[c] + b[c]
				}
				if y[i] != want {
					t.Fatalf("n %d: element %d is %v, want %v", n, i, y[i], want)
				}
			}
		}
	})
}

func BenchmarkRows(b *testing.B) {
	const n = 16 << 10
	r := rand.New(rand.NewPCG(1, 1))
	x, _ := guardedVec(r, n, 0)
	y, _ := guardedVec(r, n, 0)
	z, _ := guardedVec(r, n, 0)
	for _, c := range []struct {
		name string
		f    func()
	}{
		{"exp", func() { ExpRow(y, x) }},
		{"gelu", func() { GELURow(y, x) }},
		{"dgelu", func() { DGELURow(y, z, x) }},
		{"axpy", func() { Axpy(y, x, 1e-9) }},
		{"dropout", func() { DropoutRow(y, x, 1, 2, 1<<28, 1.1) }},
		{"sumsquares", func() { SumSquares(x) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			for range b.N {
				c.f()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/element")
		})
	}
}

// TestGELUBits holds the wide registers to the bits of the narrow ones, so that
// a result does not depend on where in a row an element stands.
func TestGELUBits(t *testing.T) {
	if bestISA < AVX512 {
		t.Skip("the machine has no AVX-512")
	}
	r := rand.New(rand.NewPCG(21, 22))
	const n = 4096
	x, _ := guardedVec(r, n, 0)
	ScaleRow(x, 4)
	var y, dx [2][n]float32
	for k, i := range []ISA{AVX2, AVX512} {
		before := SetISA(i)
		GELURow(y[k][:], x)
		DGELURow(dx[k][:], x, x)
		SetISA(before)
	}
	if y[0] != y[1] || dx[0] != dx[1] {
		t.Error("GELU differs between AVX2 and AVX-512")
	}
}
