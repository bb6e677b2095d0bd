package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// angle holds what a row needs while it goes through the multiples k of its
// angle: (c, s) = (cos, sin) of the angle, (ck, sk) those of k times it.
type angle struct{ c, s, ck, sk VecVirtual }

// step replaces k by k + 1.
func (a *angle) step() {
	t := YMM()
	VMULPS(a.s, a.ck, t)
	VFMADD231PS(a.c, a.sk, t)
	VMULPS(a.s, a.sk, a.sk)
	VFMSUB231PS(a.c, a.ck, a.sk)
	// Now t holds the sine and sk the cosine.
	VMOVAPS(a.sk, a.ck)
	VMOVAPS(t, a.sk)
}

// newAngle returns the angle step·x at k = 0, and raises largest to |x|. The
// angle is reduced to a quarter turn with π/2 in three parts: the first has so
// few digits that its multiples are exact, so step·x − k·π/2 is rounded once.
// At k = 0 it holds 1 + 0·x and 0·x, which is NaN for a NaN.
func newAngle(x, stepHi, stepLo, turns, largest VecVirtual) angle {
	k, r, r2, q, t := YMM(), YMM(), YMM(), YMM(), YMM()
	VANDPS(splatBits(0x7FFFFFFF), x, t)
	VMAXPS(largest, t, largest)
	VMULPS(turns, x, k)
	VROUNDPS(U8(roundNearest), k, k)
	VMULPS(splat(1.5703125), k, r)
	VFMSUB231PS(stepHi, x, r) // r = x·stepHi − r
	VFMADD231PS(stepLo, x, r)
	VFNMADD231PS(splat(4.837512969970703125e-4), k, r)
	VFNMADD231PS(splat(7.549789948768648e-8), k, r)
	VCVTPS2DQ(k, q)
	VMULPS(r, r, r2)
	s := horner(r2, -1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
	VMULPS(r2, s, s)
	VFMADD213PS(r, r, s)
	c := horner(r2, 2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2, -0.5, 1)
	// An odd quarter turn swaps sine and cosine; bit 1 of q is the sine's sign,
	// bit 1 of q + 1 the cosine's.
	VPSLLD(U8(31), q, t)
	a := angle{YMM(), YMM(), YMM(), YMM()}
	VBLENDVPS(t, c, s, a.s)
	VBLENDVPS(t, s, c, a.c)
	VPSRLD(U8(1), q, t)
	VPSLLD(U8(31), t, t)
	VXORPS(t, a.s, a.s)
	VPADDD(splatBits(1), q, t)
	VPSRLD(U8(1), t, t)
	VPSLLD(U8(31), t, t)
	VXORPS(t, a.c, a.c)
	VMULPS(splat(0), x, a.sk)
	VADDPS(splat(1), a.sk, a.ck)
	return a
}

// ecf writes both directions for eight directions and all rows.
func ecf() {
	begin("ecfForwardAVX2",
		"func(sums, x *float32, rows, ld, multiples int, consts, largest *float32)",
		"ecfForwardAVX2 adds cos and sin of k·step·x to sums (multiples, 2, 8).")
	sums, x, rows, ld := pointer("sums"), pointer("x"), integer("rows"), integer("ld")
	SHLQ(U8(2), ld)
	hi, lo, turns := ecfConsts()
	largest := zero()
	byRows(rows, func(name string, count int) {
		a := make([]angle, count)
		for i := range a {
			v := YMM()
			VMOVUPS(Mem{Base: x}, v)
			ADDQ(ld, x)
			a[i] = newAngle(v, hi, lo, turns, largest)
		}
		at, k := GP64(), integer("multiples")
		MOVQ(sums, at)
		Label(name + "Multiple")
		c, s := YMM(), YMM()
		VADDPS(Mem{Base: at}, a[0].ck, c)
		VADDPS(Mem{Base: at, Disp: 4 * lanes}, a[0].sk, s)
		for i := 1; i < count; i++ {
			VADDPS(a[i].ck, c, c)
			VADDPS(a[i].sk, s, s)
		}
		VMOVUPS(c, Mem{Base: at})
		VMOVUPS(s, Mem{Base: at, Disp: 4 * lanes})
		for i := range a {
			a[i].step()
		}
		ADDQ(U32(8*lanes), at)
		DECQ(k)
		JNE(LabelRef(name + "Multiple"))
	})
	VMOVUPS(largest, Mem{Base: pointer("largest")})
	end()

	begin("ecfBackwardAVX2",
		"func(dx, x, coef *float32, rows, ld, multiples int, consts, largest *float32)",
		"ecfBackwardAVX2 sets dx = Σ_k cos·B − sin·A, coef holding A and B (multiples, 2, 8).")
	dx, coef := pointer("dx"), pointer("coef")
	x, rows, ld = pointer("x"), integer("rows"), integer("ld")
	SHLQ(U8(2), ld)
	hi, lo, turns = ecfConsts()
	largest = zero()
	byRows(rows, func(name string, count int) {
		a := make([]angle, count)
		sums := make([]VecVirtual, count)
		for i := range a {
			v := YMM()
			VMOVUPS(Mem{Base: x}, v)
			ADDQ(ld, x)
			a[i] = newAngle(v, hi, lo, turns, largest)
			sums[i] = zero()
		}
		at, k := GP64(), integer("multiples")
		MOVQ(coef, at)
		Label(name + "Multiple")
		for i := range a {
			VFNMADD231PS(Mem{Base: at}, a[i].sk, sums[i])
			VFMADD231PS(Mem{Base: at, Disp: 4 * lanes}, a[i].ck, sums[i])
			a[i].step()
		}
		ADDQ(U32(8*lanes), at)
		DECQ(k)
		JNE(LabelRef(name + "Multiple"))
		for i := range a {
			VMOVUPS(sums[i], Mem{Base: dx})
			ADDQ(ld, dx)
		}
	})
	VMOVUPS(largest, Mem{Base: pointer("largest")})
	end()
}

// byRows runs body for pairs of rows, whose chains of rotations overlap, then
// for the last one.
func byRows(rows GPVirtual, body func(name string, count int)) {
	for _, count := range []int{2, 1} {
		name := "rows" + string(rune('0'+count))
		Label(name)
		CMPQ(rows, U32(count))
		JLT(LabelRef(name + "End"))
		body(name, count)
		SUBQ(U32(count), rows)
		JMP(LabelRef(name))
		Label(name + "End")
	}
}

// ecfConsts broadcasts the fields of kernel's ecfConsts.
func ecfConsts() (hi, lo, turns VecVirtual) {
	p := pointer("consts")
	hi, lo, turns = YMM(), YMM(), YMM()
	VBROADCASTSS(Mem{Base: p}, hi)
	VBROADCASTSS(Mem{Base: p, Disp: 4}, lo)
	VBROADCASTSS(Mem{Base: p, Disp: 8}, turns)
	return hi, lo, turns
}
