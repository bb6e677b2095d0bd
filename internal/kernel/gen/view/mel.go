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

// apart returns how to address the value that lies i·step bytes behind base.
func apart(base GPVirtual, step, triple GPVirtual, i int) Mem {
	switch i {
	case 0:
		return Mem{Base: base}
	case 3:
		return Mem{Base: base, Index: triple, Scale: 1}
	}
	return Mem{Base: base, Index: step, Scale: uint8(i)}
}

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

// turn stores re + i·im times the complex number at w.
func turn(out, w Mem, re, im VecVirtual) {
	wr, wi := YMM(), YMM()
	VBROADCASTSD(w, wr)
	VBROADCASTSD(w.Offset(8), wi)
	a, b := of(mul, wr, re), of(mul, wi, im)
	VSUBPD(b, a, a)
	VMOVUPD(a, out)
	VMULPD(wi, re, wi)
	VMULPD(wr, im, wr)
	VADDPD(wr, wi, wi)
	VMOVUPD(wi, out.Offset(vector))
}

// pass writes the loops of fftPass.run around a butterfly.
func pass(name string, radix int, butterfly func(in, out func(i int) Mem, w GPVirtual)) {
	begin(name, "func(y, x, w *float64, m, s int)", "fftPass.runGo.")
	y, x, w, m, s := parameter("y"), parameter("x"), parameter("w"), parameter("m"), parameter("s")
	to, from, to3, from3 := GP64(), GP64(), GP64(), GP64()
	MOVQ(s, to)
	SHLQ(U8(6), to) // 64 bytes a point
	MOVQ(to, from)
	IMULQ(m, from)
	LEAQ(Mem{Base: to, Index: to, Scale: 2}, to3)
	LEAQ(Mem{Base: from, Index: from, Scale: 2}, from3)
	Label(name + "P")
	q := GP64()
	MOVQ(s, q)
	Label(name + "Q")
	butterfly(func(i int) Mem { return apart(x, from, from3, i) },
		func(i int) Mem { return apart(y, to, to3, i) }, w)
	ADDQ(U8(point), x)
	ADDQ(U8(point), y)
	DECQ(q)
	JNZ(LabelRef(name + "Q"))
	ADDQ(U32(16*(radix-1)), w)
	for range radix - 1 {
		ADDQ(to, y)
	}
	DECQ(m)
	JNZ(LabelRef(name + "P"))
	VZEROUPPER()
	RET()
}

func passes() {
	cos := [2]Mem{double("fftCos1", 0.30901699437494742410), double("fftCos2", -0.80901699437494742410)}
	sin := [2]Mem{double("fftSin1", 0.95105651629515357212), double("fftSin2", 0.58778525229247312917)}
	// half is butterfly5 for real parts or for imaginary ones.
	half := func(in func(i int) Mem, out Mem, disp int) (m, s [2]VecVirtual) {
		v0, v1, v2 := load(in(0).Offset(disp)), load(in(1).Offset(disp)), load(in(2).Offset(disp))
		v3, v4 := load(in(3).Offset(disp)), load(in(4).Offset(disp))
		a, b, c, d := of(add, v4, v1), of(add, v3, v2), of(sub, v4, v1), of(sub, v3, v2)
		t := of(add, b, a)
		VADDPD(t, v0, t)
		VMOVUPD(t, out.Offset(disp))
		for i := range m {
			m[i] = of(mul, cos[i], a)
			VADDPD(m[i], v0, m[i])
			t := of(mul, cos[1-i], b)
			VADDPD(t, m[i], m[i])
		}
		s[0] = of(mul, sin[0], c)
		t = of(mul, sin[1], d)
		VADDPD(t, s[0], s[0])
		s[1] = of(mul, sin[1], c)
		t = of(mul, sin[0], d)
		VSUBPD(t, s[1], s[1])
		return m, s
	}
	pass("pass5AVX2", 5, func(in, out func(i int) Mem, w GPVirtual) {
		mr, sr := half(in, out(0), 0)
		mi, si := half(in, out(0), vector)
		for i := range 2 {
			turn(out(1+i), Mem{Base: w, Disp: 16 * i}, of(add, si[i], mr[i]), of(sub, sr[i], mi[i]))
			turn(out(4-i), Mem{Base: w, Disp: 48 - 16*i}, of(sub, si[i], mr[i]), of(add, sr[i], mi[i]))
		}
	})
	pass("pass4AVX2", 4, func(in, out func(i int) Mem, w GPVirtual) {
		var a, b, c, d [2]VecVirtual
		for i := range 2 {
			v0, v1, v2 := load(in(0).Offset(vector*i)), load(in(1).Offset(vector*i)), load(in(2).Offset(vector*i))
			v3 := load(in(3).Offset(vector * i))
			a[i], b[i] = of(add, v2, v0), of(sub, v2, v0)
			c[i], d[i] = of(add, v3, v1), of(sub, v3, v1)
			VMOVUPD(of(add, c[i], a[i]), out(0).Offset(vector*i))
		}
		turn(out(1), Mem{Base: w}, of(add, d[1], b[0]), of(sub, d[0], b[1]))
		turn(out(2), Mem{Base: w, Disp: 16}, of(sub, c[0], a[0]), of(sub, c[1], a[1]))
		turn(out(3), Mem{Base: w, Disp: 32}, of(sub, d[1], b[0]), of(add, d[0], b[1]))
	})
	pass("pass2AVX2", 2, func(in, out func(i int) Mem, w GPVirtual) {
		var d [2]VecVirtual
		for i := range 2 {
			v0, v1 := load(in(0).Offset(vector*i)), load(in(1).Offset(vector*i))
			d[i] = of(sub, v1, v0)
			VMOVUPD(of(add, v1, v0), out(0).Offset(vector*i))
		}
		turn(out(1), Mem{Base: w}, d[0], d[1])
	})
}

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
	terms := []Mem{double("level11", series/11), double("level9", series/9), double("level7", series/7),
		double("level5", series/5), double("level3", series/3), double("level1", series)}

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
