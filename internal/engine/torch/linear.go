package torch

import (
	"unsafe"

	"avjepa/internal/engine"
)

type linearArgs struct {
	y, x, w, bias, residual, pre tensorArg
	gelu                         int64
}

// Linear: y = act(x·Wᵀ + bias) + residual.
func (e *Engine) Linear(a engine.LinearArgs) {
	a.Check()
	c := &e.args.linear
	*c = linearArgs{y: e.arg(a.Y), x: e.arg(a.X), w: e.arg(a.W), bias: e.arg(a.Bias),
		residual: e.arg(a.Residual), pre: e.arg(a.Pre), gelu: flag(a.GELU)}
	e.do("Linear", e.lib.linear, uintptr(unsafe.Pointer(c)), unsafe.Sizeof(*c))
}

type linearInputArgs struct {
	dx, dy, w, pre, act tensorArg
	add                 int64
}

// LinearInput: dx = dy·W, times gelu′(pre) when Pre is given; act = gelu(pre).
func (e *Engine) LinearInput(a engine.LinearInputArgs) {
	a.Check()
	c := &e.args.linearInput
	*c = linearInputArgs{dx: e.arg(a.DX), dy: e.arg(a.DY), w: e.arg(a.W), pre: e.arg(a.Pre),
		act: e.arg(a.Act), add: flag(a.Mode == engine.Add)}
	e.do("LinearInput", e.lib.linearInput, uintptr(unsafe.Pointer(c)), unsafe.Sizeof(*c))
}

type linearWeightArgs struct{ dw, dbias, dy, x tensorArg }

// LinearWeight: dW += dyᵀ·x, dBias += Σ_r dy.
func (e *Engine) LinearWeight(a engine.LinearWeightArgs) {
	a.Check()
	c := &e.args.linearWeight
	*c = linearWeightArgs{dw: e.arg(a.DW), dbias: e.arg(a.DBias), dy: e.arg(a.DY), x: e.arg(a.X)}
	e.do("LinearWeight", e.lib.linearWeight, uintptr(unsafe.Pointer(c)), unsafe.Sizeof(*c))
}
