package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

func (s *set) layerNorm() {
	s.begin("layerNorm",
		"func(y, x, gain, bias *float32, n int, inv, eps float32, stat *float32)",
		" normalises one row; inv is 1/n, stat is set to mean and rstd.")
	y, x, n := pointer("y"), pointer("x"), integer("n")
	gain, bias := pointer("gain"), pointer("bias")
	sums := s.zeros(4)
	s.each("lnSum", n, 4, func(i GPVirtual, u int) {
		VADDPS(s.operand(s.at(x, i, u)), sums[u], sums[u])
	})
	inv := s.spread("inv")
	mean := s.total(sums)
	VMULPS(inv, mean, mean)
	sums = s.zeros(4)
	s.each("lnSquares", n, 4, func(i GPVirtual, u int) {
		d := s.load(s.at(x, i, u))
		VSUBPS(mean, d, d)
		s.clearDead(d)
		VFMADD231PS(d, d, sums[u])
	})
	// Root and quotient of a single element: a wide register takes them in turn.
	one := s.total(sums).AsX()
	VFMADD213SS(s.spread("eps").AsX(), inv.AsX(), one)
	VSQRTSS(one, one, one)
	VDIVSS(one, s.broadcast(splat(1)).AsX(), one)
	stat := pointer("stat")
	VMOVSS(mean.AsX(), Mem{Base: stat})
	VMOVSS(one, Mem{Base: stat, Disp: 4})
	rstd := s.vec()
	VBROADCASTSS(one, rstd)
	s.each("lnOut", n, 4, func(i GPVirtual, u int) {
		d := s.load(s.at(x, i, u))
		VSUBPS(mean, d, d)
		VMULPS(rstd, d, d)
		b := s.load(s.at(bias, i, u))
		VFMADD231PS(s.operand(s.at(gain, i, u)), d, b)
		s.store(b, s.at(y, i, u))
	})
	end()
}

func (s *set) layerNormBackward() {
	s.begin("layerNormBackward",
		"func(dx, dgain, dbias, dy, x, gain *float32, n int, inv, mean, rstd float32, add int)",
		" is the backward of one row; dx is added to if add is not 0.")
	dx, dgain, dbias := pointer("dx"), pointer("dgain"), pointer("dbias")
	dy, x, gain, n := pointer("dy"), pointer("x"), pointer("gain"), integer("n")
	mean, rstd := s.spread("mean"), s.spread("rstd")
	sg, sgx := s.zeros(2), s.zeros(2)
	// Behind the tail dy, hence g, is 0, and adds nothing to the sums.
	s.each("lnbSums", n, 2, func(i GPVirtual, u int) {
		v, xh := s.load(s.at(dy, i, u)), s.load(s.at(x, i, u))
		VSUBPS(mean, xh, xh)
		VMULPS(rstd, xh, xh)
		t := s.vec()
		VADDPS(s.operand(s.at(dbias, i, u)), v, t)
		s.store(t, s.at(dbias, i, u))
		t = s.load(s.at(dgain, i, u))
		VFMADD231PS(v, xh, t)
		s.store(t, s.at(dgain, i, u))
		VMULPS(s.operand(s.at(gain, i, u)), v, v)
		VADDPS(v, sg[u], sg[u])
		VFMADD231PS(v, xh, sgx[u])
	})
	// dx = rstd·((g − c1) − (x − mean)·c2), c1 = mean(g), c2 = rstd·mean(g·x̂): in
	// this order a single column gives 0, as it must.
	c1, c2, inv := s.total(sg), s.total(sgx), s.spread("inv")
	VMULPS(inv, c1, c1)
	VMULPS(inv, c2, c2)
	VMULPS(rstd, c2, c2)
	add := integer("add")
	out := func(label string, add bool) {
		s.each(label, n, 4, func(i GPVirtual, u int) {
			v := s.load(s.at(dy, i, u))
			VMULPS(s.operand(s.at(gain, i, u)), v, v)
			VSUBPS(c1, v, v)
			d := s.load(s.at(x, i, u))
			VSUBPS(mean, d, d)
			VFNMADD231PS(c2, d, v)
			VMULPS(rstd, v, v)
			if add {
				VADDPS(s.operand(s.at(dx, i, u)), v, v)
			}
			s.store(v, s.at(dx, i, u))
		})
	}
	TESTQ(add, add)
	JNE(LabelRef("adding"))
	out("lnbSet", false)
	end()
	Label("adding")
	out("lnbAdd", true)
	end()
}
