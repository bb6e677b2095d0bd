package torch

import (
	"unsafe"

	"avjepa/internal/engine"
)

type reduceArgs struct {
	out, x  tensorArg
	maxNorm float64
}

// reduce calls an operation that makes one number.
func (e *Engine) reduce(name string, f function, out, x engine.Tensor, maxNorm float64) {
	c := &e.args.reduce
	*c = reduceArgs{out: e.arg(out), x: e.arg(x), maxNorm: maxNorm}
	e.do(name, f, uintptr(unsafe.Pointer(c)), unsafe.Sizeof(*c))
}

// SquaredNorm: out = Σ x².
func (e *Engine) SquaredNorm(out, x engine.Tensor) {
	engine.CheckSquaredNorm(out, x)
	e.reduce("SquaredNorm", e.lib.squaredNorm, out, x, 0)
}

// ClipScale: scale = min(1, maxNorm/(√sq + 1e-6)); 1 when maxNorm ≤ 0.
func (e *Engine) ClipScale(scale, sq engine.Tensor, maxNorm float64) {
	engine.CheckClipScale(scale, sq)
	e.reduce("ClipScale", e.lib.clipScale, scale, sq, maxNorm)
}

type adamwArgs struct {
	param, grad, m, v, scale           tensorArg
	lr, beta1, beta2, eps, weightDecay float64
	step                               int64
}

// AdamW: see engine.AdamWArgs.
func (e *Engine) AdamW(a engine.AdamWArgs) {
	a.Check()
	c := &e.args.adamw
	*c = adamwArgs{param: e.arg(a.Param), grad: e.arg(a.Grad), m: e.arg(a.M), v: e.arg(a.V),
		scale: e.arg(a.Scale), lr: a.LR, beta1: a.Beta1, beta2: a.Beta2, eps: a.Eps,
		weightDecay: a.WeightDecay, step: int64(a.Step)}
	e.do("AdamW", e.lib.adamw, uintptr(unsafe.Pointer(c)), unsafe.Sizeof(*c))
}
