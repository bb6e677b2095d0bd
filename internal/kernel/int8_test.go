package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// TestInt8Row holds bytes to their meaning: every value within half a step, 0
// exact, and the steps from the least to the greatest value.
func TestInt8Row(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		for n := range 200 {
			shift := float64(n%5 - 2) // all negative to all positive
			x := make([]float32, n+1)[n%2:]
			for i := range x {
				x[i] = float32(r.Float64() + shift)
			}
			if len(x) > 3 {
				x[3] = 0
			}
			q := make([]uint8, len(x)+1)
			q[len(x)] = 77
			row := quantizeRow(q, x)
			var lo, hi float64
			for _, v := range x {
				lo, hi = min(lo, float64(v)), max(hi, float64(v))
			}
			step := (hi - lo) / 255
			if !(math.Abs(float64(row.scale)-step) <= 1e-6*step) {
				t.Fatalf("%d values: step %v, want %v", len(x), row.scale, step)
			}
			for i, v := range x {
				got := step * float64(int32(q[i])+row.minusZero)
				if !(math.Abs(got-float64(v)) <= step*(0.5+1e-4)) || v == 0 && got != 0 {
					t.Fatalf("%d values in [%v, %v]: value %d, %v, became %v", len(x), lo, hi, i, v, got)
				}
			}
			if q[len(x)] != 77 {
				t.Fatalf("%d values: wrote behind them", len(x))
			}
		}
	})
}

// TestInt8RowExtremes: rows of zeros, tiny, huge and undefined values.
func TestInt8RowExtremes(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	eachISA(t, func(t *testing.T) {
		for at := range 70 {
			for _, c := range []struct{ value, want float32 }{
				{0, 0}, {1e-42, 0}, {-1e-38, 0}, {3e38, 3e38 / 255}, {inf, nan}, {-inf, nan}, {nan, nan},
			} {
				x, q := make([]float32, 70), make([]uint8, 70)
				x[at] = c.value
				got := quantizeRow(q, x).scale
				if c.want != c.want && got == got || c.want == c.want && got != c.want {
					t.Fatalf("row with %v at %d has scale %v, want %v", c.value, at, got, c.want)
				}
			}
		}
	})
}

// TestInt8Weights: every weight within half a step of its row, the steps from −127
// to 127, where the micro-kernel looks for it.
func TestInt8Weights(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(11, 12))
		for _, s := range [][2]int{{1, 1}, {3, 7}, {33, 40}, {70, 129}} {
			n, k := s[0], s[1]
			w, _ := guarded(r, n, k, k, 0)
			q := NewInt8Weights(w, n, k)
			groups := (k + 3) / 4
			for j := range n {
				var most float64
				var sum int32
				for _, v := range w[j*k : (j+1)*k] {
					most = max(most, math.Abs(float64(v)))
				}
				for i, v := range w[j*k : (j+1)*k] {
					b := q.panels[((j/32*groups+i/4)*32+j%32)*4+i%4]
					sum += int32(b)
					if !(math.Abs(most/127*float64(b)-float64(v)) <= most/127*(0.5+1e-4)) {
						t.Fatalf("%d×%d: weight %d,%d, %v, became %d/127 of %v", n, k, j, i, v, b, most)
					}
				}
				if !(math.Abs(float64(q.scale[j])-most/127) <= 1e-6*most) || q.sums[j] != sum {
					t.Fatalf("%d×%d: row %d: scale %v and sum %d, want %v and %d",
						n, k, j, q.scale[j], q.sums[j], most/127, sum)
				}
			}
		}
	})
}

type int8Case struct {
	m, n, k    int
	bias, gelu bool
	residual   int // 0 none, 1 apart, 2 C itself
	pad        int
}

// run multiplies and compares with integers: the bytes of A are those of
// quantizeRow, those of W are drawn here.
func (c int8Case) run(t *testing.T, g *Int8Gemm, r *rand.Rand) {
	t.Helper()
	lda, ldc := c.k+c.pad, c.n+c.pad
	x, _ := guarded(r, c.m, c.k, lda, c.pad%3)
	w, bytes := make([]float32, c.n*c.k), make([]int64, c.n*c.k)
	for i := range w {
		if bytes[i] = int64(r.IntN(255)) - 127; i%c.k == 0 {
			bytes[i] = 127 // so that the scale is weightStep
		}
		w[i] = float32(bytes[i]) * weightStep
	}
	y, whole := guarded(r, c.m, c.n, ldc, c.pad%3)
	args := Int8Args{M: c.m, A: x, LDA: lda, W: NewInt8Weights(w, c.n, c.k), C: y, LDC: ldc,
		GELU: c.gelu}
	if c.bias {
		args.Bias, _ = guarded(r, 1, c.n, c.n, 0)
	}
	switch c.residual {
	case 1:
		args.Residual, _ = guarded(r, c.m, c.n, ldc, 0)
		args.LDR = ldc
	case 2:
		args.Residual, args.LDR = y, ldc
	default:
		for i := range c.m {
			for j := range c.n {
				y[i*ldc+j] = guard // not to be read
			}
		}
	}
	want := c.reference(&args, bytes)
	g.Do(&args)
	for i, v := range want {
		got := float64(y[i/c.n*ldc+i%c.n])
		if !(math.Abs(got-v) <= 1e-6*(1+math.Abs(v)+math.Sqrt(float64(c.k)))) {
			t.Fatalf("%+v: c[%d,%d] = %v, want %v", c, i/c.n, i%c.n, got, v)
		}
	}
	checkGuard(t, whole, c.m, c.n, ldc, c.pad%3)
}

const weightStep = 1.0 / 64

func (c int8Case) reference(a *Int8Args, w []int64) []float64 {
	want := make([]float64, c.m*c.n)
	q := make([]uint8, c.k)
	for i := range c.m {
		row := quantizeRow(q, a.A[i*a.LDA:][:c.k])
		for j := range c.n {
			var sum int64
			for k, v := range q {
				sum += (int64(v) + int64(row.minusZero)) * w[j*c.k+k]
			}
			v := float64(sum) * float64(row.scale) * weightStep
			if a.Bias != nil {
				v += float64(a.Bias[j])
			}
			if c.gelu {
				v *= normalCDF(v)
			}
			if a.Residual != nil {
				v += float64(a.Residual[i*a.LDR+j])
			}
			want[i*c.n+j] = v
		}
	}
	return want
}

// TestInt8Gemm takes every number of rows up to two tiles and more, every number
// of columns up to two panels and more, and all remainders of K.
func TestInt8Gemm(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 4))
		pool := NewPool(3)
		defer pool.Close()
		g := NewInt8Gemm(pool)
		variant := func(c int8Case, i int) int8Case {
			c.bias, c.gelu, c.residual, c.pad = i%2 == 0, i%5 == 0, i%3, i%4
			if c.gelu {
				c.residual = 0
			}
			return c
		}
		for m := range 2*int8Tile + 4 {
			variant(int8Case{m: m, n: 35, k: 21}, m).run(t, g, r)
		}
		for n := range 2*int8Panel + 4 {
			variant(int8Case{m: 17, n: n, k: 9}, n).run(t, g, r)
		}
		for k := range 34 {
			variant(int8Case{m: 5, n: 33, k: k}, k).run(t, g, r)
		}
		for i, s := range [][3]int{{65, 384, 128}, {400, 96, 130}, {31, 200, 1030}, {1, 770, 256}} {
			variant(int8Case{m: s[0], n: s[1], k: s[2]}, i).run(t, g, r)
		}
	})
}

// TestInt8GemmGreatestSums: neither the longest K nor the greatest bytes leave
// 32 bits.
func TestInt8GemmGreatestSums(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		pool := NewPool(1)
		defer pool.Close()
		x, w := make([]float32, int8MaxK), make([]float32, int8MaxK)
		for _, sign := range [][2]float32{{1, 1}, {1, -1}, {-1, 1}, {-1, -1}} {
			for k := range x {
				x[k], w[k] = sign[0], sign[1]
			}
			var y [1]float32
			NewInt8Gemm(pool).Do(&Int8Args{M: 1, A: x, LDA: len(x), W: NewInt8Weights(w, 1, len(w)),
				C: y[:], LDC: 1})
			want := float64(sign[0]*sign[1]) * int8MaxK
			if !(math.Abs(float64(y[0])-want) <= 1e-6*int8MaxK) {
				t.Errorf("%d products of %v and %v make %v", len(x), sign[0], sign[1], y[0])
			}
		}
	})
}

// TestInt8GemmNaN: a value that is not finite spoils its row of activations, or
// its column of weights, and nothing else.
func TestInt8GemmNaN(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		const m, n, k = 17, 40, 70
		pool := NewPool(2)
		defer pool.Close()
		for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
			r := rand.New(rand.NewPCG(5, 6))
			x, _ := guarded(r, m, k, k, 0)
			w, _ := guarded(r, n, k, k, 0)
			x[3*k+69], w[33*k+5] = float32(bad), float32(bad)
			y := make([]float32, m*n)
			NewInt8Gemm(pool).Do(&Int8Args{M: m, A: x, LDA: k, W: NewInt8Weights(w, n, k),
				C: y, LDC: n})
			for i, v := range y {
				if spoilt := i/n == 3 || i%n == 33; spoilt != (v != v) {
					t.Fatalf("%v: c[%d,%d] = %v", bad, i/n, i%n, v)
				}
			}
		}
	})
}

// TestInt8GemmRepeats: the bits depend on nothing but the arguments, not even on
// the number of threads, and a product makes no garbage.
func TestInt8GemmRepeats(t *testing.T) {
	const m, n, k = 120, 200, 96
	r := rand.New(rand.NewPCG(7, 8))
	x, _ := guarded(r, m, k, k, 0)
	w, _ := guarded(r, n, k, k, 0)
	first := make([]float32, m*n)
	for threads := 1; threads <= 3; threads++ {
		pool := NewPool(threads)
		g, y := NewInt8Gemm(pool), make([]float32, m*n)
		args := Int8Args{M: m, A: x, LDA: k, W: NewInt8Weights(w, n, k), C: y, LDC: n, GELU: true}
		allocs := testing.AllocsPerRun(3, func() { g.Do(&args) })
		pool.Close()
		if allocs != 0 {
			t.Errorf("%v allocations a product", allocs)
		}
		if threads == 1 {
			copy(first, y)
		}
		for i := range y {
			if math.Float32bits(y[i]) != math.Float32bits(first[i]) {
				t.Fatalf("%d threads: c[%d] = %v, else %v", threads, i, y[i], first[i])
			}
		}
	}
}

// BenchmarkInt8 takes the layers of the base and the small encoder on one view
// of 397 tokens, in bytes and in floats.
func BenchmarkInt8(b *testing.B) {
	for _, s := range []struct{ n, k int }{
		{2304, 768}, {768, 768}, {3072, 768}, {768, 3072},
		{1152, 384}, {384, 384}, {1536, 384}, {384, 1536},
	} {
		const m = 397
		r := rand.New(rand.NewPCG(9, 10))
		x, _ := guarded(r, m, s.k, s.k, 0)
		w, _ := guarded(r, s.n, s.k, s.k, 0)
		y := make([]float32, m*s.n)
		pool := NewPool(2)
		bytes, floats, q := NewInt8Gemm(pool), NewGemm(pool), NewInt8Weights(w, s.n, s.k)
		flop := 2 * m * float64(s.n) * float64(s.k)
		b.Run(fmt.Sprintf("%dx%d/int8", s.n, s.k), func(b *testing.B) {
			benchmarkRate(b, func() {
				bytes.Do(&Int8Args{M: m, A: x, LDA: s.k, W: q, C: y, LDC: s.n})
			}, flop)
		})
		b.Run(fmt.Sprintf("%dx%d/float32", s.n, s.k), func(b *testing.B) {
			benchmarkRate(b, func() {
				floats.Do(&GemmArgs{M: m, N: s.n, K: s.k, A: x, LDA: s.k, B: w, LDB: s.k, TransB: true,
					C: y, LDC: s.n})
			}, flop)
		})
		pool.Close()
	}
}

// BenchmarkInt8Weights quantises a layer of the base encoder.
func BenchmarkInt8Weights(b *testing.B) {
	r := rand.New(rand.NewPCG(9, 10))
	w, _ := guarded(r, 3072, 768, 768, 0)
	for b.Loop() {
		NewInt8Weights(w, 3072, 768)
	}
}
