package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// eachISA runs f with every instruction set the machine has.
func eachISA(t *testing.T, f func(t *testing.T)) {
	for _, i := range ISAs() {
		t.Run(i.String(), func(t *testing.T) {
			defer SetISA(SetISA(i))
			f(t)
		})
	}
}

// guard is what stands around operands: a result that has read it is not finite.
var guard = float32(math.NaN())

// guarded returns a rows×cols matrix of random numbers with ld elements between
// rows, off elements after the start of a slice full of NaN.
func guarded(r *rand.Rand, rows, cols, ld, off int) (x, whole []float32) {
	whole = make([]float32, off+max(rows-1, 0)*ld+cols+37)
	for i := range whole {
		whole[i] = guard
	}
	x = whole[off : off+max(rows-1, 0)*ld+cols]
	for i := range rows {
		for j := range cols {
			x[i*ld+j] = float32(r.NormFloat64())
		}
	}
	return x, whole
}

// checkGuard fails when an element outside the matrix has been written.
func checkGuard(t *testing.T, whole []float32, rows, cols, ld, off int) {
	t.Helper()
	for i, v := range whole {
		r, c := 0, i-off
		if i >= off && ld > 0 {
			r, c = (i-off)/ld, (i-off)%ld
		}
		if i >= off && r < rows && c < cols {
			continue
		}
		if !math.IsNaN(float64(v)) {
			t.Fatalf("element %d outside the matrix was written: %v", i, v)
		}
	}
}

type gemmCase struct {
	m, n, k        int
	transA, transB bool
	accumulate     bool
	bias, pre      bool
	gelu, dgelu    bool
	act            int // with dgelu: 0 none, 1 apart, 2 DGELU itself
	residual       int // 0 none, 1 apart, 2 C itself
	pad            int
}

// run multiplies and compares with float64.
func (c gemmCase) run(t *testing.T, g *Gemm, r *rand.Rand) {
	t.Helper()
	ld := func(rows, cols int, trans bool) (int, int, int) {
		if trans {
			rows, cols = cols, rows
		}
		return rows, cols, cols + c.pad
	}
	ar, ac, lda := ld(c.m, c.k, c.transA)
	br, bc, ldb := ld(c.k, c.n, c.transB)
	ldc := c.n + c.pad
	off := c.pad % 3
	a, _ := guarded(r, ar, ac, lda, off)
	b, _ := guarded(r, br, bc, ldb, off)
	cm, cWhole := guarded(r, c.m, c.n, ldc, off)
	args := GemmArgs{M: c.m, N: c.n, K: c.k, A: a, LDA: lda, TransA: c.transA,
		B: b, LDB: ldb, TransB: c.transB, C: cm, LDC: ldc, Accumulate: c.accumulate, GELU: c.gelu}
	var pre, preWhole []float32
	if c.bias {
		args.Bias, _ = guarded(r, 1, c.n, c.n, off)
	}
	if c.pre {
		pre, preWhole = guarded(r, c.m, c.n, ldc, off)
		args.Pre, args.LDPre = pre, ldc
	}
	if c.dgelu {
		args.DGELU, _ = guarded(r, c.m, c.n, ldc, off)
		args.LDD = ldc
	}
	var act, actWhole, actWant []float32
	switch {
	case c.dgelu && c.act == 1:
		act, actWhole = guarded(r, c.m, c.n, ldc, off)
	case c.dgelu && c.act == 2:
		args.DGELU, actWhole = guarded(r, c.m, c.n, ldc, off)
		act = args.DGELU
	}
	if act != nil {
		args.Act, args.LDAct = act, ldc
		actWant = make([]float32, len(args.DGELU))
		for i := range c.m {
			GELURow(actWant[i*ldc:][:c.n], args.DGELU[i*ldc:][:c.n])
		}
	}
	switch c.residual {
	case 1:
		args.Residual, _ = guarded(r, c.m, c.n, ldc, off)
		args.LDR = ldc
	case 2:
		args.Residual, args.LDR = cm, ldc
	}
	if !c.accumulate && c.residual != 2 { // not to be read
		for i := range c.m {
			for j := range c.n {
				cm[i*ldc+j] = guard
			}
		}
	}
	want, wantPre := c.reference(&args)
	g.Do(&args)
	tol := 3e-6 * (4 + math.Sqrt(float64(c.k))*4)
	for i := range c.m {
		for j := range c.n {
			if d := math.Abs(float64(cm[i*ldc+j]) - want[i*c.n+j]); !(d <= tol) {
				t.Fatalf("%+v: c[%d,%d] = %v, want %v", c, i, j, cm[i*ldc+j], want[i*c.n+j])
			}
			if !c.pre {
				continue
			}
			if d := math.Abs(float64(pre[i*ldc+j]) - wantPre[i*c.n+j]); !(d <= tol) {
				t.Fatalf("%+v: pre[%d,%d] = %v, want %v", c, i, j, pre[i*ldc+j], wantPre[i*c.n+j])
			}
		}
	}
	checkGuard(t, cWhole, c.m, c.n, ldc, off)
	if act != nil {
		checkGuard(t, actWhole, c.m, c.n, ldc, off)
		for i := range c.m {
			for j, v := range actWant[i*ldc:][:c.n] {
				if !(math.Abs(float64(act[i*ldc+j]-v)) <= 1e-6) {
					t.Fatalf("%+v: act[%d,%d] = %v, want %v", c, i, j, act[i*ldc+j], v)
				}
			}
		}
	}
	if c.pre {
		checkGuard(t, preWhole, c.m, c.n, ldc, off)
	}
}

func (c gemmCase) reference(a *GemmArgs) (want, pre []float64) {
	want, pre = make([]float64, c.m*c.n), make([]float64, c.m*c.n)
	for i := range c.m {
		for j := range c.n {
			var s float64
			for k := range c.k {
				x, y := i*a.LDA+k, k*a.LDB+j
				if c.transA {
					x = k*a.LDA + i
				}
				if c.transB {
					y = j*a.LDB + k
				}
				s += float64(a.A[x]) * float64(a.B[y])
			}
			if c.bias {
				s += float64(a.Bias[j])
			}
			pre[i*c.n+j] = s
			if c.gelu {
				s = s * 0.5 * math.Erfc(-s/math.Sqrt2)
			}
			if c.dgelu {
				x := float64(a.DGELU[i*a.LDD+j])
				s *= 0.5*math.Erfc(-x/math.Sqrt2) + x*math.Exp(-x*x/2)/math.Sqrt(2*math.Pi)
			}
			if c.residual > 0 {
				s += float64(a.Residual[i*a.LDR+j])
			}
			if c.accumulate {
				s += float64(a.C[i*a.LDC+j])
			}
			want[i*c.n+j] = s
		}
	}
	return want, pre
}

// TestGemmSizes multiplies every number of rows and columns up to two tiles and
// three, with some lengths of K, in all transpositions.
func TestGemmSizes(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		pool := NewPool(2)
		defer pool.Close()
		g, r := NewGemm(pool), rand.New(rand.NewPCG(1, 2))
		mr, nr := tileShape(isa)
		i := 0
		for m := 0; m <= 2*mr+3; m++ {
			for n := 0; n <= 2*nr+3; n++ {
				i++
				k := []int{0, 1, 2, 3, 5, 8, 9, 15, 16, 17, 31, 40}[r.IntN(12)]
				gemmCase{m: m, n: n, k: k, transA: i%2 == 0, transB: i/2%2 == 0,
					accumulate: i/4%2 == 0, bias: i%3 == 0, pad: i % 5}.run(t, g, r)
			}
		}
		for k := range 2*gemmKC + 4 {
			if k > 20 && k%17 > 1 && k%gemmKC > 3 {
				continue
			}
			gemmCase{m: mr + 1, n: nr + 5, k: k, transA: k%2 == 0, transB: k/2%2 == 0,
				accumulate: k%3 == 0, pad: 3}.run(t, g, r)
		}
	})
}

// TestGemmLarge takes shapes that are cut in each of the three ways.
func TestGemmLarge(t *testing.T) {
	shapes := [][3]int{{40, 50, 2100}, {70, 500, 100}, {401, 97, 70}, {50, 700, 300},
		{300, 33, 600}, {5, 1700, 30}, {8, 768, 2048}}
	for _, threads := range []int{1, 3} {
		t.Run(fmt.Sprint(threads), func(t *testing.T) {
			eachISA(t, func(t *testing.T) {
				pool := NewPool(threads)
				defer pool.Close()
				r := rand.New(rand.NewPCG(3, 4))
				for i, s := range shapes {
					for trans := range 4 {
						g := NewGemm(pool) // whose memory no larger product has made
						gemmCase{m: s[0], n: s[1], k: s[2], transA: trans&1 != 0,
							transB: trans&2 != 0, accumulate: (i+trans)%2 == 0, pad: i}.run(t, g, r)
						if isa == Portable {
							break
						}
					}
				}
			})
		})
	}
}

// TestGemmEpilogues tries all combinations of what may follow the product.
func TestGemmEpilogues(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		pool := NewPool(2)
		defer pool.Close()
		g, r := NewGemm(pool), rand.New(rand.NewPCG(5, 6))
		for bits := range 1 << 5 {
			for residual := range 3 {
				c := gemmCase{m: 37, n: 300, k: 50, transB: true, pad: 2, residual: residual,
					accumulate: bits&1 != 0, bias: bits&2 != 0, pre: bits&4 != 0,
					gelu: bits&8 != 0, dgelu: bits&16 != 0}
				if c.dgelu && (c.bias || c.pre || c.gelu) {
					continue
				}
				for c.act = range 3 {
					c.m, c.n, c.k = 37, 300, 50
					c.run(t, g, r)
					c.m, c.n, c.k = 11, 19, 600
					c.run(t, g, r)
					if !c.dgelu {
						break
					}
				}
			}
		}
	})
}

// TestGemmNaN puts NaN and Inf into operands: they reach their row or column of
// the product and no other.
func TestGemmNaN(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		pool := NewPool(2)
		defer pool.Close()
		const m, n, k = 40, 50, 30
		a, b, c := make([]float32, m*k), make([]float32, k*n), make([]float32, m*n)
		a[7*k+3] = guard
		b[5*n+49] = guard
		NewGemm(pool).Do(&GemmArgs{M: m, N: n, K: k, A: a, LDA: k, B: b, LDB: n, C: c, LDC: n})
		for i := range m {
			for j := range n {
				if nan := c[i*n+j] != c[i*n+j]; nan != (i == 7 || j == 49) {
					t.Fatalf("c[%d,%d] = %v", i, j, c[i*n+j])
				}
			}
		}
	})
}

// TestGemmRepeats checks that the order in which workers take parts does not
// show in the result, and that a product makes no garbage.
func TestGemmRepeats(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		pool := NewPool(4)
		defer pool.Close()
		g, r := NewGemm(pool), rand.New(rand.NewPCG(7, 8))
		for _, s := range [][3]int{{64, 64, 2000}, {200, 190, 300}} {
			m, n, k := s[0], s[1], s[2]
			a, _ := guarded(r, k, m, m, 0)
			b, _ := guarded(r, k, n, n, 0)
			c := make([]float32, m*n)
			args := GemmArgs{M: m, N: n, K: k, A: a, LDA: m, TransA: true,
				B: b, LDB: n, C: c, LDC: n}
			g.Do(&args)
			first := append([]float32(nil), c...)
			if got := testing.AllocsPerRun(20, func() { g.Do(&args) }); got != 0 {
				t.Errorf("%v allocations a product", got)
			}
			for i, v := range c {
				if v != first[i] {
					t.Fatalf("element %d was %v, is %v", i, first[i], v)
				}
			}
		}
	})
}

func TestGemmShortOperand(t *testing.T) {
	pool := NewPool(1)
	defer pool.Close()
	defer func() {
		if recover() == nil {
			t.Error("no panic for a B that is too short")
		}
	}()
	x := make([]float32, 12)
	NewGemm(pool).Do(&GemmArgs{M: 3, N: 4, K: 3, A: x, LDA: 3, B: x[:11], LDB: 4, C: x, LDC: 4})
}

// TestGemmBeyondSharedMemory takes an op(B) larger than the shared panels, and
// compares with products of its halves.
func TestGemmBeyondSharedMemory(t *testing.T) {
	pool := NewPool(2)
	defer pool.Close()
	g, r := NewGemm(pool), rand.New(rand.NewPCG(11, 12))
	wide := gemmSuper/gemmKC + 200
	for _, s := range [][3]int{{200, 400, 2 * (gemmSuper/400 + 100)}, {120, wide, gemmKC}} {
		m, n, k := s[0], s[1], s[2]
		a, _ := guarded(r, m, k, k, 0)
		b, _ := guarded(r, k, n, n, 0)
		got, want := make([]float32, m*n), make([]float32, m*n)
		args := GemmArgs{M: m, N: n, K: k, A: a, LDA: m, TransA: true, B: b, LDB: n,
			C: got, LDC: n}
		g.Do(&args)
		if p := &g.plan; !p.shared || p.superN >= n && p.superK >= k {
			t.Fatalf("%v fits in the shared memory", s)
		}
		half := args
		for i := range 2 {
			if k <= gemmKC {
				half.N, half.B, half.C = n/2, b[i*n/2:], want[i*n/2:]
			} else {
				half.K, half.A, half.B, half.C = k/2, a[i*k/2*m:], b[i*k/2*n:], want
				half.Accumulate = i == 1
			}
			g.Do(&half)
		}
		for i, v := range want {
			if !(math.Abs(float64(got[i]-v)) <= 1e-3) {
				t.Fatalf("%v: element %d is %v, want %v", s, i, got[i], v)
			}
		}
	}
}
