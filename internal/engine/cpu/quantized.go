package cpu

import (
	"errors"

	"avjepa/internal/engine"
	"avjepa/internal/kernel"
)

// quantized holds 8-bit copies of weights, by where these lie.
type quantized struct {
	gemm   *kernel.Int8Gemm
	args   kernel.Int8Args
	copies map[engine.Tensor]*kernel.Int8Weights
}

var _ engine.Quantizer = (*Engine)(nil)

// QuantizeWeights makes Linear multiply by 8-bit copies of the matrices: see
// engine.Quantizer.
func (e *Engine) QuantizeWeights(ws ...engine.Tensor) error {
	if !kernel.HasInt8() {
		return errors.New("cpu: 8-bit products need a processor with AVX-512 VNNI: " +
			"use 32-bit floats")
	}
	q := &e.quantized
	if q.gemm == nil {
		q.gemm = kernel.NewInt8Gemm(e.pool)
		q.copies = make(map[engine.Tensor]*kernel.Int8Weights)
	}
	for _, w := range ws {
		engine.CheckQuantize(w)
		q.copies[w] = kernel.NewInt8Weights(vec(w), w.Rows(), w.Cols())
	}
	return nil
}

// linear does the product in bytes and reports true, or reports false when W has
// no copy.
func (q *quantized) linear(a *engine.LinearArgs) bool {
	w := q.copies[a.W]
	if w == nil || !a.Pre.Nil() || a.GELU && !a.Residual.Nil() {
		return false
	}
	x, y, res := mat(a.X), mat(a.Y), mat(a.Residual)
	q.args = kernel.Int8Args{M: y.rows, W: w,
		A: x.data, LDA: x.stride, C: y.data, LDC: y.stride,
		Bias: vec(a.Bias), GELU: a.GELU, Residual: res.data, LDR: res.stride}
	q.gemm.Do(&q.args)
	return true
}

// forget drops the copies of weights in a buffer that is freed.
func (q *quantized) forget(b *buffer) {
	for w := range q.copies {
		if w.Buffer() == engine.Buffer(b) {
			delete(q.copies, w)
		}
	}
}
