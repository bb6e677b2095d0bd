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
	rstd := s.total(sums)
	VFMADD213PS(s.spread("eps"), inv, rstd)
	VSQRTPS(rstd, rstd)
	VDIVPS(rstd, s.broadcast(splat(1)), rstd)
	stat := pointer("stat")
	VMOVSS(mean.AsX(), Mem{Base: stat})
	VMOVSS(rstd.AsX(), Mem{Base: stat, Disp: 4})
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
	// Behind the tail dy, hence g, is 0.
	s.each("lnbSums", n, 2, func(i GPVirtual, u int) {
		v, xh := s.load(s.at(dy, i, u)), s.load(s.at(x, i, u))
		VSUBPS(mean, xh, xh)
		VMULPS(rstd, xh, xh)
		s.clearDead(xh)
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
	// dx = g·rstd − c1 − (x − mean)·c2, c1 = rstd·mean(g), c2 = rstd²·mean(g·x̂).
	c1, c2, inv := s.total(sg), s.total(sgx), s.spread("inv")
	VMULPS(inv, rstd, inv)
	VMULPS(inv, c1, c1)
	VMULPS(inv, c2, c2)
	VMULPS(rstd, c2, c2)
	add := integer("add")
	out := func(label string, add bool) {
		s.each(label, n, 4, func(i GPVirtual, u int) {
			v := s.load(s.at(dy, i, u))
			VMULPS(s.operand(s.at(gain, i, u)), v, v)
			VFMSUB213PS(c1, rstd, v)
			d := s.load(s.at(x, i, u))
			VSUBPS(mean, d, d)
			VFNMADD231PS(c2, d, v)
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

// columns writes the sums over rows, 32 columns in registers at a time, and the
// row operations of BatchNorm.
func columns() {
	begin("columnSumAVX2", "func(sum, x *float32, n, rows, ld int)",
		"columnSumAVX2 adds Σ_r x of n columns to sum.")
	panels("columnSum", pointer("sum"), []GPVirtual{pointer("x")}, GPVirtual(nil),
		func(acc, _ VecVirtual, row []Mem) { VADDPS(row[0], acc, acc) })

	begin("columnSquaresAVX2", "func(sum, x, mean *float32, n, rows, ld int)",
		"columnSquaresAVX2 adds Σ_r (x − mean)² of n columns to sum.")
	panels("columnSquares", pointer("sum"), []GPVirtual{pointer("x")}, pointer("mean"),
		func(acc, mean VecVirtual, row []Mem) {
			d := YMM()
			VMOVUPS(row[0], d)
			VSUBPS(mean, d, d)
			VFMADD231PS(d, d, acc)
		})

	begin("columnProductsAVX2", "func(dot, dy, x, mean *float32, n, rows, ld int)",
		"columnProductsAVX2 adds Σ_r dy·(x − mean) of n columns to dot.")
	panels("columnProducts", pointer("dot"), []GPVirtual{pointer("dy"), pointer("x")},
		pointer("mean"), func(acc, mean VecVirtual, row []Mem) {
			d := YMM()
			VMOVUPS(row[1], d)
			VSUBPS(mean, d, d)
			VFMADD231PS(row[0], d, acc)
		})

	begin("normColumnsAVX2", "func(y, x, mean, a, b *float32, n int)",
		"normColumnsAVX2 sets y = (x − mean)·a + b.")
	y, x, mean, n := pointer("y"), pointer("x"), pointer("mean"), integer("n")
	a, b := pointer("a"), pointer("b")
	each("normColumns", n, 2, func(i GPVirtual, u int) {
		d, t := YMM(), YMM()
		VMOVUPS(at(x, i, u), d)
		VSUBPS(at(mean, i, u), d, d)
		VMOVUPS(at(b, i, u), t)
		VFMADD231PS(at(a, i, u), d, t)
		VMOVUPS(t, at(y, i, u))
	})
	end()

	begin("normColumnsBackwardAVX2", "func(dx, dy, x, mean, a, m, s *float32, n int)",
		"normColumnsBackwardAVX2 sets dx = a·(dy − m − (x − mean)·s).")
	dx, dy, m, s := pointer("dx"), pointer("dy"), pointer("m"), pointer("s")
	x, mean, a, n = pointer("x"), pointer("mean"), pointer("a"), integer("n")
	each("normColumnsBackward", n, 2, func(i GPVirtual, u int) {
		d, t := YMM(), YMM()
		VMOVUPS(at(x, i, u), d)
		VSUBPS(at(mean, i, u), d, d)
		VMOVUPS(at(dy, i, u), t)
		VSUBPS(at(m, i, u), t, t)
		VFNMADD231PS(at(s, i, u), d, t)
		VMULPS(at(a, i, u), t, t)
		VMOVUPS(t, at(dx, i, u))
	})
	end()
}

// panels walks panels of 4, then 1 register of columns, and in each down the
// rows of all matrices; add adds one register of one row to its sum.
func panels(label string, sum GPVirtual, x []GPVirtual, mean GPVirtual,
	add func(acc, mean VecVirtual, row []Mem)) {
	n, rows, ld := integer("n"), integer("rows"), integer("ld")
	SHLQ(U8(2), ld)
	for _, width := range []int{4, 1} {
		name := label + string(rune('0'+width))
		Label(name)
		CMPQ(n, U32(width*lanes))
		JLT(LabelRef(name + "End"))
		acc, mu := make([]VecVirtual, width), make([]VecVirtual, width)
		for u := range acc {
			acc[u] = YMM()
			VMOVUPS(Mem{Base: sum, Disp: 4 * lanes * u}, acc[u])
			if mean != nil {
				mu[u] = YMM()
				VMOVUPS(Mem{Base: mean, Disp: 4 * lanes * u}, mu[u])
			}
		}
		row := make([]GPVirtual, len(x))
		for j := range x {
			row[j] = GP64()
			MOVQ(x[j], row[j])
		}
		left := GP64()
		MOVQ(rows, left)
		Label(name + "Row")
		for u := range acc {
			m := make([]Mem, len(x))
			for j := range x {
				m[j] = Mem{Base: row[j], Disp: 4 * lanes * u}
			}
			add(acc[u], mu[u], m)
		}
		for j := range row {
			ADDQ(ld, row[j])
		}
		DECQ(left)
		JNE(LabelRef(name + "Row"))
		for u := range acc {
			VMOVUPS(acc[u], Mem{Base: sum, Disp: 4 * lanes * u})
		}
		step := U32(4 * lanes * width)
		ADDQ(step, sum)
		if mean != nil {
			ADDQ(step, mean)
		}
		for j := range x {
			ADDQ(step, x[j])
		}
		SUBQ(U32(width*lanes), n)
		JMP(LabelRef(name))
		Label(name + "End")
	}
	end()
}
