package enginetest

import (
	"fmt"

	"avjepa/internal/engine"
	"avjepa/internal/engine/ref"
	"avjepa/internal/rng"
)

// attentionSize is one shape of attention; scale multiplies the queries.
type attentionSize struct {
	b, nq, nk, d, heads int
	dropP               float64
	scale               float32
	packed              bool // q, k and v are columns of one tensor, and so are their gradients
}

func (s attentionSize) String() string {
	return fmt.Sprintf("%dx%dx%dx%d/%d heads/p %v/scale %v/packed %v",
		s.b, s.nq, s.nk, s.d, s.heads, s.dropP, s.scale, s.packed)
}

// mask is the dropout of a size: with several sequences, rows of a larger mask.
func (s attentionSize) mask() rng.Mask {
	m := rng.Mask{P: s.dropP, Key: rng.NewKey(5, 1, s.nq)}
	if s.b > 2 {
		m.Rows = largerMask(s.nq)
	}
	return m
}

func attentionCases() (cases []testCase) {
	for _, s := range []attentionSize{
		{1, 1, 1, 1, 1, 0, 1, false}, {2, 1, 5, 8, 2, 0, 1, false}, {2, 3, 3, 7, 1, 0, 1, false},
		{3, 15, 15, 48, 3, 0, 1, true}, {2, 33, 33, 64, 1, 0, 1, true},
		{1, 65, 65, 192, 3, 0, 1, true}, {1, 397, 397, 64, 1, 0, 1, false},
		{2, 1, 197, 96, 4, 0, 1, false}, {2, 9, 65, 48, 3, 0, 1, false},
		{2, 9, 9, 64, 4, 0, 1e4, true}, {2, 33, 33, 48, 3, 0, 50, false},
		{2, 5, 5, 8, 2, 0.5, 1, false}, {2, 15, 15, 48, 3, 0.1, 1, true},
		{1, 70, 130, 64, 2, 0.1, 1, false}, {5, 33, 40, 16, 2, 0.3, 1, false},
	} {
		cases = append(cases,
			testCase{"Attention", s.String(), s.forward, s.dropP > 0},
			testCase{"AttentionBackward", s.String(), s.backward, s.dropP > 0})
		if s.dropP == 0 {
			add(&cases, "AttentionWeights", s.String(), func(m *memory) func() {
				q := m.inOf("Q", s.queries(m), s.b, s.nq, s.d)
				k, w := m.wideIn("K", s.b, s.nk, s.d), m.out("W", s.nk, s.b, s.heads, s.nq, s.nk)
				return func() { m.e.AttentionWeights(w, q, k, s.heads) }
			})
		}
	}
	return cases
}

func (s attentionSize) queries(m *memory) []float32 {
	q := m.normal("Q", []int{s.b, s.nq, s.d})
	for i := range q {
		q[i] *= s.scale
	}
	return q
}

// operands makes q, k and v.
func (s attentionSize) operands(m *memory) (q, k, v engine.Tensor) {
	if !s.packed {
		return m.inOf("Q", s.queries(m), s.b, s.nq, s.d), m.wideIn("K", s.b, s.nk, s.d),
			m.wideIn("V", s.b, s.nk, s.d)
	}
	values := m.normal("QKV", []int{s.b, s.nq, 3 * s.d})
	for i := range values {
		if i%(3*s.d) < s.d {
			values[i] *= s.scale
		}
	}
	p := m.inOf("QKV", values, s.b, s.nq, 3*s.d)
	return p.Columns(0, s.d), p.Columns(s.d, 2*s.d), p.Columns(2*s.d, 3*s.d)
}

func (s attentionSize) forward(m *memory) func() {
	a := engine.AttentionArgs{Heads: s.heads, Drop: s.mask()}
	a.Q, a.K, a.V = s.operands(m)
	a.Out = m.wideOut("Out", s.nk+s.d, s.b, s.nq, s.d)
	if s.d != 64 {
		a.LSE = m.out("LSE", s.nk+s.d, s.b, s.heads, s.nq)
	}
	return func() { m.e.Attention(a) }
}

// backward takes Out and LSE from the reference, so that they belong to the
// operands.
func (s attentionSize) backward(m *memory) func() {
	first := &memory{t: m.t, e: ref.New(), mix: m.mix, exact: true}
	fa := engine.AttentionArgs{Heads: s.heads, Drop: s.mask()}
	fa.Q, fa.K, fa.V = s.operands(first)
	fa.Out = first.out("Out", 1, s.b, s.nq, s.d)
	fa.LSE = first.out("LSE", 1, s.b, s.heads, s.nq)
	first.e.Attention(fa)
	out, lse := make([]float32, fa.Out.Elems()), make([]float32, fa.LSE.Elems())
	first.e.Download(out, fa.Out)
	first.e.Download(lse, fa.LSE)

	a := engine.AttentionBackwardArgs{Heads: s.heads, Drop: fa.Drop}
	a.Q, a.K, a.V = s.operands(m)
	a.Out, a.DOut = m.derivedOf("Out", out, s.b, s.nq, s.d), m.wideIn("DOut", s.b, s.nq, s.d)
	a.LSE = m.derivedOf("LSE", lse, s.b, s.heads, s.nq)
	a.Delta = m.scratch("Delta", s.b, s.heads, s.nq)
	n := s.nk + s.nq + s.d
	if s.packed {
		p := m.out("DQKV", n, s.b, s.nq, 3*s.d)
		a.DQ, a.DK, a.DV = p.Columns(0, s.d), p.Columns(s.d, 2*s.d), p.Columns(2*s.d, 3*s.d)
	} else {
		a.DQ = m.wideOut("DQ", n, s.b, s.nq, s.d)
		a.DK = m.out("DK", n, s.b, s.nk, s.d)
		a.DV = m.wideOut("DV", n, s.b, s.nk, s.d)
	}
	return func() { m.e.AttentionBackward(a) }
}
