package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

const weightBits = 14 // of internal/view

// across makes eight pixels a turn, from four vectors that have one in each
// half. Two taps of a pixel are six bytes: multiplied and added up as words.
func across() {
	round := lanes("acrossRound", 1<<(weightBits-1))
	const no = 0x80
	twos := [2]Mem{ // words r₀ r₁ g₀ g₁ b₀ b₁ of the taps 0, 1 and of 2, 3
		bytes("acrossTaps01", [16]byte{0, no, 3, no, 1, no, 4, no, 2, no, 5, no, no, no, no, no}),
		bytes("acrossTaps23", [16]byte{6, no, 9, no, 7, no, 10, no, 8, no, 11, no, no, no, no, no}),
	}
	pick := bytes("acrossPick", [16]byte{0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, no, no, no, no})

	begin("acrossAVX2", "func(dst, src *byte, offsets *int32, weights *int16, groups, pairs int)",
		"acrossGo for groups of eight outputs, by a crossTable.")
	dst, src := parameter("dst"), parameter("src")
	offsets, weights := parameter("offsets"), parameter("weights")
	groups, pairs := parameter("groups"), parameter("pairs")
	shuffle := [2]VecVirtual{YMM(), YMM()}
	VMOVDQU(twos[0], shuffle[0])
	VMOVDQU(twos[1], shuffle[1])
	rounds, picks := YMM(), YMM()
	VMOVDQU(round, rounds)
	VMOVDQU(pick, picks)

	Label("acrossGroup")
	var sum [4]VecVirtual
	for i := range sum {
		sum[i] = YMM()
		VMOVDQU(rounds, sum[i])
	}
	at, left := GP64(), GP64()
	MOVQ(src, at)
	MOVQ(pairs, left)
	Label("acrossPairs")
	var raw [4]VecVirtual
	for i := range raw {
		low, high := GP64(), GP64()
		MOVLQSX(Mem{Base: offsets, Disp: 4 * i}, low)
		MOVLQSX(Mem{Base: offsets, Disp: 4*i + 16}, high)
		raw[i] = YMM()
		VMOVDQU(Mem{Base: at, Index: low, Scale: 1}, raw[i].AsX())
		VINSERTI128(U8(1), Mem{Base: at, Index: high, Scale: 1}, raw[i], raw[i])
	}
	two := func(of int) {
		for i := range raw {
			t := YMM()
			VPSHUFB(shuffle[of], raw[i], t)
			VPMADDWD(Mem{Base: weights, Disp: 32 * i}, t, t)
			VPADDD(t, sum[i], sum[i])
		}
		ADDQ(U32(128), weights)
	}
	two(0)
	DECQ(left)
	JZ(LabelRef("acrossDone"))
	two(1)
	ADDQ(U8(12), at)
	DECQ(left)
	JNZ(LabelRef("acrossPairs"))
	Label("acrossDone")
	for i := range sum {
		VPSRLD(U8(weightBits), sum[i], sum[i])
	}
	VPACKUSDW(sum[1], sum[0], sum[0])
	VPACKUSDW(sum[3], sum[2], sum[2])
	VPACKUSWB(sum[2], sum[0], sum[0])
	VPSHUFB(picks, sum[0], sum[0])
	VMOVDQU(sum[0].AsX(), Mem{Base: dst})
	VEXTRACTI128(U8(1), sum[0], Mem{Base: dst, Disp: 12})
	ADDQ(U8(24), dst)
	ADDQ(U8(32), offsets)
	DECQ(groups)
	JNZ(LabelRef("acrossGroup"))
	VZEROUPPER()
	RET()
}

// down takes two rows at a time, 32 columns of both, as words.
func down() {
	round := lanes("downRound", 1<<(weightBits-1))
	begin("downAVX2", "func(dst, rows *byte, n, stride int, k *int16, pairs int)",
		"downGo for n columns, a multiple of 32, of twice pairs rows.")
	dst, rows, n := parameter("dst"), parameter("rows"), parameter("n")
	stride, k, pairs := parameter("stride"), parameter("k"), parameter("pairs")
	zero, rounds := YMM(), YMM()
	VPXOR(zero, zero, zero)
	VMOVDQU(round, rounds)

	Label("downColumns")
	var sum [4]VecVirtual
	for i := range sum {
		sum[i] = YMM()
		VMOVDQU(rounds, sum[i])
	}
	at, j := GP64(), GP64()
	MOVQ(rows, at)
	XORQ(j, j)
	Label("downPairs")
	a, b, c := YMM(), YMM(), YMM()
	VPBROADCASTD(Mem{Base: k, Index: j, Scale: 4}, c)
	VMOVDQU(Mem{Base: at}, a)
	VMOVDQU(Mem{Base: at, Index: stride, Scale: 1}, b)
	low, high := YMM(), YMM()
	VPUNPCKLBW(b, a, low)
	VPUNPCKHBW(b, a, high)
	for i, v := range []VecVirtual{low, low, high, high} {
		t := YMM()
		if i%2 == 0 {
			VPUNPCKLBW(zero, v, t)
		} else {
			VPUNPCKHBW(zero, v, t)
		}
		VPMADDWD(c, t, t)
		VPADDD(t, sum[i], sum[i])
	}
	LEAQ(Mem{Base: at, Index: stride, Scale: 2}, at)
	INCQ(j)
	CMPQ(j, pairs)
	JL(LabelRef("downPairs"))
	for i := range sum {
		VPSRLD(U8(weightBits), sum[i], sum[i])
	}
	VPACKUSDW(sum[1], sum[0], sum[0])
	VPACKUSDW(sum[3], sum[2], sum[2])
	VPACKUSWB(sum[2], sum[0], sum[0])
	VMOVDQU(sum[0], Mem{Base: dst})
	ADDQ(U8(32), dst)
	ADDQ(U8(32), rows)
	SUBQ(U8(32), n)
	JG(LabelRef("downColumns"))
	VZEROUPPER()
	RET()
}

// mirror moves four pixels a turn. The four bytes before them in its store are
// overwritten by the next.
func mirror() {
	turn := bytes("mirrorTurn", [16]byte{0, 0, 0, 0, 9, 10, 11, 6, 7, 8, 3, 4, 5, 0, 1, 2})
	begin("mirrorAVX2", "func(dst, src *byte, n int)", "mirrorGo for n pixels, a multiple of 4. "+
		"It changes the four bytes before dst.")
	end, src, n := parameter("dst"), parameter("src"), parameter("n")
	size := GP64()
	LEAQ(Mem{Base: n, Index: n, Scale: 2}, size)
	ADDQ(size, end)
	turns := XMM()
	VMOVDQU(turn, turns)
	Label("mirrorLoop")
	v := XMM()
	VMOVDQU(Mem{Base: src}, v)
	VPSHUFB(turns, v, v)
	VMOVDQU(v, Mem{Base: end, Disp: -16})
	ADDQ(U8(12), src)
	SUBQ(U8(12), end)
	SUBQ(U8(4), n)
	JG(LabelRef("mirrorLoop"))
	VZEROUPPER()
	RET()
}
