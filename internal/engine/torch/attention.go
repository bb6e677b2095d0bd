package torch

import (
	"unsafe"

	"avjepa/internal/engine"
)

type attentionArgs struct {
	out, lse, q, k, v tensorArg
	heads             int64
	mask              maskArg
}

// Attention: out = dropout(softmax(q·kᵀ/√(D/A)))·v per head.
func (e *Engine) Attention(a engine.AttentionArgs) {
	a.Check()
	c := &e.args.attention
	*c = attentionArgs{out: e.arg(a.Out), lse: e.arg(a.LSE), q: e.arg(a.Q), k: e.arg(a.K),
		v: e.arg(a.V), heads: int64(a.Heads), mask: maskOf(a.Drop)}
	e.do("Attention", e.lib.attention, uintptr(unsafe.Pointer(c)), unsafe.Sizeof(*c))
}

type attentionBackwardArgs struct {
	dq, dk, dv, dout, out, lse, delta, q, k, v tensorArg
	heads                                      int64
	mask                                       maskArg
}

// AttentionBackward recomputes the probabilities from LSE.
func (e *Engine) AttentionBackward(a engine.AttentionBackwardArgs) {
	a.Check()
	c := &e.args.attentionBackward
	*c = attentionBackwardArgs{dq: e.arg(a.DQ), dk: e.arg(a.DK), dv: e.arg(a.DV),
		dout: e.arg(a.DOut), out: e.arg(a.Out), lse: e.arg(a.LSE), delta: e.arg(a.Delta),
		q: e.arg(a.Q), k: e.arg(a.K), v: e.arg(a.V), heads: int64(a.Heads), mask: maskOf(a.Drop)}
	e.do("AttentionBackward", e.lib.attentionBackward, uintptr(unsafe.Pointer(c)),
		unsafe.Sizeof(*c))
}

type attentionWeightsArgs struct {
	w, q, k tensorArg
	heads   int64
}

// AttentionWeights: w = softmax(q·kᵀ/√(D/A)).
func (e *Engine) AttentionWeights(w, q, k engine.Tensor, heads int) {
	engine.CheckAttentionWeights(w, q, k, heads)
	c := &e.args.attentionWeights
	*c = attentionWeightsArgs{w: e.arg(w), q: e.arg(q), k: e.arg(k), heads: int64(heads)}
	e.do("AttentionWeights", e.lib.attentionWeights, uintptr(unsafe.Pointer(c)),
		unsafe.Sizeof(*c))
}
