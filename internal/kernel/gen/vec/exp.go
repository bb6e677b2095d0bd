package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"

	"avjepa/internal/kernel/gen/denormal"
)

const roundNearest = 8 // to the nearest even number, without exceptions

// scalePower multiplies p by 2^k, k whole, by adding to its exponent. A NaN
// survives: it converts to 1<<31, which the shift turns into 0.
func scalePower(p, k VecVirtual) {
	i := YMM()
	VCVTPS2DQ(k, i)
	VPSLLD(U8(23), i, i)
	VPADDD(i, p, p)
}

// exponential writes exp with the polynomial of Cephes' expf. The minimum and
// maximum take x as their second operand, which is the one a NaN comes back
// from.
func exponential() {
	begin("expAVX2", "func(y, x *float32, n int)", "expAVX2 sets y = exp(x), x clamped.")
	y, x, n := pointer("y"), pointer("x"), integer("n")
	low, high := keep(-87.3), keep(88.3)
	each("exp", n, 1, func(i GPVirtual, u int) {
		r, k, r2 := YMM(), YMM(), YMM()
		VMOVUPS(at(x, i, u), r)
		VMAXPS(r, low, r)
		VMINPS(r, high, r)
		VMULPS(splat(math.Log2E), r, k)
		VROUNDPS(U8(roundNearest), k, k)
		VFNMADD231PS(splat(0.693359375), k, r)
		VFNMADD231PS(splat(-2.12194440e-4), k, r)
		VMULPS(r, r, r2)
		p := horner(r, 1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2,
			1.6666665459e-1, 5.0000001201e-1)
		VFMADD213PS(r, r2, p)
		VADDPS(splat(1), p, p)
		scalePower(p, k)
		VMOVUPS(p, at(y, i, u))
	})
	end()
}

// power2 holds the coefficients of 2^z for |z| ≤ ½, from Cephes' exp2f.
var power2 = []float32{1.535336188319500e-4, 1.339887440266574e-3, 9.618437357674640e-3,
	5.550332471162809e-2, 2.402264791363012e-1, 6.931472028550421e-1, 1}

// normalTail holds the coefficients of P in normal.
var normalTail = []float32{0.02585849394302939, -0.09804419834403548, 0.09953502188862114,
	-0.012412873604211597, 0.07559203660773291, 0.08288771924772469, 0.10318591053601066,
	0.11169401134402933, 0.11170392327717106}

const notLessEqual = 6 // true for NaN

// normal returns Φ(x) and exp(−x²/2) of a register x.
//
// With t = 1/(1 + 0.28·|x|), h = t·P(t)·exp(−x²/2) is the tail beyond |x|: Φ is
// h for negative x and 1 − h otherwise. P is a minimax polynomial with relative
// error 9e-8, so Φ is good to some roundings even where it is tiny. The
// exponential is 0 below 2⁻¹²⁶; what the arithmetic makes of such arguments is
// masked out, but not what it makes of a NaN.
func normal(x VecVirtual) (phi, e VecVirtual) {
	z, k, mask := YMM(), YMM(), YMM()
	VMULPS(x, x, z)
	VMULPS(splat(-0.5*math.Log2E), z, z)
	VCMPPS(U8(notLessEqual), splat(-126), z, mask)
	VROUNDPS(U8(roundNearest), z, k)
	VSUBPS(k, z, z)
	e = horner(z, power2...)
	scalePower(e, k)
	VANDPS(mask, e, e)

	t, one := YMM(), YMM()
	VMOVUPS(splat(1), one)
	VANDPS(splatBits(0x7FFFFFFF), x, t)
	VFMADD213PS(one, mul(splat(0.28)), t)
	VDIVPS(t, one, t)
	h := horner(t, normalTail...)
	VMULPS(t, h, h)
	VMULPS(e, h, h)
	phi = YMM()
	VSUBPS(h, one, phi)
	VBLENDVPS(x, h, phi, phi)
	return phi, e
}

// mul loads a constant for use as a multiplier.
func mul(m Mem) VecVirtual {
	r := YMM()
	VMOVUPS(m, r)
	return r
}

func gelu() {
	begin("geluAVX2", "func(y, x *float32, n int)", "geluAVX2 sets y = x·Φ(x).")
	y, x, n := pointer("y"), pointer("x"), integer("n")
	denormal.Flush(func() {
		each("gelu", n, 1, func(i GPVirtual, u int) {
			v := YMM()
			VMOVUPS(at(x, i, u), v)
			phi, _ := normal(v)
			VMULPS(phi, v, v)
			VMOVUPS(v, at(y, i, u))
		})
	})
	end()

	begin("dgeluAVX2", "func(dx, dy, x *float32, n int)",
		"dgeluAVX2 sets dx = dy·(Φ(x) + x·φ(x)).")
	dgelu(nil)
	begin("geluBackAVX2", "func(dx, dy, x, y *float32, n int)",
		"geluBackAVX2 sets dx = dy·(Φ(x) + x·φ(x)) and y = x·Φ(x).")
	dgelu(pointer("y"))
}

// dgelu writes the body of the backward pass, with y the forward's again unless
// that is nil.
func dgelu(y GPVirtual) {
	dx, dy := pointer("dx"), pointer("dy")
	x, n := pointer("x"), integer("n")
	denormal.Flush(func() {
		each("dgelu", n, 1, func(i GPVirtual, u int) {
			v := YMM()
			VMOVUPS(at(x, i, u), v)
			phi, e := normal(v)
			if y != nil {
				t := YMM()
				VMULPS(phi, v, t)
				VMOVUPS(t, at(y, i, u))
			}
			VMULPS(splat(float32(1/math.Sqrt(2*math.Pi))), e, e)
			VFMADD231PS(e, v, phi)
			VMULPS(at(dy, i, u), phi, phi)
			VMOVUPS(phi, at(dx, i, u))
		})
	})
	end()
}
