package cpu

import (
	"math"

	"avjepa/internal/engine"
	"avjepa/internal/kernel"
)

// SquaredNorm sets out to Σ x².
func (e *Engine) SquaredNorm(out, x engine.Tensor) {
	engine.CheckSquaredNorm(out, x)
	t := &e.squaredNormTask
	*t = squaredNormTask{x: vec(x)}
	n := parts(len(t.x), blockElems)
	t.sums = e.partials(n)
	e.pool.Run(t, n)
	vec(out)[0] = float32(sum(t.sums))
}

type squaredNormTask struct {
	x    []float32
	sums []float64
}

func (t *squaredNormTask) Run(_, i int) {
	lo, hi := part(i, blockElems, len(t.x))
	t.sums[i] = kernel.SumSquares(t.x[lo:hi])
}

// ClipScale sets scale to min(1, maxNorm/(√sq + 1e-6)), 1 if maxNorm ≤ 0.
func (e *Engine) ClipScale(scale, sq engine.Tensor, maxNorm float64) {
	engine.CheckClipScale(scale, sq)
	s := 1.0
	if maxNorm > 0 {
		s = min(1, maxNorm/(math.Sqrt(float64(vec(sq)[0]))+1e-6))
	}
	vec(scale)[0] = float32(s)
}

// AdamW takes one step of decoupled-weight-decay Adam.
func (e *Engine) AdamW(a engine.AdamWArgs) {
	a.Check()
	scale := float32(1)
	if !a.Scale.Nil() {
		scale = vec(a.Scale)[0]
	}
	t := &e.adamwTask
	*t = adamwTask{p: vec(a.Param), g: vec(a.Grad), m: vec(a.M), v: vec(a.V),
		step: kernel.NewAdamWStep(a.LR, a.Beta1, a.Beta2, a.Eps, a.WeightDecay, a.Step, scale)}
	e.pool.Run(t, parts(len(t.p), blockElems))
}

type adamwTask struct {
	p, g, m, v []float32
	step       kernel.AdamWStep
}

func (t *adamwTask) Run(_, i int) {
	lo, hi := part(i, blockElems, len(t.p))
	kernel.AdamW(t.p[lo:hi], t.g[lo:hi], t.m[lo:hi], t.v[lo:hi], &t.step)
}
