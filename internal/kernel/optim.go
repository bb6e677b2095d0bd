package kernel

import "math"

// SumSquares returns Σ x², squared and added in float64: gradients too small for
// their squares to be float32 still count.
func SumSquares(x []float32) float64 {
	var sum float64
	w := whole(len(x))
	if w > 0 {
		sum = sumSquaresAVX2(&x[0], w)
	}
	for _, v := range x[w:] {
		sum += float64(v) * float64(v)
	}
	return sum
}

// AdamWStep holds the numbers of one AdamW step, see NewAdamWStep.
type AdamWStep struct {
	// The assembly reads the fields by their order.
	Beta1, Rest1 float32 // β₁, 1−β₁
	Beta2, Rest2 float32 // β₂, 1−β₂
	Decay        float32 // 1 − lr·wd
	Rate         float32 // lr/(1−β₁ᵗ)
	Unbias2      float32 // 1/(1−β₂ᵗ)
	Eps          float32
	Scale        float32 // of the gradient
}

// NewAdamWStep returns the numbers of step t ≥ 1, computed in float64.
func NewAdamWStep(lr, beta1, beta2, eps, wd float64, t int, scale float32) AdamWStep {
	return AdamWStep{
		Beta1: float32(beta1), Rest1: float32(1 - beta1),
		Beta2: float32(beta2), Rest2: float32(1 - beta2),
		Decay:   float32(1 - lr*wd),
		Rate:    float32(lr / (1 - math.Pow(beta1, float64(t)))),
		Unbias2: float32(1 / (1 - math.Pow(beta2, float64(t)))),
		Eps:     float32(eps),
		Scale:   scale,
	}
}

// AdamW updates the parameters p and both moments m and v from the gradient g,
// all of one length. With g′ = scale·g: m = β₁m + (1−β₁)g′,
// v = β₂v + (1−β₂)g′², p = p·decay − rate·m/(√(v·unbias2) + eps).
//
// Denormal numbers count as 0: the squares of small gradients and the moments
// of parameters that no longer get any would be denormal, and cost twentyfold.
//
// Source: arXiv:1711.05101, algorithm 2. Differs: by the above.
func AdamW(p, g, m, v []float32, s *AdamWStep) {
	n := len(p)
	g, m, v = g[:n], m[:n], v[:n]
	w := whole(n)
	if w > 0 {
		adamwAVX2(&p[0], &g[0], &m[0], &v[0], w, &s.Beta1)
	}
	for i := w; i < n; i++ {
		gi := normal(g[i]) * s.Scale
		m[i] = normal(s.Beta1*normal(m[i]) + s.Rest1*gi)
		v[i] = normal(s.Beta2*normal(v[i]) + s.Rest2*normal(gi*gi))
		root := float32(math.Sqrt(float64(v[i] * s.Unbias2)))
		p[i] = normal(normal(p[i])*s.Decay - s.Rate*m[i]/(root+s.Eps))
	}
}

// normal returns x, or 0 when x is denormal.
func normal(x float32) float32 {
	const smallest = 0x1p-126
	if x > -smallest && x < smallest {
		return 0
	}
	return x
}
