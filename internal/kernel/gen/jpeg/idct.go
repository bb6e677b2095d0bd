package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Constants of idctGo.
const (
	c0, c2, c6     = 8192, 10703, 4433
	c1, c3, c5, c7 = 11363, 9633, 6436, 2260
)

// factors holds, for outputs k and 7−k, what multiplies the inputs by twos:
// even (2, 6), odd (1, 3) and odd (5, 7). Inputs 0 and 4 are added up first.
type factors struct{ zero, even, odd0, odd1 Mem }

// idct keeps row u of both blocks, one in each half, in one register.
func idct() {
	sum, difference := words("idctSum", c0, c0), words("idctDifference", c0, -c0)
	outer, inner := words("idctOuter", c2, c6), words("idctInner", c6, -c2)
	k := [4]factors{
		{sum, outer, words("idct0a", c1, c3), words("idct0b", c5, c7)},
		{difference, inner, words("idct1a", c3, -c7), words("idct1b", -c1, -c5)},
		{difference, inner, words("idct2a", c5, -c1), words("idct2b", c7, c3)},
		{sum, outer, words("idct3a", c7, -c5), words("idct3b", c3, -c1)},
	}
	round := [2]Mem{lanes("idctRound1", 1<<10), lanes("idctRound2", 1<<17)}
	grey := lanes("idctGrey", 0x80808080)

	TEXT("idctAVX2", NOSPLIT, "func(p, quant *int16, a, b *byte, stride int)")
	Doc("idctAVX2 is idctGo.")
	Pragma("noescape")
	p, quant := pointer("p"), pointer("quant")
	out := AllocLocal(8 * 32)
	row := func(i int) Mem { return out.Offset(32 * i) }

	var in [8]VecVirtual
	for i := range in {
		in[i] = YMM()
		VMOVDQU(Mem{Base: p, Disp: 32 * i}, in[i])
		VPMULLW(Mem{Base: quant, Disp: 32 * i}, in[i], in[i])
	}
	zero := YMM()
	VPXOR(zero, zero, zero)
	for i := range 8 {
		VMOVDQU(zero, Mem{Base: p, Disp: 32 * i})
	}
	pass(in, k, round[0], 11, row)
	transpose(row, func(i int, v VecVirtual) { in[i] = v })
	pass(in, k, round[1], 18, row)

	a, b, stride := pointer("a"), pointer("b"), pointer("stride")
	for i := 0; i < 8; i += 2 {
		t, high := YMM(), XMM()
		VMOVDQU(row(i), t)
		VPACKSSWB(row(i+1), t, t)
		VPXOR(grey, t, t)
		VEXTRACTI128(U8(1), t, high)
		VMOVQ(t.AsX(), Mem{Base: a})
		VMOVHPS(t.AsX(), Mem{Base: a, Index: stride, Scale: 1})
		VMOVQ(high, Mem{Base: b})
		VMOVHPS(high, Mem{Base: b, Index: stride, Scale: 1})
		if i < 6 {
			LEAQ(Mem{Base: a, Index: stride, Scale: 2}, a)
			LEAQ(Mem{Base: b, Index: stride, Scale: 2}, b)
		}
	}
	VZEROUPPER()
	RET()
}

// pass transforms over the registers: row(i) is set to output i, in words.
func pass(in [8]VecVirtual, k [4]factors, round Mem, shift uint8, row func(i int) Mem) {
	// Halves of two inputs each, word by word: (0, 4), (2, 6), (1, 3), (5, 7).
	var pairs [4][2]VecVirtual
	for i, of := range [4][2]int{{0, 4}, {2, 6}, {1, 3}, {5, 7}} {
		a, b := in[of[0]], in[of[1]]
		low := YMM()
		VPUNPCKLWD(b, a, low)
		VPUNPCKHWD(b, a, b)
		pairs[i] = [2]VecVirtual{low, b}
	}
	for i, of := range [2][2]int{{0, 3}, {1, 2}} {
		var zero, even [2]VecVirtual
		f := k[of[0]]
		for half := range 2 {
			zero[half], even[half] = pairs[0][half], pairs[1][half]
			if i == 0 { // the other outputs need them too
				zero[half], even[half] = YMM(), YMM()
			}
			VPMADDWD(f.zero, pairs[0][half], zero[half])
			VPADDD(round, zero[half], zero[half])
			VPMADDWD(f.even, pairs[1][half], even[half])
		}
		for j, o := range of {
			f := k[o]
			var sum, difference [2]VecVirtual
			for half := range 2 {
				odd, t := YMM(), YMM()
				VPMADDWD(f.odd0, pairs[2][half], odd)
				VPMADDWD(f.odd1, pairs[3][half], t)
				VPADDD(t, odd, odd)
				s := YMM()
				if j == 0 {
					VPADDD(even[half], zero[half], s)
				} else {
					VPSUBD(even[half], zero[half], s)
				}
				// The difference is the sum less odd twice, which takes no register more:
				// all 16 that AVX2 has are in use.
				VPADDD(odd, s, s)
				VPSLLD(U8(1), odd, odd)
				VPSUBD(odd, s, odd)
				VPSRAD(U8(shift), s, s)
				VPSRAD(U8(shift), odd, odd)
				sum[half], difference[half] = s, odd
			}
			VPACKSSDW(sum[1], sum[0], sum[0])
			VPACKSSDW(difference[1], difference[0], difference[0])
			VMOVDQU(sum[0], row(o))
			VMOVDQU(difference[0], row(7-o))
		}
	}
}

// transpose gives the columns of 8 × 8 words in row, in both halves.
func transpose(row func(i int) Mem, column func(i int, v VecVirtual)) {
	var a, b [8]VecVirtual
	for i := range 4 { // rows i and i+4, word by word
		low, high := YMM(), YMM()
		VMOVDQU(row(i), high)
		VPUNPCKLWD(row(i+4), high, low)
		VPUNPCKHWD(row(i+4), high, high)
		a[2*i], a[2*i+1] = low, high
	}
	for i := range 4 {
		low := YMM()
		VPUNPCKLWD(a[i+4], a[i], low)
		VPUNPCKHWD(a[i+4], a[i], a[i+4])
		b[2*i], b[2*i+1] = low, a[i+4]
	}
	for i := range 4 {
		low := YMM()
		VPUNPCKLWD(b[i+4], b[i], low)
		VPUNPCKHWD(b[i+4], b[i], b[i+4])
		column(2*i, low)
		column(2*i+1, b[i+4])
	}
}
