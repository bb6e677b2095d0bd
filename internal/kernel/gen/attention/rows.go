package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// scaleRows writes x[r][i] *= f[r].
func scaleRows() {
	begin("scaleRowsAVX2", "func(x *float32, ld uintptr, rows, n int, f *float32)",
		"scaleRowsAVX2 multiplies every row of x by its factor. n is a multiple of 8, rows",
		"are ld bytes apart.")
	x, ld, rows, n := argument("x"), argument("ld"), argument("rows"), argument("n")
	f, i := argument("f"), GP64()
	TESTQ(rows, rows)
	JZ(LabelRef("done"))
	Label("row")
	factor, t := YMM(), YMM()
	VBROADCASTSS(Mem{Base: f}, factor)
	XORQ(i, i)
	Label("column")
	VMULPS(at(x, i, 0), factor, t)
	VMOVUPS(t, at(x, i, 0))
	ADDQ(U32(8), i)
	CMPQ(i, n)
	JL(LabelRef("column"))
	ADDQ(U32(4), f)
	ADDQ(ld, x)
	DECQ(rows)
	JNZ(LabelRef("row"))
	Label("done")
	end()
}

// rowDots writes dot[r] = Σ x[r][i]·y[r][i].
func rowDots() {
	begin("rowDotsAVX2",
		"func(dot, x *float32, ldx uintptr, y *float32, ldy uintptr, rows, n int)",
		"rowDotsAVX2 sets dot[r] to the scalar product of row r of x and of y. n is a",
		"multiple of 8, rows are ldx and ldy bytes apart.")
	dot, x, ldx := argument("dot"), argument("x"), argument("ldx")
	y, ldy, rows, n := argument("y"), argument("ldy"), argument("rows"), argument("n")
	i := GP64()
	TESTQ(rows, rows)
	JZ(LabelRef("done"))
	Label("row")
	sum, t := avx2.zero(), YMM()
	XORQ(i, i)
	Label("column")
	VMOVUPS(at(x, i, 0), t)
	VFMADD231PS(at(y, i, 0), t, sum)
	ADDQ(U32(8), i)
	CMPQ(i, n)
	JL(LabelRef("column"))
	avx2.reduce(VADDPS, sum)
	VMOVSS(sum.AsX(), Mem{Base: dot})
	ADDQ(U32(4), dot)
	ADDQ(ldx, x)
	ADDQ(ldy, y)
	DECQ(rows)
	JNZ(LabelRef("row"))
	Label("done")
	end()
}
