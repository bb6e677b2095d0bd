package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"avjepa/internal/rng"
)

// attentionCase is a shape; query, key and value lie in one matrix as after a
// joint projection, with pad elements behind every token.
type attentionCase struct {
	b, nq, nk, heads, d int
	pad                 int
	drop                float64
}

// attentionData are all operands of a case and the NaN-filled memory around
// those that are set.
type attentionData struct {
	args   AttentionBackwardArgs
	guards [][]float32
	rows   []int
	width  int
	ld     int
}

func (c attentionCase) data(r *rand.Rand) *attentionData {
	width := c.heads * c.d
	ld := 3*width + c.pad
	qkv, _ := guarded(r, c.b*max(c.nq, c.nk), 3*width, ld, 0)
	a := &attentionData{width: width, ld: width + c.pad}
	out := func(n int) []float32 {
		x, whole := guarded(r, c.b*n, width, a.ld, 3)
		for i := range c.b * n {
			for j := range width {
				x[i*a.ld+j] = guard
			}
		}
		a.guards, a.rows = append(a.guards, whole), append(a.rows, c.b*n)
		return x
	}
	fwd := AttentionArgs{B: c.b, Nq: c.nq, Nk: c.nk, Heads: c.heads, HeadDim: c.d,
		Q: qkv, K: qkv[width:], V: qkv[2*width:], QStride: ld, KStride: ld, VStride: ld,
		QBatch: ld * c.nq, KBatch: ld * c.nk, VBatch: ld * c.nk,
		Out: out(c.nq), OutStride: a.ld, OutBatch: a.ld * c.nq,
		LSE:   make([]float32, c.b*c.heads*c.nq),
		Scale: float32(1 / math.Sqrt(float64(c.d))), DropP: c.drop, DropKey: rng.NewKey(1, 2, 3)}
	do, _ := guarded(r, c.b*c.nq, width, a.ld, 1)
	a.args = AttentionBackwardArgs{AttentionArgs: fwd, DOut: do,
		DOutStride: a.ld, DOutBatch: a.ld * c.nq,
		DQ: out(c.nq), DQStride: a.ld, DQBatch: a.ld * c.nq,
		DK: out(c.nk), DKStride: a.ld, DKBatch: a.ld * c.nk,
		DV: out(c.nk), DVStride: a.ld, DVBatch: a.ld * c.nk,
		Delta: make([]float32, c.b*c.heads*c.nq)}
	return a
}

// attentionWant are the results in float64, contiguous.
type attentionWant struct{ out, lse, dq, dk, dv []float64 }

func (c attentionCase) reference(a *AttentionBackwardArgs) attentionWant {
	w := attentionWant{make([]float64, c.b*c.nq*c.heads*c.d), make([]float64, c.b*c.heads*c.nq),
		make([]float64, c.b*c.nq*c.heads*c.d), make([]float64, c.b*c.nk*c.heads*c.d),
		make([]float64, c.b*c.nk*c.heads*c.d)}
	s := make([]float64, c.nk)
	keep := make([]float64, c.nk)
	for row := range c.b * c.heads * c.nq {
		b, h, i := row/(c.heads*c.nq), row/c.nq%c.heads, row%c.nq
		q := a.Q[b*a.QBatch+i*a.QStride+h*c.d:]
		do := a.DOut[b*a.DOutBatch+i*a.DOutStride+h*c.d:]
		at := ((b*c.nq+i)*c.heads + h) * c.d
		top, sum := math.Inf(-1), 0.0
		k0, k1 := a.DropKey.Row(row)
		for j := range s {
			s[j], keep[j] = 0, 1
			if c.drop > 0 {
				keep[j] = 1 / (1 - c.drop)
				if rng.RowBits(k0, k1, uint32(j)) < rng.Threshold(c.drop) {
					keep[j] = 0
				}
			}
			for d := range c.d {
				s[j] += float64(q[d]) * float64(a.K[b*a.KBatch+j*a.KStride+h*c.d+d])
			}
			s[j] *= float64(a.Scale)
			top = math.Max(top, s[j])
		}
		for _, v := range s {
			sum += math.Exp(v - top)
		}
		w.lse[row] = top + math.Log(sum)
		delta := 0.0
		for j := range s {
			s[j] = math.Exp(s[j] - w.lse[row])
			for d := range c.d {
				v := float64(a.V[b*a.VBatch+j*a.VStride+h*c.d+d])
				w.out[at+d] += s[j] * keep[j] * v
				delta += s[j] * keep[j] * v * float64(do[d])
			}
		}
		for j := range s {
			kt := ((b*c.nk+j)*c.heads + h) * c.d
			dp := 0.0
			for d := range c.d {
				dp += keep[j] * float64(do[d]) * float64(a.V[b*a.VBatch+j*a.VStride+h*c.d+d])
				w.dv[kt+d] += s[j] * keep[j] * float64(do[d])
			}
			ds := s[j] * (dp - delta) * float64(a.Scale)
			for d := range c.d {
				w.dq[at+d] += ds * float64(a.K[b*a.KBatch+j*a.KStride+h*c.d+d])
				w.dk[kt+d] += ds * float64(q[d])
			}
		}
	}
	return w
}

func (c attentionCase) run(t *testing.T, at *Attention, r *rand.Rand) {
	t.Helper()
	x := c.data(r)
	a := &x.args
	want := c.reference(a)
	at.Forward(&a.AttentionArgs)
	at.Backward(a)
	compare := func(name string, got []float32, ld, width int, want []float64, tol float64) {
		t.Helper()
		for i, v := range want {
			g := float64(got[i/width*ld+i%width])
			if d := math.Abs(g - v); !(d <= tol*(1+math.Abs(v))) {
				t.Fatalf("%+v: %s[%d] = %v, want %v", c, name, i, g, v)
			}
		}
	}
	compare("out", a.Out, x.ld, x.width, want.out, 2e-6)
	compare("lse", a.LSE, 1, 1, want.lse, 2e-6)
	compare("dq", a.DQ, x.ld, x.width, want.dq, 6e-6)
	compare("dk", a.DK, x.ld, x.width, want.dk, 1e-5)
	compare("dv", a.DV, x.ld, x.width, want.dv, 1e-5)
	for i, whole := range x.guards {
		checkGuard(t, whole, x.rows[i], x.width, x.ld, 3)
	}
}

func TestAttentionSizes(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		pool := NewPool(2)
		defer pool.Close()
		at, r := NewAttention(pool), rand.New(rand.NewPCG(1, 2))
		for n := 1; n <= 70; n++ {
			attentionCase{b: 1, nq: n, nk: n, heads: 1, d: 8, pad: n % 3}.run(t, at, r)
			attentionCase{b: 1, nq: n, nk: 1 + r.IntN(70), heads: 1, d: 16}.run(t, at, r)
		}
		for d := 1; d <= 70; d++ {
			attentionCase{b: 2, nq: 3, nk: 17, heads: 2, d: d, pad: d % 2}.run(t, at, r)
		}
	})
}

// TestAttentionLarge takes several blocks of keys, forward and backward,
// several heads to a task, several parts of a head, and dropout.
func TestAttentionLarge(t *testing.T) {
	for _, c := range []attentionCase{
		{b: 1, nq: 5, nk: 2*attentionKeys + 30, heads: 1, d: 8},
		{b: 1, nq: 300, nk: 290, heads: 1, d: 32},
		{b: 1, nq: 1, nk: 600, heads: 2, d: 64},
		{b: 24, nq: 9, nk: 11, heads: 3, d: 24},
		{b: 2, nq: 150, nk: 40, heads: 1, d: 128, drop: 0.25},
		{b: 1, nq: 4, nk: attentionKeys + 300, heads: 1, d: 16, drop: 0.5},
	} {
		for _, threads := range []int{1, 3} {
			t.Run(fmt.Sprintf("%+v/%d", c, threads), func(t *testing.T) {
				eachISA(t, func(t *testing.T) {
					pool := NewPool(threads)
					defer pool.Close()
					c.run(t, NewAttention(pool), rand.New(rand.NewPCG(3, 4)))
				})
			})
		}
	}
}

// TestAttentionWeights takes more keys than a block of Forward's, too.
func TestAttentionWeights(t *testing.T) {
	for _, c := range []attentionCase{
		{b: 2, nq: 1, nk: 1, heads: 3, d: 8},
		{b: 2, nq: 70, nk: 37, heads: 3, d: 40},
		{b: 1, nq: 30, nk: 70, heads: 1, d: 70, pad: 3},
		{b: 1, nq: 3, nk: attentionKeys + 40, heads: 2, d: 16},
	} {
		eachISA(t, func(t *testing.T) {
			pool := NewPool(3)
			defer pool.Close()
			a := &c.data(rand.New(rand.NewPCG(13, 14))).args
			rows, ld := c.b*c.heads*c.nq, c.nk+5
			w, whole := guarded(rand.New(rand.NewPCG(1, 1)), rows, c.nk, ld, 3)
			NewAttention(pool).Weights(w, ld, &a.AttentionArgs)
			for i := range rows {
				b, h, q := i/(c.heads*c.nq), i/c.nq%c.heads, i%c.nq
				for j, p := range c.probabilities(a, b, h, q) {
					if d := math.Abs(float64(w[i*ld+j]) - p); !(d <= 1e-6) {
						t.Fatalf("%+v: weight %d of row %d differs by %v", c, j, i, d)
					}
				}
			}
			checkGuard(t, whole, rows, c.nk, ld, 3)
		})
	}
}

// probabilities returns the softmax of a query in float64.
func (c attentionCase) probabilities(a *AttentionBackwardArgs, b, h, q int) []float64 {
	p, sum := make([]float64, c.nk), 0.0
	for j := range p {
		for d := h * c.d; d < (h+1)*c.d; d++ {
			p[j] += float64(a.Q[b*a.QBatch+q*a.QStride+d]) * float64(a.K[b*a.KBatch+j*a.KStride+d])
		}
		p[j] = math.Exp(p[j] * float64(a.Scale))
		sum += p[j]
	}
	for j := range p {
		p[j] /= sum
	}
	return p
}

// TestAttentionExtremes checks that scores far apart neither overflow nor make
// denormals, and that a NaN reaches its rows.
func TestAttentionExtremes(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		pool := NewPool(2)
		defer pool.Close()
		at := NewAttention(pool)
		c := attentionCase{b: 1, nq: 20, nk: 20, heads: 1, d: 32}
		x := c.data(rand.New(rand.NewPCG(5, 6)))
		for i := range x.args.Q {
			x.args.Q[i] *= 30
		}
		want := c.reference(&x.args)
		at.Forward(&x.args.AttentionArgs)
		for i, v := range want.out {
			if d := math.Abs(float64(x.args.Out[i/x.width*x.ld+i%x.width]) - v); !(d <= 1e-3) {
				t.Fatalf("out[%d] differs by %v", i, d)
			}
		}
		for i, v := range want.lse {
			if d := math.Abs(float64(x.args.LSE[i])-v) / math.Abs(v); !(d <= 1e-5) {
				t.Fatalf("lse[%d] = %v, want %v", i, x.args.LSE[i], v)
			}
		}
		x.args.Q[3*x.args.QStride+5] = guard
		at.Forward(&x.args.AttentionArgs)
		at.Backward(&x.args)
		for i := range c.nq {
			for _, v := range [][]float32{x.args.Out[i*x.ld:], x.args.DQ[i*x.ld:], x.args.LSE[i:]} {
				if nan := v[0] != v[0]; nan != (i == 3) {
					t.Fatalf("query %d: %v", i, v[0])
				}
			}
			if x.args.DK[i*x.ld] == x.args.DK[i*x.ld] {
				t.Fatalf("dk of key %d is %v", i, x.args.DK[i*x.ld])
			}
		}
	})
}

func TestAttentionRepeats(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		pool := NewPool(4)
		defer pool.Close()
		at := NewAttention(pool)
		c := attentionCase{b: 1, nq: 230, nk: 230, heads: 2, d: 16}
		x := c.data(rand.New(rand.NewPCG(7, 8)))
		both := func() {
			at.Forward(&x.args.AttentionArgs)
			at.Backward(&x.args)
		}
		both()
		first := append([]float32(nil), x.args.DK...)
		if got := testing.AllocsPerRun(5, both); got != 0 {
			t.Errorf("%v allocations a pass", got)
		}
		for i := range c.nk {
			for j := range x.width {
				if at := i*x.ld + j; x.args.DK[at] != first[at] {
					t.Fatalf("dk[%d,%d] was %v, is %v", i, j, first[at], x.args.DK[at])
				}
			}
		}
	})
}
