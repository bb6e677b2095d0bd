package kernel

import "math"

// geluScalar returns x·Φ(x) and its derivative Φ(x) + x·φ(x).
func geluScalar(x float32) (y, dy float32) {
	v := float64(x)
	phi := 0.5 * (1 + math.Erf(v/math.Sqrt2))
	return float32(v * phi), float32(phi + v*math.Exp(-0.5*v*v)/math.Sqrt(2*math.Pi))
}
