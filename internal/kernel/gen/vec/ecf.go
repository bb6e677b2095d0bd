package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// turn holds what a row needs while it goes through its angles first + k·step:
// (c, s) = (cos, sin) of the step, (ck, sk) those of angle k.
type turn struct {
	set          *set
	c, s, ck, sk VecVirtual
}

// next replaces k by k + 1.
func (a *turn) next() {
	t := a.set.vec()
	VMULPS(a.s, a.ck, t)
	VFMADD231PS(a.c, a.sk, t)
	VMULPS(a.s, a.sk, a.sk)
	VFMSUB231PS(a.c, a.ck, a.sk)
	// Now t holds the sine and sk the cosine.
	VMOVAPS(a.sk, a.ck)
	VMOVAPS(t, a.sk)
}

// ecfWriter writes a kernel over the angles of one register of directions, all
// of whose rows it goes through.
type ecfWriter struct {
	*set
	x, rows, ld, consts, odd GPVirtual
	largest                  VecVirtual
}

func (s *set) newECFWriter() *ecfWriter {
	w := &ecfWriter{set: s, x: pointer("x"), rows: integer("rows"), ld: integer("ld"),
		consts: pointer("consts"), odd: integer("odd"), largest: s.zero()}
	SHLQ(U8(2), w.ld)
	return w
}

// newTurn returns the angles of the next row at k = 0, and raises largest to |x|.
//
// With unit the fraction of a turn that consts stand for, the angles are k·unit·x,
// and if odd is set (2k + 1)·unit·x. The angle unit·x is reduced to a quarter
// turn with π/2 in three parts: the first has so few digits that its multiples
// are exact, so unit·x − k·π/2 is rounded once. At k = 0 an even angle holds
// 1 + 0·x and 0·x, which is NaN for a NaN.
func (w *ecfWriter) newTurn(label string) turn {
	k, r, r2, q, t := w.vec(), w.vec(), w.vec(), w.vec(), w.vec()
	x := w.load(Mem{Base: w.x})
	ADDQ(w.ld, w.x)
	VANDPS(w.constant(0x7FFFFFFF), x, t)
	VMAXPS(w.largest, t, w.largest)
	VMULPS(w.broadcast(Mem{Base: w.consts, Disp: 8}), x, k)
	w.round(k)
	VMULPS(w.number(1.5703125), k, r)
	VFMSUB231PS(w.broadcast(Mem{Base: w.consts}), x, r) // r = x·hi − r
	VFMADD231PS(w.broadcast(Mem{Base: w.consts, Disp: 4}), x, r)
	VFNMADD231PS(w.number(4.837512969970703125e-4), k, r)
	VFNMADD231PS(w.number(7.549789948768648e-8), k, r)
	VCVTPS2DQ(k, q)
	VMULPS(r, r, r2)
	s := w.horner(r2, -1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
	VMULPS(r2, s, s)
	VFMADD213PS(r, r, s)
	c := w.horner(r2, 2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2, -0.5, 1)
	// An odd quarter turn swaps sine and cosine; bit 1 of q is the sine's sign,
	// bit 1 of q + 1 the cosine's.
	a := turn{w.set, w.vec(), w.vec(), w.vec(), w.vec()}
	VPSLLD(U8(31), q, t)
	w.blend(t, c, s, a.s)
	w.blend(t, s, c, a.c)
	VPSRLD(U8(1), q, t)
	VPSLLD(U8(31), t, t)
	VXORPS(t, a.s, a.s)
	VPADDD(w.constant(1), q, t)
	VPSRLD(U8(1), t, t)
	VPSLLD(U8(31), t, t)
	VXORPS(t, a.c, a.c)
	VMULPS(w.number(0), x, a.sk)
	VADDPS(w.number(1), a.sk, a.ck)

	TESTQ(w.odd, w.odd)
	JZ(LabelRef(label))
	VMOVAPS(a.c, a.ck)
	VMOVAPS(a.s, a.sk)
	VADDPS(a.s, a.s, t)
	VMULPS(t, a.c, a.s)
	VMULPS(t, a.sk, a.c)
	VSUBPS(a.c, w.numberIn(1), a.c)
	Label(label)
	return a
}

// eachRows runs body for as many rows at once as there are registers for, whose
// chains of rotations overlap, then for the others.
func (w *ecfWriter) eachRows(body func(label string, a []turn)) {
	many := 2
	if w.set == avx512 {
		many = 4
	}
	for _, count := range []int{many, 1} {
		label := "rows" + string(rune('0'+count))
		Label(label)
		CMPQ(w.rows, U32(count))
		JLT(LabelRef(label + "End"))
		a := make([]turn, count)
		for i := range a {
			a[i] = w.newTurn(label + "Turn" + string(rune('0'+i)))
		}
		body(label, a)
		SUBQ(U32(count), w.rows)
		JMP(LabelRef(label))
		Label(label + "End")
	}
	VMOVUPS(w.largest, Mem{Base: pointer("largest")})
	end()
}

// ecf writes both directions for a register of directions and all rows.
func (s *set) ecf() {
	s.begin("ecfForward",
		"func(sums, x *float32, rows, ld, angles, odd int, consts, largest *float32)",
		" adds cos and sin of every angle to sums (angles, 2, lanes).")
	sums := pointer("sums")
	w := s.newECFWriter()
	w.eachRows(func(label string, a []turn) {
		at, k := GP64(), integer("angles")
		MOVQ(sums, at)
		Label(label + "Angle")
		c, sn := w.load(Mem{Base: at}), w.load(Mem{Base: at, Disp: 4 * w.lanes})
		for i := range a {
			VADDPS(a[i].ck, c, c)
			VADDPS(a[i].sk, sn, sn)
		}
		VMOVUPS(c, Mem{Base: at})
		VMOVUPS(sn, Mem{Base: at, Disp: 4 * w.lanes})
		for i := range a {
			a[i].next()
		}
		ADDQ(U32(8*w.lanes), at)
		DECQ(k)
		JNE(LabelRef(label + "Angle"))
	})

	s.begin("ecfBackward",
		"func(dx, x, coef *float32, rows, ld, angles, odd int, consts, largest *float32)",
		" sets dx = Σ_k cos·B − sin·A, coef holding B and A (angles, 2, lanes).")
	dx, coef := pointer("dx"), pointer("coef")
	w = s.newECFWriter()
	// The sum is the real part of Σ (B + iA)·exp(i·angle): up to a factor a polynomial in
	// exp(i·step): Horner's rule, from the last coefficient down.
	w.eachRows(func(label string, a []turn) {
		re, im := w.zeros(len(a)), w.zeros(len(a))
		at, k := GP64(), integer("angles")
		IMUL3Q(I32(8*w.lanes), k, at)
		ADDQ(coef, at)
		Label(label + "Angle")
		SUBQ(U32(8*w.lanes), at)
		for i := range a {
			t := w.vec()
			VMOVAPS(re[i], t)
			VFMADD213PS(Mem{Base: at}, a[i].c, t)
			VFNMADD231PS(im[i], a[i].s, t)
			VFMADD213PS(Mem{Base: at, Disp: 4 * w.lanes}, a[i].c, im[i])
			VFMADD231PS(re[i], a[i].s, im[i])
			VMOVAPS(t, re[i])
		}
		DECQ(k)
		JNE(LabelRef(label + "Angle"))
		for i := range a {
			VMULPS(a[i].ck, re[i], re[i])
			VFNMADD231PS(a[i].sk, im[i], re[i])
			VMOVUPS(re[i], Mem{Base: dx})
			ADDQ(w.ld, dx)
		}
	})
}
