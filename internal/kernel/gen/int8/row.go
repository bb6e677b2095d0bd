package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// maskFor sets K1 to the lanes of a vector of which n floats are left, n < 16.
func maskFor(n Register) {
	MOVQ(I32(-1), RAX)
	SHLXQ(n, RAX, RAX)
	NOTQ(RAX)
	KMOVW(EAX, K1)
}

// spread sets all lanes of v to a parameter, which a legacy MOVSS would load at
// the price of a change of state: 600 ns a row.
func spread(name string, v VecPhysical) {
	p, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	VBROADCASTSS(p.Addr, v)
}

// rowRange writes the search for the smallest and the largest value.
func rowRange() {
	TEXT("rangeAVX512", NOSPLIT, "func(x *float32, n int, out *float32)")
	Doc("rangeAVX512 sets out to the least of 0 and x, the greatest of 0 and x, and Σ 0·x,",
		"which is NaN when a value is NaN or infinite.")
	Pragma("noescape")
	x, n := RSI, RCX
	Load(Param("x"), x)
	Load(Param("n"), n)
	lo, hi, nan, zero := vec[0:2], vec[2:4], vec[4:6], Z6
	for _, v := range vec[:7] {
		VPXORD(v, v, v)
	}
	take := func(u int) {
		t := vec[8+u]
		VMINPS(t, lo[u], lo[u])
		VMAXPS(t, hi[u], hi[u])
		VFMADD231PS(t, zero, nan[u])
	}
	SUBQ(U32(32), n)
	JL(LabelRef("rest"))
	Label("loop")
	for u := range 2 {
		VMOVUPS(Mem{Base: x, Disp: 64 * u}, vec[8+u])
		take(u)
	}
	ADDQ(U32(128), x)
	SUBQ(U32(32), n)
	JGE(LabelRef("loop"))
	Label("rest")
	ADDQ(U32(32), n)
	Label("one")
	JZ(LabelRef("sum"))
	CMPQ(n, U32(16))
	JGE(LabelRef("whole"))
	maskFor(n)
	VMOVUPS_Z(Mem{Base: x}, K1, Z8)
	take(0)
	JMP(LabelRef("sum"))
	Label("whole")
	VMOVUPS(Mem{Base: x}, Z8)
	take(0)
	ADDQ(U32(64), x)
	SUBQ(U32(16), n)
	JMP(LabelRef("one"))
	Label("sum")
	VMINPS(lo[1], lo[0], lo[0])
	VMAXPS(hi[1], hi[0], hi[0])
	VADDPS(nan[1], nan[0], nan[0])
	Load(Param("out"), RDI)
	for i, f := range []func(ops ...Op){VMINPS, VMAXPS, VADDPS} {
		v := []VecPhysical{Z0, Z2, Z4}[i]
		y := []VecPhysical{Y0, Y2, Y4}[i]
		s := []VecPhysical{X0, X2, X4}[i]
		VEXTRACTF32X8(U8(1), v, Y7)
		f(Y7, y, y)
		VEXTRACTF128(U8(1), y, X7)
		f(X7, s, s)
		VPERMILPS(U8(0b1110), s, X7)
		f(X7, s, s)
		VPERMILPS(U8(0b01), s, X7)
		f(X7, s, s)
		VMOVSS(s, Mem{Base: RDI, Disp: 4 * i})
	}
	VZEROUPPER()
	RET()
}

// rowRound writes the rounding of a row to bytes.
func rowRound() {
	TEXT("roundAVX512", NOSPLIT, "func(q *uint8, x *float32, n int, inv, zero float32)")
	Doc("roundAVX512 sets q to x·inv + zero, rounded to the nearest of 0…255.")
	Pragma("noescape")
	q, x, n := RDI, RSI, RCX
	Load(Param("q"), q)
	Load(Param("x"), x)
	Load(Param("n"), n)
	inv, zero, nought := Z0, Z1, Z2
	spread("inv", inv)
	spread("zero", zero)
	VPXORD(nought, nought, nought)
	round := func(v VecPhysical) {
		VFMADD132PS(inv, zero, v)
		VCVTPS2DQ(v, v)
		VPMAXSD(nought, v, v)
	}
	SUBQ(U32(64), n)
	JL(LabelRef("rest"))
	Label("loop")
	for u := range 4 {
		VMOVUPS(Mem{Base: x, Disp: 64 * u}, vec[4+u])
		round(vec[4+u])
	}
	for u := range 4 {
		VPMOVUSDB(vec[4+u], Mem{Base: q, Disp: 16 * u})
	}
	ADDQ(U32(256), x)
	ADDQ(U32(64), q)
	SUBQ(U32(64), n)
	JGE(LabelRef("loop"))
	Label("rest")
	ADDQ(U32(64), n)
	Label("one")
	JZ(LabelRef("done"))
	CMPQ(n, U32(16))
	JGE(LabelRef("whole"))
	maskFor(n)
	VMOVUPS_Z(Mem{Base: x}, K1, Z4)
	round(Z4)
	VPMOVUSDB(Z4, K1, Mem{Base: q})
	JMP(LabelRef("done"))
	Label("whole")
	VMOVUPS(Mem{Base: x}, Z4)
	round(Z4)
	VPMOVUSDB(Z4, Mem{Base: q})
	ADDQ(U32(64), x)
	ADDQ(U32(16), q)
	SUBQ(U32(16), n)
	JMP(LabelRef("one"))
	Label("done")
	VZEROUPPER()
	RET()
}
