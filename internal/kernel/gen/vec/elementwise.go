package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// elementwise writes the kernels that do little more than read and write.
func elementwise() {
	begin("axpyAVX2", "func(y, x *float32, n int, a float32)", "axpyAVX2 adds a·x to y.")
	y, x, n, a := pointer("y"), pointer("x"), integer("n"), spread("a")
	each("axpy", n, 4, func(i GPVirtual, u int) {
		t := YMM()
		VMOVUPS(at(y, i, u), t)
		VFMADD231PS(at(x, i, u), a, t)
		VMOVUPS(t, at(y, i, u))
	})
	end()

	begin("scaleAVX2", "func(x *float32, n int, a float32)", "scaleAVX2 multiplies x by a.")
	x, n, a = pointer("x"), integer("n"), spread("a")
	each("scale", n, 4, func(i GPVirtual, u int) {
		t := YMM()
		VMULPS(at(x, i, u), a, t)
		VMOVUPS(t, at(x, i, u))
	})
	end()

	begin("add3AVX2", "func(y, x, a, b *float32, n int)", "add3AVX2 sets y = x + a + b.")
	y, x, n = pointer("y"), pointer("x"), integer("n")
	pa, pb := pointer("a"), pointer("b")
	each("add3", n, 4, func(i GPVirtual, u int) {
		t := YMM()
		VMOVUPS(at(x, i, u), t)
		VADDPS(at(pa, i, u), t, t)
		VADDPS(at(pb, i, u), t, t)
		VMOVUPS(t, at(y, i, u))
	})
	end()

	begin("sumSquaresAVX2", "func(x *float32, n int) float64", "sumSquaresAVX2 returns Σ x².")
	x, n = pointer("x"), integer("n")
	s := zeros(8)
	each("sumSquares", n, 4, func(i GPVirtual, u int) {
		low, high := YMM(), YMM()
		VCVTPS2PD(at(x, i, u), low)
		VCVTPS2PD(at(x, i, u).Offset(16), high)
		VFMADD231PD(low, low, s[2*u])
		VFMADD231PD(high, high, s[2*u+1])
	})
	for half := len(s) / 2; half > 0; half /= 2 {
		for i := range half {
			VADDPD(s[i+half], s[i], s[i])
		}
	}
	high := XMM()
	VEXTRACTF128(U8(1), s[0], high)
	VADDPD(high, s[0].AsX(), high)
	VHADDPD(high, high, high)
	Store(high, ReturnIndex(0))
	end()
}

// pixels takes eight RGB pixels, 24 bytes, as two overlapping loads of 16.
func pixels() {
	begin("pixelsAVX2", "func(y *float32, x *byte, n, plane int, a, b *float32)",
		"pixelsAVX2 sets y[c·plane+i] = x[3i+c]·a[c] + b[c].")
	x, n, plane := pointer("x"), integer("n"), integer("plane")
	pa, pb := pointer("a"), pointer("b")
	var y [3]GPVirtual
	var pick, a, b [3]VecVirtual
	y[0] = pointer("y")
	for c := range y {
		if c > 0 {
			y[c] = GP64()
			LEAQ(Mem{Base: y[c-1], Index: plane, Scale: 4}, y[c])
		}
		mask := GLOBL("pixelPick"+string(rune('0'+c)), RODATA|NOPTR)
		for j := range lanes {
			DATA(4*j, U32(0x80808000|uint32(3*(j%4)+c+4*(j/4))))
		}
		pick[c], a[c], b[c] = YMM(), YMM(), YMM()
		VMOVDQU(mask, pick[c])
		VBROADCASTSS(Mem{Base: pa, Disp: 4 * c}, a[c])
		VBROADCASTSS(Mem{Base: pb, Disp: 4 * c}, b[c])
	}
	each("pixels", n, 1, func(i GPVirtual, u int) {
		raw := YMM()
		VMOVDQU(Mem{Base: x}, raw.AsX())
		VINSERTI128(U8(1), Mem{Base: x, Disp: 8}, raw, raw)
		for c := range y {
			t := YMM()
			VPSHUFB(pick[c], raw, t)
			VCVTDQ2PS(t, t)
			VFMADD213PS(b[c], a[c], t)
			VMOVUPS(t, at(y[c], i, u))
		}
		ADDQ(U32(3*lanes), x)
	})
	end()
}
