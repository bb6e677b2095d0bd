package kernel

import "math"

// power2Go returns 2^x for x ≥ −126, with the arithmetic of the assembly: x is
// split into a whole number k and |z| ≤ ½, and 2^z is a polynomial of Cephes'
// exp2f with relative error 1e-7.
func power2Go(x float32) float32 {
	if x > 127 {
		return float32(math.Exp2(float64(x)))
	}
	const rounds = 3 << 22 // what float32 numbers of this size have no place for
	k := x + rounds - rounds
	z := x - k
	p := 1.535336188319500e-4*z + 1.339887440266574e-3
	p = p*z + 9.618437357674640e-3
	p = p*z + 5.550332471162809e-2
	p = p*z + 2.402264791363012e-1
	p = p*z + 6.931472028550421e-1
	p = p*z + 1
	return p * math.Float32frombits(uint32(int32(k)+127)<<23)
}

// normalGo returns Φ(x) and exp(−x²/2). With t = 1/(1 + 0.28·|x|), h =
// t·P(t)·exp(−x²/2) is the tail beyond |x|: Φ is h for negative x and 1 − h
// otherwise. P is a minimax polynomial with relative error 9e-8. The exponential
// is 0 below 2⁻¹²⁶.
func normalGo(x float32) (phi, e float32) {
	if z := x * x * (-0.5 * log2E); !(z < exp2Min) {
		e = power2Go(z)
	}
	t := 1 / (1 + 0.28*math.Float32frombits(math.Float32bits(x)&^(1<<31)))
	p := 0.02585849394302939*t - 0.09804419834403548
	p = p*t + 0.09953502188862114
	p = p*t - 0.012412873604211597
	p = p*t + 0.07559203660773291
	p = p*t + 0.08288771924772469
	p = p*t + 0.10318591053601066
	p = p*t + 0.11169401134402933
	p = p*t + 0.11170392327717106
	h := p * t * e
	if x < 0 {
		return h, e
	}
	return 1 - h, e
}
