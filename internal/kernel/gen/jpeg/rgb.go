package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// rgb writes the conversion of 32 pixels a turn. The factors of rgbGo, less
// whole multiples of 65536, fit 16 bits:
//
//	R = y + v + (26345·v)>>16
//	G = y − v + (−22554·u + 18734·v)>>16
//	B = y + 2·u + (−14942·u)>>16
//
// with 1<<15 added before each shift.
func rgb() {
	f := [3]Mem{words("rgbRed", 0, 26345), words("rgbGreen", -22554, 18734),
		words("rgbBlue", -14942, 0)}
	round := lanes("rgbRound", 1<<15)
	centre := lanes("rgbCentre", 128|128<<16)
	// pick[j][c] takes channel c of 16 pixels to the bytes j·16… of their RGB.
	var pick [3][3]Mem
	for j := range pick {
		for c := range pick[j] {
			name := "rgbPick" + string(rune('0'+j)) + string(rune('0'+c))
			pick[j][c] = bytes(name, func(i int) byte {
				if at := 16*j + i; at%3 == c {
					return byte(at / 3)
				}
				return 0x80
			})
		}
	}

	for _, half := range []bool{true, false} {
		name, doc := "rgbAVX2", "rgbAVX2 is rgbGo from 0 to n, a multiple of 32, for shift 0."
		if half {
			name, doc = "rgbHalfAVX2", "rgbHalfAVX2 is rgbGo from 0 to n, a multiple of 32, for shift 1."
		}
		TEXT(name, NOSPLIT, "func(dst, luma, cb, cr *byte, n int)")
		Doc(doc)
		Pragma("noescape")
		dst, luma, cb, cr := pointer("dst"), pointer("luma"), pointer("cb"), pointer("cr")
		n := pointer("n")
		zero := YMM()
		VPXOR(zero, zero, zero)
		Label(name + "Loop")
		// What is added to luma: of the pixels 0…7 and 16…23, then of the rest.
		var add [2][3]VecVirtual
		if half {
			u, v := YMM(), YMM()
			VPMOVZXBW(Mem{Base: cb}, u)
			VPMOVZXBW(Mem{Base: cr}, v)
			once := chroma(u, v, f, round, centre)
			for c := range once {
				add[0][c], add[1][c] = YMM(), once[c]
				VPUNPCKLWD(once[c], once[c], add[0][c])
				VPUNPCKHWD(once[c], once[c], once[c])
			}
		} else {
			for h := range add {
				u, v := YMM(), YMM()
				VMOVDQU(Mem{Base: cb}, u)
				VMOVDQU(Mem{Base: cr}, v)
				if h == 0 {
					VPUNPCKLBW(zero, u, u)
					VPUNPCKLBW(zero, v, v)
				} else {
					VPUNPCKHBW(zero, u, u)
					VPUNPCKHBW(zero, v, v)
				}
				add[h] = chroma(u, v, f, round, centre)
			}
		}
		low, high := YMM(), YMM()
		VMOVDQU(Mem{Base: luma}, high)
		VPUNPCKLBW(zero, high, low)
		VPUNPCKHBW(zero, high, high)
		var channel [3]VecVirtual
		for c := range channel {
			VPADDW(low, add[0][c], add[0][c])
			VPADDW(high, add[1][c], add[1][c])
			VPACKUSWB(add[1][c], add[0][c], add[0][c])
			channel[c] = add[0][c]
		}
		for j := range pick {
			t, o := YMM(), YMM()
			VPSHUFB(pick[j][0], channel[0], o)
			VPSHUFB(pick[j][1], channel[1], t)
			VPOR(t, o, o)
			VPSHUFB(pick[j][2], channel[2], t)
			VPOR(t, o, o)
			VMOVDQU(o.AsX(), Mem{Base: dst, Disp: 16 * j})
			VEXTRACTI128(U8(1), o, Mem{Base: dst, Disp: 48 + 16*j})
		}
		ADDQ(U8(96), dst)
		ADDQ(U8(32), luma)
		step := U8(32)
		if half {
			step = 16
		}
		ADDQ(step, cb)
		ADDQ(step, cr)
		SUBQ(U8(32), n)
		JG(LabelRef(name + "Loop"))
		VZEROUPPER()
		RET()
	}
}

// chroma returns what 16 chroma samples, in words, add to each channel. It
// overwrites u and v.
func chroma(u, v VecVirtual, f [3]Mem, round, centre Mem) (add [3]VecVirtual) {
	VPSUBW(centre, u, u)
	VPSUBW(centre, v, v)
	low, high := YMM(), YMM()
	VPUNPCKLWD(v, u, low)
	VPUNPCKHWD(v, u, high)
	for c := range add {
		a, b := YMM(), YMM()
		VPMADDWD(f[c], low, a)
		VPMADDWD(f[c], high, b)
		VPADDD(round, a, a)
		VPADDD(round, b, b)
		VPSRAD(U8(16), a, a)
		VPSRAD(U8(16), b, b)
		VPACKSSDW(b, a, a)
		switch c {
		case 0:
			VPADDW(v, a, a)
		case 1:
			VPSUBW(v, a, a)
		default:
			VPADDW(u, a, a)
			VPADDW(u, a, a)
		}
		add[c] = a
	}
	return add
}
