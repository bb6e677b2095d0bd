package engine

import "math"

// Knots are the points at which characteristic functions are compared: Count
// points evenly on [−Max, Max], or with Half on [0, Max] with doubled weight.
type Knots struct {
	Max   float64
	Count int
	Half  bool
}

// At returns knot q, for q in 0…Count−1.
func (k Knots) At(q int) float64 {
	if k.Half {
		return k.Max * float64(q) / float64(k.Count-1)
	}
	return -k.Max + 2*k.Max*float64(q)/float64(k.Count-1)
}

// Target returns φ(t) = exp(−t²/2) at knot q: the characteristic function of
// the standard normal distribution, and the weight of the integral.
func (k Knots) Target(q int) float64 {
	t := k.At(q)
	return math.Exp(-t * t / 2)
}

// Weight returns the weight of knot q in the trapezoid rule: the distance
// between knots, half of it at both ends, and twice that with Half.
func (k Knots) Weight(q int) float64 {
	w := 2 * k.Max / float64(k.Count-1) // with Half: Max/(Count−1), doubled
	if q == 0 || q == k.Count-1 {
		return w / 2
	}
	return w
}
