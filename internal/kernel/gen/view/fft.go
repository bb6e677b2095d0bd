package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

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
	cos := [2]Mem{double("fftCos1", 0.30901699437494742410),
		double("fftCos2", -0.80901699437494742410)}
	sin := [2]Mem{double("fftSin1", 0.95105651629515357212),
		double("fftSin2", 0.58778525229247312917)}
	// half is butterfly5 for real parts or for imaginary ones.
	half := func(in func(i int) Mem, out Mem, disp int) (m, s [2]VecVirtual) {
		v0, v1, v2 := load(in(0).Offset(disp)), load(in(1).Offset(disp)), load(in(2).Offset(disp))
		v3, v4 := load(in(3).Offset(disp)), load(in(4).Offset(disp))
		a, b := of(add, v4, v1), of(add, v3, v2)
		c, d := of(sub, v4, v1), of(sub, v3, v2)
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
			turn(out(1+i), Mem{Base: w, Disp: 16 * i},
				of(add, si[i], mr[i]), of(sub, sr[i], mi[i]))
			turn(out(4-i), Mem{Base: w, Disp: 48 - 16*i},
				of(sub, si[i], mr[i]), of(add, sr[i], mi[i]))
		}
	})
	pass("pass4AVX2", 4, func(in, out func(i int) Mem, w GPVirtual) {
		var a, b, c, d [2]VecVirtual
		for i := range 2 {
			v0, v1 := load(in(0).Offset(vector*i)), load(in(1).Offset(vector*i))
			v2, v3 := load(in(2).Offset(vector*i)), load(in(3).Offset(vector*i))
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
