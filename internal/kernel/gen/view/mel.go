package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Vectors hold a float64 of each of four frames. A complex value is two of them.
// No products are fused with sums: plain Go must give the same bits.
const (
	vector = 32
	point  = 2 * vector
)

// quad puts a vector of equal 64-bit numbers into read-only memory.
func quad(name string, v uint64) Mem {
	m := GLOBL(name, RODATA|NOPTR)
	for i := range 4 {
		DATA(8*i, U64(v))
	}
	return m
}

func double(name string, v float64) Mem { return quad(name, math.Float64bits(v)) }

// of returns a new vector, op of b and a.
func of(op func(ops ...Op), b, a Op) VecVirtual {
	t := YMM()
	op(b, a, t)
	return t
}

func load(m Mem) VecVirtual {
	t := YMM()
	VMOVUPD(m, t)
	return t
}

// loadPCM turns samples of four frames, hop apart, into vectors times window.
func loadPCM() {
	begin("loadPCMAVX2", "func(x *float64, pcm *int16, window *float64, n, hop int)",
		"loadFrame for four frames, hop samples apart, n a multiple of 4.")
	x, window, n := parameter("x"), parameter("window"), parameter("n")
	hop := parameter("hop")
	var frame [4]GPVirtual
	for i := range frame {
		if i == 0 {
			frame[i] = parameter("pcm")
			continue
		}
		frame[i] = GP64()
		LEAQ(Mem{Base: frame[i-1], Index: hop, Scale: 2}, frame[i])
	}
	Label("loadLoop")
	w := load(Mem{Base: window})
	var r [4]VecVirtual
	for i := range r {
		r[i] = YMM()
		VPMOVSXWD(Mem{Base: frame[i]}, r[i].AsX())
		VCVTDQ2PD(r[i].AsX(), r[i])
		VMULPD(w, r[i], r[i])
		ADDQ(U8(8), frame[i])
	}
	low0, high0 := of(unpackLow, r[1], r[0]), of(unpackHigh, r[1], r[0])
	low2, high2 := of(unpackLow, r[3], r[2]), of(unpackHigh, r[3], r[2])
	for i, v := range [4][2]VecVirtual{{low0, low2}, {high0, high2}, {low0, low2}, {high0, high2}} {
		t := YMM()
		VPERM2F128(U8(0x20+0x11*(i/2)), v[1], v[0], t)
		VMOVUPD(t, Mem{Base: x, Disp: vector * i})
	}
	ADDQ(U32(4*vector), x)
	ADDQ(U8(32), window)
	SUBQ(U8(4), n)
	JG(LabelRef("loadLoop"))
	VZEROUPPER()
	RET()
}

func unpackLow(ops ...Op)  { VUNPCKLPD(ops[0], ops[1], ops[2]) }
func unpackHigh(ops ...Op) { VUNPCKHPD(ops[0], ops[1], ops[2]) }
func add(ops ...Op)        { VADDPD(ops[0], ops[1], ops[2]) }
func sub(ops ...Op)        { VSUBPD(ops[0], ops[1], ops[2]) }
func mul(ops ...Op)        { VMULPD(ops[0], ops[1], ops[2]) }

func power() {
	four := double("powerFour", 4)
	begin("powerAVX2", "func(p, z, w *float64, n int)", "powerGo for n from 2 on.")
	p, z, w, n := parameter("p"), parameter("z"), parameter("w"), parameter("n")
	up, down := GP64(), GP64() // in z: up is z
	MOVQ(n, down)
	SHLQ(U8(6), down)
	ADDQ(z, down)
	MOVQ(z, up)
	last := GP64() // in p
	MOVQ(n, last)
	SHLQ(U8(5), last)
	ADDQ(p, last)

	re, im := load(Mem{Base: up}), load(Mem{Base: up, Disp: vector})
	for i, v := range []VecVirtual{of(add, im, re), of(sub, im, re)} {
		VMULPD(v, v, v)
		VMULPD(four, v, v)
		VMOVUPD(v, Mem{Base: []GPVirtual{p, last}[i]})
	}
	SHRQ(U8(1), n)
	Label("powerLoop")
	ADDQ(U8(point), up)
	SUBQ(U8(point), down)
	ADDQ(U8(vector), p)
	SUBQ(U8(vector), last)
	ar, ai := load(Mem{Base: up}), load(Mem{Base: up, Disp: vector})
	br, bi := load(Mem{Base: down}), load(Mem{Base: down, Disp: vector})
	er, ei := of(add, br, ar), of(sub, bi, ai)
	or, oi := of(add, bi, ai), of(sub, ar, br)
	wr, wi := YMM(), YMM()
	VBROADCASTSD(Mem{Base: w}, wr)
	VBROADCASTSD(Mem{Base: w, Disp: 8}, wi)
	ADDQ(U8(16), w)
	tr, ti := of(mul, wr, or), of(mul, wi, or)
	VSUBPD(of(mul, wi, oi), tr, tr)
	VADDPD(of(mul, wr, oi), ti, ti)
	for i, op := range []func(ops ...Op){add, sub} {
		x, y := of(op, tr, er), of(op, ti, ei)
		VMULPD(x, x, x)
		VMULPD(y, y, y)
		VADDPD(y, x, x)
		VMOVUPD(x, Mem{Base: []GPVirtual{p, last}[i]})
	}
	DECQ(n)
	JNZ(LabelRef("powerLoop"))
	VZEROUPPER()
	RET()
}

func bands() {
	const series = 8.68588963806503655302
	const root = 0x3FE6A09E00000000
	low := double("levelLow", 1e-10)
	bias, exponent := quad("levelBias", 1024<<52-root), quad("levelExponent", 0xFFF<<52)
	half := quad("levelHalf", 1024<<52)
	one := double("levelOne", 1)
	magic, shift := quad("levelMagic", 0x433<<52), double("levelShift", 1<<52+1024)
	octave := double("levelOctave", 3.01029995663981195214)
	terms := []Mem{double("level11", series/11), double("level9", series/9),
		double("level7", series/7), double("level5", series/5), double("level3", series/3),
		double("level1", series)}

	begin("bandsAVX2", "func(dst *float32, stride int, power, weights *float64, "+
		"first, counts *int32, bands int)", "LogMel.bandsGo for bands from 1 on; stride is in bytes.")
	dst, stride, power := parameter("dst"), parameter("stride"), parameter("power")
	weights, first, counts := parameter("weights"), parameter("first"), parameter("counts")
	n := parameter("bands")
	Label("bandsLoop")
	at, left := GP64(), GP64()
	MOVLQSX(Mem{Base: first}, at)
	SHLQ(U8(5), at)
	ADDQ(power, at)
	sum := YMM()
	VXORPD(sum, sum, sum)
	MOVLQSX(Mem{Base: counts}, left)
	TESTQ(left, left)
	JZ(LabelRef("bandsLevel"))
	Label("bandsWeights")
	w := YMM()
	VBROADCASTSD(Mem{Base: weights}, w)
	VMULPD(Mem{Base: at}, w, w)
	VADDPD(w, sum, sum)
	ADDQ(U8(8), weights)
	ADDQ(U8(vector), at)
	DECQ(left)
	JNZ(LabelRef("bandsWeights"))

	Label("bandsLevel")
	VMOVUPD(low, w)
	x := of(func(ops ...Op) { VMAXPD(ops[0], ops[1], ops[2]) }, sum, w) // sum if it is NaN
	e, m, k := YMM(), YMM(), YMM()
	VPADDQ(bias, x, e)
	VPAND(exponent, e, k)
	VPSUBQ(k, x, m)
	VPADDQ(half, m, m)
	VADDPD(one, m, k)
	VSUBPD(one, m, m)
	s := YMM()
	VDIVPD(k, m, s)
	z := of(mul, s, s)
	t := YMM()
	VMULPD(terms[0], z, t)
	for i, term := range terms[1:] {
		if i > 0 {
			VMULPD(z, t, t)
		}
		VADDPD(term, t, t)
	}
	VMULPD(t, s, t)
	VPSRLQ(U8(52), e, e)
	VPOR(magic, e, e)
	VSUBPD(shift, e, e)
	VMULPD(octave, e, e)
	VADDPD(t, e, e)
	VSUBPD(x, x, x)
	VADDPD(x, e, e)
	VCVTPD2PSY(e, e.AsX())
	VMOVUPS(e.AsX(), Mem{Base: dst})
	ADDQ(stride, dst)
	ADDQ(U8(4), first)
	ADDQ(U8(4), counts)
	DECQ(n)
	JNZ(LabelRef("bandsLoop"))
	VZEROUPPER()
	RET()
}
