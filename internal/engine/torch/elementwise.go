package torch

import (
	"unsafe"

	"avjepa/internal/engine"
	"avjepa/internal/rng"
)

// GELU: y = x·Φ(x).
func (e *Engine) GELU(y, x engine.Tensor) {
	engine.CheckGELU(y, x)
	e.pair("GELU", e.lib.gelu, y, x, 0)
}

type geluBackwardArgs struct{ dx, dy, x tensorArg }

// GELUBackward: dx = dy·(Φ(x) + x·φ(x)).
func (e *Engine) GELUBackward(dx, dy, x engine.Tensor) {
	engine.CheckGELUBackward(dx, dy, x)
	c := &e.args.geluBackward
	*c = geluBackwardArgs{dx: e.arg(dx), dy: e.arg(dy), x: e.arg(x)}
	e.do("GELUBackward", e.lib.geluBackward, uintptr(unsafe.Pointer(c)), unsafe.Sizeof(*c))
}

type dropoutArgs struct {
	y, x tensorArg
	mask maskArg
}

// Dropout: y = x/(1−P) where the mask keeps, else 0.
func (e *Engine) Dropout(y, x engine.Tensor, m rng.Mask) {
	engine.CheckDropout(y, x, m)
	c := &e.args.dropout
	*c = dropoutArgs{y: e.arg(y), x: e.arg(x), mask: maskOf(m)}
	e.do("Dropout", e.lib.dropout, uintptr(unsafe.Pointer(c)), unsafe.Sizeof(*c))
}

// AddTo: dst += alpha·x.
func (e *Engine) AddTo(dst, x engine.Tensor, alpha float32) {
	engine.CheckAddTo(dst, x)
	e.pair("AddTo", e.lib.addTo, dst, x, float64(alpha))
}

// Scale: x = alpha·x.
func (e *Engine) Scale(x engine.Tensor, alpha float32) {
	engine.CheckScale(x)
	e.scalar("Scale", e.lib.scale, x, alpha)
}
