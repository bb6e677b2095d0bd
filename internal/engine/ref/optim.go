package ref

import (
	"math"

	"avjepa/internal/engine"
)

// SquaredNorm: out = Σ x².
func (e *Engine) SquaredNorm(out, x engine.Tensor) {
	engine.CheckSquaredNorm(out, x)
	v := e.load(x)
	e.store(out, []float64{dot(v, v)})
}

// ClipScale: scale = min(1, maxNorm/(√sq + 1e-6)); 1 when maxNorm ≤ 0.
func (e *Engine) ClipScale(scale, sq engine.Tensor, maxNorm float64) {
	engine.CheckClipScale(scale, sq)
	s := 1.0
	if maxNorm > 0 {
		s = min(1, maxNorm/(math.Sqrt(e.load(sq)[0])+1e-6))
	}
	e.store(scale, []float64{s})
}

// AdamW: with g = scale·grad, m = β₁m + (1−β₁)g, v = β₂v + (1−β₂)g²,
// p = p·(1 − lr·wd) − lr·(m/(1−β₁ᵗ)) / (√(v/(1−β₂ᵗ)) + eps).
func (e *Engine) AdamW(a engine.AdamWArgs) {
	a.Check()
	p, grad, m, v := e.load(a.Param), e.load(a.Grad), e.load(a.M), e.load(a.V)
	scale := 1.0
	if !a.Scale.Nil() {
		scale = e.load(a.Scale)[0]
	}
	unbias1 := 1 - math.Pow(a.Beta1, float64(a.Step))
	unbias2 := 1 - math.Pow(a.Beta2, float64(a.Step))
	for i := range p {
		g := scale * grad[i]
		m[i] = a.Beta1*m[i] + (1-a.Beta1)*g
		v[i] = a.Beta2*v[i] + (1-a.Beta2)*g*g
		p[i] *= 1 - a.LR*a.WeightDecay
		p[i] -= a.LR * (m[i] / unbias1) / (math.Sqrt(v[i]/unbias2) + a.Eps)
	}
	e.store(a.Param, p)
	e.store(a.M, m)
	e.store(a.V, v)
}
