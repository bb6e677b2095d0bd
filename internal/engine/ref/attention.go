package ref

import (
	"math"

	"avjepa/internal/engine"
	"avjepa/internal/rng"
)

// sequences is a loaded (B, N, D) tensor of which head h holds columns
// h·D/A … (h+1)·D/A−1.
type sequences struct {
	v          []float64
	n, d, size int // tokens, width, width of a head
}

func (e *Engine) sequences(t engine.Tensor, heads int) sequences {
	return sequences{e.load(t), t.Dim(1), t.Dim(2), t.Dim(2) / heads}
}

// zerosLike returns sequences of the same shape.
func (s sequences) zerosLike() sequences {
	s.v = make([]float64, len(s.v))
	return s
}

// row returns what head h has of token i of sequence b.
func (s sequences) row(b, h, i int) []float64 {
	start := (b*s.n+i)*s.d + h*s.size
	return s.v[start : start+s.size]
}

// scores sets s to q·kᵀ/√size of one query.
func scores(s []float64, q, k sequences, b, h, i int) {
	for j := range s {
		s[j] = dot(q.row(b, h, i), k.row(b, h, j)) / math.Sqrt(float64(q.size))
	}
}

// logSumExp returns log Σ exp(s).
func logSumExp(s []float64) float64 {
	top := math.Inf(-1)
	for _, v := range s {
		top = math.Max(top, v)
	}
	sum := 0.0
	for _, v := range s {
		sum += math.Exp(v - top)
	}
	return top + math.Log(sum)
}

// Attention: s = q·kᵀ/√(D/A), lse = log Σ_j exp(s), p = exp(s − lse),
// out = dropout(p)·v.
func (e *Engine) Attention(a engine.AttentionArgs) {
	a.Check()
	q, k, v := e.sequences(a.Q, a.Heads), e.sequences(a.K, a.Heads), e.sequences(a.V, a.Heads)
	out := q.zerosLike()
	lse := make([]float64, a.Q.Dim(0)*a.Heads*q.n)
	p := make([]float64, k.n)
	for r := range lse { // r counts (b, h, i)
		b, h, i := r/(a.Heads*q.n), r/q.n%a.Heads, r%q.n
		scores(p, q, k, b, h, i)
		lse[r] = logSumExp(p)
		for j := range p {
			p[j] = math.Exp(p[j] - lse[r])
			if a.Drop.P > 0 {
				p[j] = drop(p[j], a.Drop.P, a.Drop.Key, maskRow(a.Drop, a.Heads, q.n, b, h, i), j)
			}
			axpy(out.row(b, h, i), p[j], v.row(b, h, j))
		}
	}
	e.store(a.Out, out.v)
	e.store(a.LSE, lse)
}

// maskRow returns the row of a mask for query i of n, of head h of sequence b.
func maskRow(m rng.Mask, heads, n, b, h, i int) int {
	tokens := m.Rows.Of(n)
	return m.Rows.Start(b, heads*tokens) + h*tokens + i
}

// AttentionBackward: with p as above and m the mask divided by 1−p,
//
//	dv_j = Σ_i m·p·dout_i           delta_i = Σ_d dout_i·out_i
//	dp   = m·(dout_i·v_j)           ds      = p·(dp − delta_i)
//	dq_i = Σ_j ds·k_j/√(D/A)        dk_j    = Σ_i ds·q_i/√(D/A)
func (e *Engine) AttentionBackward(a engine.AttentionBackwardArgs) {
	a.Check()
	q, k, v := e.sequences(a.Q, a.Heads), e.sequences(a.K, a.Heads), e.sequences(a.V, a.Heads)
	out, dout := e.sequences(a.Out, a.Heads), e.sequences(a.DOut, a.Heads)
	dq, dk, dv := q.zerosLike(), k.zerosLike(), v.zerosLike()
	lse := e.load(a.LSE)
	delta := make([]float64, len(lse))
	s := make([]float64, k.n)
	scale := 1 / math.Sqrt(float64(q.size))
	for r := range lse {
		b, h, i := r/(a.Heads*q.n), r/q.n%a.Heads, r%q.n
		delta[r] = dot(dout.row(b, h, i), out.row(b, h, i))
		scores(s, q, k, b, h, i)
		for j := range s {
			p, m := math.Exp(s[j]-lse[r]), 1.0
			if a.Drop.P > 0 {
				m = drop(1, a.Drop.P, a.Drop.Key, maskRow(a.Drop, a.Heads, q.n, b, h, i), j)
			}
			axpy(dv.row(b, h, j), m*p, dout.row(b, h, i))
			dp := m * dot(dout.row(b, h, i), v.row(b, h, j))
			ds := p * (dp - delta[r]) * scale
			axpy(dq.row(b, h, i), ds, k.row(b, h, j))
			axpy(dk.row(b, h, j), ds, q.row(b, h, i))
		}
	}
	e.store(a.DQ, dq.v)
	e.store(a.DK, dk.v)
	e.store(a.DV, dv.v)
	e.store(a.Delta, delta)
}

// AttentionWeights: w = softmax(q·kᵀ/√(D/A)).
func (e *Engine) AttentionWeights(w, qt, kt engine.Tensor, heads int) {
	engine.CheckAttentionWeights(w, qt, kt, heads)
	q, k := e.sequences(qt, heads), e.sequences(kt, heads)
	p := make([]float64, w.Elems())
	for r := range w.Rows() {
		row := p[r*k.n : (r+1)*k.n]
		scores(row, q, k, r/(heads*q.n), r/q.n%heads, r%q.n)
		lse := logSumExp(row)
		for j := range row {
			row[j] = math.Exp(row[j] - lse)
		}
	}
	e.store(w, p)
}
