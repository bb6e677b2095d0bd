package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// columns writes the sums over rows, four registers of columns at a time, and
// the row operations of BatchNorm.
func (s *set) columns() {
	s.begin("columnSum", "func(sum, x *float32, n, rows, ld int)",
		" adds Σ_r x of n columns to sum.")
	s.panels("columnSum", pointer("sum"), []GPVirtual{pointer("x")}, nil,
		func(acc, _ VecVirtual, row []Mem) { VADDPS(s.operand(row[0]), acc, acc) })

	s.begin("columnSquares", "func(sum, x, mean *float32, n, rows, ld int)",
		" adds Σ_r (x − mean)² of n columns to sum.")
	s.panels("columnSquares", pointer("sum"), []GPVirtual{pointer("x")}, pointer("mean"),
		func(acc, mean VecVirtual, row []Mem) {
			d := s.load(row[0])
			VSUBPS(mean, d, d)
			VFMADD231PS(d, d, acc)
		})

	s.begin("columnProducts", "func(dot, dy, x, mean *float32, n, rows, ld int)",
		" adds Σ_r dy·(x − mean) of n columns to dot.")
	s.panels("columnProducts", pointer("dot"), []GPVirtual{pointer("dy"), pointer("x")},
		pointer("mean"), func(acc, mean VecVirtual, row []Mem) {
			d := s.load(row[1])
			VSUBPS(mean, d, d)
			VFMADD231PS(s.operand(row[0]), d, acc)
		})

	s.begin("normColumns", "func(y, x, mean, a, b *float32, n int)", " sets y = (x − mean)·a + b.")
	y, x, mean, n := pointer("y"), pointer("x"), pointer("mean"), integer("n")
	a, b := pointer("a"), pointer("b")
	s.each("normColumns", n, 2, func(i GPVirtual, u int) {
		d := s.load(s.at(x, i, u))
		VSUBPS(s.operand(s.at(mean, i, u)), d, d)
		t := s.load(s.at(b, i, u))
		VFMADD231PS(s.operand(s.at(a, i, u)), d, t)
		s.store(t, s.at(y, i, u))
	})
	end()

	s.begin("normColumnsBackward", "func(dx, dy, x, mean, a, m, s *float32, n int)",
		" sets dx = a·(dy − m − (x − mean)·s).")
	dx, dy, m, slope := pointer("dx"), pointer("dy"), pointer("m"), pointer("s")
	x, mean, a, n = pointer("x"), pointer("mean"), pointer("a"), integer("n")
	s.each("normColumnsBackward", n, 2, func(i GPVirtual, u int) {
		d := s.load(s.at(x, i, u))
		VSUBPS(s.operand(s.at(mean, i, u)), d, d)
		t := s.load(s.at(dy, i, u))
		VSUBPS(s.operand(s.at(m, i, u)), t, t)
		VFNMADD231PS(s.operand(s.at(slope, i, u)), d, t)
		VMULPS(s.operand(s.at(a, i, u)), t, t)
		s.store(t, s.at(dx, i, u))
	})
	end()
}

// panels walks panels of 4, then 1 register of columns, then what fills a part
// of one, and in each down the rows of all matrices; add adds one register of
// one row to its sum.
func (s *set) panels(label string, sum GPVirtual, x []GPVirtual, mean GPVirtual,
	add func(acc, mean VecVirtual, row []Mem)) {
	n, rows, ld := integer("n"), integer("rows"), integer("ld")
	SHLQ(U8(2), ld)
	p := &panel{s: s, sum: sum, x: x, mean: mean, rows: rows, ld: ld, add: add}
	for _, width := range []int{4, 1} {
		name := label + string(rune('0'+width))
		step := U32(4 * s.lanes * width)
		Label(name)
		CMPQ(n, U32(width*s.lanes))
		JLT(LabelRef(name + "End"))
		p.write(name, width)
		ADDQ(step, sum)
		if mean != nil {
			ADDQ(step, mean)
		}
		for j := range x {
			ADDQ(step, x[j])
		}
		SUBQ(U32(width*s.lanes), n)
		JMP(LabelRef(name))
		Label(name + "End")
	}
	TESTQ(n, n)
	JZ(LabelRef(label + "End"))
	s.live = s.firstLanes(n)
	p.write(label+"Tail", 1)
	s.live = nil
	Label(label + "End")
	end()
}

// panel is what panels knows of the columns ahead.
type panel struct {
	s        *set
	sum      GPVirtual
	x        []GPVirtual
	mean     GPVirtual // nil: none
	rows, ld GPVirtual
	add      func(acc, mean VecVirtual, row []Mem)
}

// write writes one panel of the given number of registers.
func (p *panel) write(name string, width int) {
	s := p.s
	acc, mu := make([]VecVirtual, width), make([]VecVirtual, width)
	for u := range acc {
		acc[u] = s.load(Mem{Base: p.sum, Disp: 4 * s.lanes * u})
		if p.mean != nil {
			mu[u] = s.load(Mem{Base: p.mean, Disp: 4 * s.lanes * u})
		}
	}
	row := make([]GPVirtual, len(p.x))
	for j := range p.x {
		row[j] = GP64()
		MOVQ(p.x[j], row[j])
	}
	left := GP64()
	MOVQ(p.rows, left)
	Label(name + "Row")
	for u := range acc {
		m := make([]Mem, len(p.x))
		for j := range p.x {
			m[j] = Mem{Base: row[j], Disp: 4 * s.lanes * u}
		}
		p.add(acc[u], mu[u], m)
	}
	for j := range row {
		ADDQ(p.ld, row[j])
	}
	DECQ(left)
	JNE(LabelRef(name + "Row"))
	for u := range acc {
		s.store(acc[u], Mem{Base: p.sum, Disp: 4 * s.lanes * u})
	}
}
