// Command attention writes the assembly of the parts of softmax attention that
// are no matrix products.
package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"

	"avjepa/internal/kernel/gen/header"
)

// vectors names the registers and the width of an instruction set.
type vectors struct {
	suffix string
	lanes  int
	reg    []VecPhysical
}

var avx2 = vectors{"AVX2", 8, []VecPhysical{
	Y0, Y1, Y2, Y3, Y4, Y5, Y6, Y7, Y8, Y9, Y10, Y11, Y12, Y13, Y14, Y15}}

var avx512 = vectors{"AVX512", 16, []VecPhysical{
	Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z8, Z9, Z10, Z11, Z12, Z13, Z14, Z15,
	Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z24, Z25, Z26, Z27, Z28, Z29, Z30, Z31}}

func main() {
	ConstraintExpr("amd64,!noasm")
	constants()
	for _, v := range []vectors{avx2, avx512} {
		v.softmax()
		v.softmaxBackward()
	}
	scaleRows()
	rowDots()
	Generate()
	header.Correct()
}

// exp2Coefficients are those of the polynomial of degree 5, 1 at 0, with the
// least relative error to 2ˣ on [−½, ½]: 9.1e-8.
var exp2Coefficients = []float32{
	1, 0.693146978, 0.240222421, 0.0555073374, 0.00967151266, 0.00132647269,
}

// Offsets of the constants, each a float32 to be broadcast.
const (
	cMin      = 0 // least exponent, so that no result is denormal
	cLog2E    = 4
	cMinusInf = 8
	cBias     = 12 // of an exponent
	cPoly     = 16
)

var table Mem

func constants() {
	table = GLOBL("attentionConstants", RODATA|NOPTR)
	DATA(cMin, U32(math.Float32bits(-126))) // F32 would write an integer
	DATA(cLog2E, U32(math.Float32bits(math.Log2E)))
	DATA(cMinusInf, U32(0xFF800000))
	DATA(cBias, U32(127))
	for i, c := range exp2Coefficients {
		DATA(cPoly+4*i, U32(math.Float32bits(c)))
	}
}

func constant(i int) Mem { return table.Offset(i) }

// Constants that stay in registers 8…15: least exponent, polynomial, bias.
func (v vectors) min() VecPhysical       { return v.reg[8] }
func (v vectors) poly(i int) VecPhysical { return v.reg[9+i] }

func (v vectors) loadExp2() {
	VBROADCASTSS(constant(cMin), v.min())
	for i := range 6 {
		VBROADCASTSS(constant(cPoly+4*i), v.poly(i))
	}
	if v.lanes == 8 {
		VPBROADCASTD(constant(cBias), v.reg[15])
	}
}

// exp2 sets x to 2ˣ, x at least −126; a NaN stays. k and p are overwritten.
func (v vectors) exp2(x, k, p VecPhysical) {
	VMAXPS(x, v.min(), x) // the second source is taken when x is NaN
	if v.lanes == 8 {
		VROUNDPS(U8(8), x, k)
	} else {
		VRNDSCALEPS(U8(8), x, k)
	}
	VSUBPS(k, x, x)
	VMOVAPS(v.poly(5), p)
	for i := 4; i >= 0; i-- {
		VFMADD213PS(v.poly(i), x, p)
	}
	if v.lanes == 16 {
		VSCALEFPS(k, p, x)
		return
	}
	VCVTPS2DQ(k, k)
	VPADDD(v.reg[15], k, k)
	VPSLLD(U8(23), k, k)
	VMULPS(k, p, x)
}

// reduce leaves op over all lanes of x in the low lane, t is overwritten.
func (v vectors) reduce(op func(...Op), x, t int) {
	ymm, xmm := avx2.reg, []VecPhysical{X0, X1, X2, X3, X4, X5, X6, X7}
	if v.lanes == 16 {
		VEXTRACTF64X4(U8(1), v.reg[x], ymm[t])
		op(ymm[t], ymm[x], ymm[x])
	}
	VEXTRACTF128(U8(1), ymm[x], xmm[t])
	op(xmm[t], xmm[x], xmm[x])
	VPSHUFD(U8(0x4E), xmm[x], xmm[t])
	op(xmm[t], xmm[x], xmm[x])
	VPSHUFD(U8(0xB1), xmm[x], xmm[t])
	op(xmm[t], xmm[x], xmm[x])
}

// softmax writes the forward pass over rows of scores.
func (v vectors) softmax() {
	TEXT("softmax"+v.suffix, NOSPLIT,
		"func(s *float32, lds uintptr, rows, n int, c float32, stat *float32)")
	Doc(fmt.Sprintf("softmax%s sets every s to 2^(s·c − m), with m the larger of", v.suffix),
		"stat[2r] and the greatest s·c of row r, and stat[2r], stat[2r+1] to m and the sum",
		"of the row.",
		"n is a multiple of 16, c is positive, rows are lds bytes apart.")
	Pragma("noescape")
	s, lds, rows, n, stat, p, i := RDI, RSI, RDX, RCX, R8, R9, R10
	Load(Param("s"), s)
	Load(Param("lds"), lds)
	Load(Param("rows"), rows)
	Load(Param("n"), n)
	Load(Param("stat"), stat)
	v.loadExp2()
	c := v.reg[7]
	cArg, _ := Param("c").Resolve()
	VBROADCASTSS(cArg.Addr, c)
	TESTQ(rows, rows)
	JZ(LabelRef("done"))
	Label("row")
	// The maximum. The order of the sources passes over NaN.
	r := v.reg
	VBROADCASTSS(constant(cMinusInf), r[0])
	VMOVAPS(r[0], r[1])
	MOVQ(s, p)
	MOVQ(n, i)
	Label("max")
	if v.lanes == 16 {
		VMOVUPS(Mem{Base: p}, r[2])
		VMAXPS(r[0], r[2], r[0])
	} else {
		VMOVUPS(Mem{Base: p}, r[2])
		VMOVUPS(Mem{Base: p, Disp: 32}, r[3])
		VMAXPS(r[0], r[2], r[0])
		VMAXPS(r[1], r[3], r[1])
	}
	ADDQ(U32(64), p)
	SUBQ(U32(16), i)
	JNZ(LabelRef("max"))
	if v.lanes == 8 {
		VMAXPS(r[1], r[0], r[0])
	}
	v.reduce(VMAXPS, 0, 1)
	x := []VecPhysical{X0, X1, X2, X3, X4, X5, X6, X7}
	VMULSS(x[7], x[0], x[0])
	VMAXSS(Mem{Base: stat}, x[0], x[0])
	VMOVSS(x[0], Mem{Base: stat})
	VBROADCASTSS(Mem{Base: stat}, r[6])
	zero(v, r[4])
	zero(v, r[5])
	MOVQ(s, p)
	MOVQ(n, i)
	Label("exp")
	for h := 0; h < 16/v.lanes; h++ {
		m := Mem{Base: p, Disp: 32 * h}
		VMOVUPS(m, r[0])
		VFMSUB132PS(c, r[6], r[0])
		v.exp2(r[0], r[1], r[2])
		VADDPS(r[0], r[4+h], r[4+h])
		VMOVUPS(r[0], m)
	}
	ADDQ(U32(64), p)
	SUBQ(U32(16), i)
	JNZ(LabelRef("exp"))
	if v.lanes == 8 {
		VADDPS(r[5], r[4], r[4])
	}
	v.reduce(VADDPS, 4, 5)
	VMOVSS(x[4], Mem{Base: stat, Disp: 4})
	ADDQ(U32(8), stat)
	ADDQ(lds, s)
	DECQ(rows)
	JNZ(LabelRef("row"))
	Label("done")
	VZEROUPPER()
	RET()
}

func zero(v vectors, r VecPhysical) {
	if v.lanes == 16 {
		VPXORD(r, r, r)
		return
	}
	VXORPS(r, r, r)
}

// softmaxBackward writes the backward pass over rows of scores.
func (v vectors) softmaxBackward() {
	TEXT("softmaxBackward"+v.suffix, NOSPLIT, "func(s, dp *float32, ld uintptr, rows, n int, "+
		"c float32, lse, delta *float32, scale float32)")
	Doc(fmt.Sprintf("softmaxBackward%s sets every s to p = 2^(s·c − lse[r]·log₂e)", v.suffix),
		"and every dp to p·(dp − delta[r])·scale. n is a multiple of 16, rows are ld bytes",
		"apart.")
	Pragma("noescape")
	s, dp, ld, rows, n, lse, delta, i := RDI, RSI, RDX, RCX, R8, R9, R10, R11
	Load(Param("s"), s)
	Load(Param("dp"), dp)
	Load(Param("ld"), ld)
	Load(Param("rows"), rows)
	Load(Param("n"), n)
	Load(Param("lse"), lse)
	Load(Param("delta"), delta)
	v.loadExp2()
	r := v.reg
	cArg, _ := Param("c").Resolve()
	scale, _ := Param("scale").Resolve()
	VBROADCASTSS(cArg.Addr, r[7])
	VBROADCASTSS(scale.Addr, r[5])
	TESTQ(rows, rows)
	JZ(LabelRef("done"))
	Label("row")
	VMOVSS(Mem{Base: lse}, X6)
	VMULSS(constant(cLog2E), X6, X6)
	VBROADCASTSS(X6, r[6])
	VBROADCASTSS(Mem{Base: delta}, r[4])
	XORQ(i, i)
	Label("column")
	ms := Mem{Base: s, Index: i, Scale: 4}
	md := Mem{Base: dp, Index: i, Scale: 4}
	VMOVUPS(ms, r[0])
	VFMSUB132PS(r[7], r[6], r[0])
	v.exp2(r[0], r[1], r[2])
	VMOVUPS(r[0], ms)
	VMOVUPS(md, r[1])
	VSUBPS(r[4], r[1], r[1])
	VMULPS(r[5], r[0], r[0])
	VMULPS(r[0], r[1], r[1])
	VMOVUPS(r[1], md)
	ADDQ(U32(v.lanes), i)
	CMPQ(i, n)
	JL(LabelRef("column"))
	ADDQ(U32(4), lse)
	ADDQ(U32(4), delta)
	ADDQ(ld, s)
	ADDQ(ld, dp)
	DECQ(rows)
	JNZ(LabelRef("row"))
	Label("done")
	VZEROUPPER()
	RET()
}

// scaleRows writes x[r][i] *= f[r].
func scaleRows() {
	TEXT("scaleRowsAVX2", NOSPLIT, "func(x *float32, ld uintptr, rows, n int, f *float32)")
	Doc("scaleRowsAVX2 multiplies every row of x by its factor. n is a multiple of 8, rows",
		"are ld bytes apart.")
	Pragma("noescape")
	x, ld, rows, n, f, i := RDI, RSI, RDX, RCX, R8, R9
	Load(Param("x"), x)
	Load(Param("ld"), ld)
	Load(Param("rows"), rows)
	Load(Param("n"), n)
	Load(Param("f"), f)
	TESTQ(rows, rows)
	JZ(LabelRef("done"))
	Label("row")
	VBROADCASTSS(Mem{Base: f}, Y0)
	XORQ(i, i)
	Label("column")
	m := Mem{Base: x, Index: i, Scale: 4}
	VMULPS(m, Y0, Y1)
	VMOVUPS(Y1, m)
	ADDQ(U32(8), i)
	CMPQ(i, n)
	JL(LabelRef("column"))
	ADDQ(U32(4), f)
	ADDQ(ld, x)
	DECQ(rows)
	JNZ(LabelRef("row"))
	Label("done")
	VZEROUPPER()
	RET()
}

// rowDots writes dot[r] = Σ x[r][i]·y[r][i].
func rowDots() {
	TEXT("rowDotsAVX2", NOSPLIT,
		"func(dot, x *float32, ldx uintptr, y *float32, ldy uintptr, rows, n int)")
	Doc("rowDotsAVX2 sets dot[r] to the scalar product of row r of x and of y. n is a",
		"multiple of 8, rows are ldx and ldy bytes apart.")
	Pragma("noescape")
	dot, x, ldx, y, ldy, rows, n, i := RAX, RDI, RSI, RDX, RBX, RCX, R8, R9
	Load(Param("dot"), dot)
	Load(Param("x"), x)
	Load(Param("ldx"), ldx)
	Load(Param("y"), y)
	Load(Param("ldy"), ldy)
	Load(Param("rows"), rows)
	Load(Param("n"), n)
	TESTQ(rows, rows)
	JZ(LabelRef("done"))
	Label("row")
	VXORPS(Y0, Y0, Y0)
	XORQ(i, i)
	Label("column")
	VMOVUPS(Mem{Base: x, Index: i, Scale: 4}, Y1)
	VFMADD231PS(Mem{Base: y, Index: i, Scale: 4}, Y1, Y0)
	ADDQ(U32(8), i)
	CMPQ(i, n)
	JL(LabelRef("column"))
	avx2.reduce(VADDPS, 0, 1)
	VMOVSS(X0, Mem{Base: dot})
	ADDQ(U32(4), dot)
	ADDQ(ldx, x)
	ADDQ(ldy, y)
	DECQ(rows)
	JNZ(LabelRef("row"))
	Label("done")
	VZEROUPPER()
	RET()
}
