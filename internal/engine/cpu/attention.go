package cpu

import (
	"math"

	"avjepa/internal/engine"
	"avjepa/internal/kernel"
)

// Attention sets out = softmax(q·kᵀ/√(D/A))·v per head.
func (e *Engine) Attention(a engine.AttentionArgs) {
	a.Check()
	t := &e.attend
	*t = attentionArgs(a)
	e.attn.Forward(t)
}

// AttentionBackward sets dq, dk and dv.
func (e *Engine) AttentionBackward(a engine.AttentionBackwardArgs) {
	a.Check()
	nq, nk := a.Q.Dim(1), a.K.Dim(1)
	dout, dq, dk, dv := mat(a.DOut), mat(a.DQ), mat(a.DK), mat(a.DV)
	t := &e.attendBack
	*t = kernel.AttentionBackwardArgs{
		AttentionArgs: attentionArgs(engine.AttentionArgs{Out: a.Out, LSE: a.LSE, Q: a.Q, K: a.K,
			V: a.V, Heads: a.Heads, Drop: a.Drop}),
		DOut: dout.data, DOutStride: dout.stride, DOutBatch: nq * dout.stride,
		DQ: dq.data, DQStride: dq.stride, DQBatch: nq * dq.stride,
		DK: dk.data, DKStride: dk.stride, DKBatch: nk * dk.stride,
		DV: dv.data, DVStride: dv.stride, DVBatch: nk * dv.stride,
		Delta: vec(a.Delta),
	}
	e.attn.Backward(t)
}

func attentionArgs(a engine.AttentionArgs) kernel.AttentionArgs {
	nq, nk := a.Q.Dim(1), a.K.Dim(1)
	dim := a.Q.Cols() / a.Heads
	q, k, v, out := mat(a.Q), mat(a.K), mat(a.V), mat(a.Out)
	return kernel.AttentionArgs{
		B: a.Q.Dim(0), Nq: nq, Nk: nk, Heads: a.Heads, HeadDim: dim,
		Q: q.data, QStride: q.stride, QBatch: nq * q.stride,
		K: k.data, KStride: k.stride, KBatch: nk * k.stride,
		V: v.data, VStride: v.stride, VBatch: nk * v.stride,
		Out: out.data, OutStride: out.stride, OutBatch: nq * out.stride,
		LSE: vec(a.LSE), Scale: float32(1 / math.Sqrt(float64(dim))),
		DropP: a.Drop.P, DropKey: a.Drop.Key, DropRows: a.Drop.Rows,
	}
}

// AttentionWeights sets w to softmax(q·kᵀ·scale) by plain loops.
func (e *Engine) AttentionWeights(w, q, k engine.Tensor, heads int) {
	engine.CheckAttentionWeights(w, q, k, heads)
	t := &e.weightsTask
	*t = attentionWeightsTask{w: mat(w), q: mat(q), k: mat(k), heads: heads, nq: q.Dim(1),
		nk: k.Dim(1), dim: q.Cols() / heads}
	t.scale = float32(1 / math.Sqrt(float64(t.dim)))
	e.pool.Run(t, t.w.rows)
}

type attentionWeightsTask struct {
	w, q, k            matrix
	heads, nq, nk, dim int
	scale              float32
}

// Run makes row i = (b·A + a)·Nq + query.
func (t *attentionWeightsTask) Run(_, i int) {
	query, head, b := i%t.nq, i/t.nq%t.heads, i/t.nq/t.heads
	lo, hi := head*t.dim, (head+1)*t.dim
	q := t.q.row(b*t.nq + query)[lo:hi]
	w := t.w.row(i)
	top := float32(math.Inf(-1))
	for j := range w {
		k := t.k.row(b*t.nk + j)[lo:hi]
		var s float32
		for d, v := range q {
			s += v * k[d]
		}
		w[j] = s * t.scale
		top = max(top, w[j])
	}
	kernel.ScaleRow(w, float32(1/softmaxTerms(w, w, top)))
}

// softmaxTerms sets y = exp(x − top) and returns the sum of it. y may be x.
func softmaxTerms(y, x []float32, top float32) float64 {
	for j, v := range x {
		y[j] = v - top
	}
	kernel.ExpRow(y, y)
	var s float64
	for _, v := range y {
		s += float64(v)
	}
	return s
}
