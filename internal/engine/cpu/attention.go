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

// AttentionWeights sets w to softmax(q·kᵀ/√(D/A)).
func (e *Engine) AttentionWeights(w, q, k engine.Tensor, heads int) {
	engine.CheckAttentionWeights(w, q, k, heads)
	mw, mq, mk := mat(w), mat(q), mat(k)
	nq, nk, dim := q.Dim(1), k.Dim(1), q.Cols()/heads
	t := &e.attend
	*t = kernel.AttentionArgs{
		B: q.Dim(0), Nq: nq, Nk: nk, Heads: heads, HeadDim: dim,
		Q: mq.data, QStride: mq.stride, QBatch: nq * mq.stride,
		K: mk.data, KStride: mk.stride, KBatch: nk * mk.stride,
		Scale: float32(1 / math.Sqrt(float64(dim))),
	}
	e.attn.Weights(mw.data, mw.stride, t)
}
