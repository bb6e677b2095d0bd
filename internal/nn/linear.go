package nn

import (
	"math"

	"avjepa/internal/engine"
	"avjepa/internal/tensor"
)

// Linear is y = x·Wᵀ + b.
//
//	W  (out, in)
//	B  (out)
type Linear struct{ W, B *Param }

// NewLinear registers name.weight and name.bias.
func NewLinear(ps *Params, name string, in, out int, weight, bias Init) Linear {
	return Linear{
		W: ps.Add(name+".weight", tensor.Of(out, in), weight, false),
		B: ps.Add(name+".bias", tensor.Of(out), bias, true),
	}
}

// FanIn is PyTorch's default for the weights and biases of a linear layer:
// uniform within ±1/√in.
func FanIn(in int) Init { return Uniform(1 / math.Sqrt(float64(in))) }

// Forward sets y (R, out) from x (R, in); both may be strided.
func (l Linear) Forward(cx *Context, y, x engine.Tensor) {
	cx.Engine.Linear(engine.LinearArgs{Y: y, X: x, W: l.W.Value, Bias: l.B.Value})
}

// Backward adds the gradients of W and B; x is Forward's. When dx is not nil it
// is set to dy·W.
func (l Linear) Backward(cx *Context, dx, dy, x engine.Tensor) {
	l.BackwardWeight(cx, dy, x)
	if !dx.Nil() {
		cx.Engine.LinearInput(engine.LinearInputArgs{DX: dx, DY: dy, W: l.W.Value})
	}
}

// BackwardWeight adds the gradients of W and B alone.
func (l Linear) BackwardWeight(cx *Context, dy, x engine.Tensor) {
	cx.Engine.LinearWeight(engine.LinearWeightArgs{
		DW: l.W.Grad, DBias: l.B.Grad, DY: dy, X: x})
}
