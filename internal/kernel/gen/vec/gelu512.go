package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"avjepa/internal/kernel/gen/denormal"
)

// spread512 keeps constants in registers, of which there are 32.
func spread512(values ...float32) []VecVirtual {
	v := make([]VecVirtual, len(values))
	for i := range v {
		v[i] = ZMM()
		VBROADCASTSS(splat(values[i]), v[i])
	}
	return v
}

// horner512 is horner with the coefficients in registers.
func horner512(x VecVirtual, c []VecVirtual) VecVirtual {
	p := ZMM()
	VMOVAPS(c[0], p)
	for _, v := range c[1:] {
		VFMADD213PS(v, x, p)
	}
	return p
}

// newNormal512 returns normal for sixteen elements: the same arithmetic, the
// same bits.
func newNormal512() func(x VecVirtual) (phi, e VecVirtual) {
	power, tail := spread512(power2...), spread512(normalTail...)
	c := spread512(1, -0.5*math.Log2E, -126, 0.28)
	one, half, lowest, slope := c[0], c[1], c[2], c[3]
	magnitude := ZMM()
	VPBROADCASTD(splatBits(0x7FFFFFFF), magnitude)
	return func(x VecVirtual) (phi, e VecVirtual) {
		z, k, t, negative := ZMM(), ZMM(), ZMM(), K()
		live := K()
		VMULPS(x, x, z)
		VMULPS(half, z, z)
		VCMPPS(U8(notLessEqual), lowest, z, live)
		VRNDSCALEPS(U8(roundNearest), z, k)
		VSUBPS(k, z, z)
		e = horner512(z, power)
		VSCALEFPS_Z(k, e, live, e)
		VANDPS(magnitude, x, t)
		VFMADD213PS(one, slope, t)
		VDIVPS(t, one, t)
		h := horner512(t, tail)
		VMULPS(t, h, h)
		VMULPS(e, h, h)
		phi = ZMM()
		VSUBPS(h, one, phi)
		VPMOVD2M(x, negative)
		VBLENDMPS(h, phi, negative, phi)
		return phi, e
	}
}

// each512 runs body for every 16 of n elements.
func each512(label string, n reg.GPVirtual, body func(i reg.GPVirtual)) {
	i := GP64()
	XORQ(i, i)
	Label(label)
	CMPQ(i, n)
	JGE(LabelRef(label + "End"))
	body(i)
	ADDQ(U32(2*lanes), i)
	JMP(LabelRef(label))
	Label(label + "End")
}

func gelu512() {
	begin("geluAVX512", "func(y, x *float32, n int)", "geluAVX512 sets y = x·Φ(x).")
	y, x, n := pointer("y"), pointer("x"), integer("n")
	normal := newNormal512()
	denormal.Flush(func() {
		each512("gelu", n, func(i GPVirtual) {
			v := ZMM()
			VMOVUPS(at(x, i, 0), v)
			phi, _ := normal(v)
			VMULPS(phi, v, v)
			VMOVUPS(v, at(y, i, 0))
		})
	})
	end()

	begin("dgeluAVX512", "func(dx, dy, x *float32, n int)",
		"dgeluAVX512 sets dx = dy·(Φ(x) + x·φ(x)).")
	dgelu512(nil)
	begin("geluBackAVX512", "func(dx, dy, x, y *float32, n int)",
		"geluBackAVX512 sets dx = dy·(Φ(x) + x·φ(x)) and y = x·Φ(x).")
	dgelu512(pointer("y"))
}

// dgelu512 writes the body of the backward pass, with y the forward's again unless
// that is nil.
func dgelu512(y reg.GPVirtual) {
	dx, dy := pointer("dx"), pointer("dy")
	x, n := pointer("x"), integer("n")
	normal := newNormal512()
	density := spread512(float32(1 / math.Sqrt(2*math.Pi)))[0]
	denormal.Flush(func() {
		each512("dgelu", n, func(i GPVirtual) {
			v := ZMM()
			VMOVUPS(at(x, i, 0), v)
			phi, e := normal(v)
			if y != nil {
				t := ZMM()
				VMULPS(phi, v, t)
				VMOVUPS(t, at(y, i, 0))
			}
			VMULPS(density, e, e)
			VFMADD231PS(e, v, phi)
			VMULPS(at(dy, i, 0), phi, phi)
			VMOVUPS(phi, at(dx, i, 0))
		})
	})
	end()
}
