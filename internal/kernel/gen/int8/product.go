package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

const (
	tileRows  = 14  // 28 accumulators of 32 registers
	groupSize = 128 // bytes of four rows of a panel of 32 columns
)

var vec = []VecPhysical{
	Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z8, Z9, Z10, Z11, Z12, Z13, Z14, Z15,
	Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z24, Z25, Z26, Z27, Z28, Z29, Z30, Z31}

// General registers. Rows of A are reached as base[i/4] + (i%4)·lda.
var (
	base                            = []Register{RAX, RBX, RCX, RDX}
	lda, lda3, bPtr, k              = RSI, RDI, R9, R10
	aCur, cCur, dCur, rowsLeft, tmp = R11, R12, R13, R14, R15
	rowCur                          = R8 // scales and zeros of the tile's rows
)

func acc(i, v int) VecPhysical { return vec[2*i+v] }
func b(v int) VecPhysical      { return vec[2*tileRows+v] }
func a(i int) VecPhysical      { return vec[2*tileRows+2+i%2] }
func mask(v int) Register      { return []Register{K1, K2}[v] }

// product writes the function: a loop over tiles of 14 rows, and a body for each
// number of rows that may be left.
func product() {
	TEXT("int8VNNI", NOSPLIT, "func(rows, groups int, a *uint8, lda uintptr, rowScale *float32, "+
		"b *int8, colSum *int32, colScale *float32, c *float32, ldc uintptr, d *float32, "+
		"ldd uintptr, bias *float32, cols int)")
	Doc("int8VNNI sets c = rowScale·colScale·(a·b − zero·colSum) + bias + d for one panel of b.",
		"",
		"\ta         (rows, 4·groups)    rows lda bytes apart",
		"\trowScale  (rows, 2)           scale, and minus the zero point as an int32",
		"\tb         (groups, 32, 4)     packed",
		"\tcolSum, colScale  (32)",
		"\tc         (rows, cols)        rows ldc bytes apart",
		"\td         (rows, cols)        nil, or added; rows ldd bytes apart; may be c",
		"\tbias      (cols)              nil, or added to every row")
	Pragma("noescape")
	Load(Param("cols"), RCX)
	MOVQ(I32(-1), RAX)
	SHLXQ(RCX, RAX, RAX)
	NOTQ(RAX)
	KMOVW(EAX, K1)
	SHRQ(U8(16), RAX)
	KMOVW(EAX, K2)
	Load(Param("rows"), rowsLeft)
	Load(Param("a"), aCur)
	Load(Param("rowScale"), rowCur)
	Load(Param("c"), cCur)
	Load(Param("d"), dCur)
	Load(Param("lda"), lda)
	LEAQ(Mem{Base: lda, Index: lda, Scale: 2}, lda3)
	Label("tile")
	CMPQ(rowsLeft, U32(tileRows))
	JL(LabelRef("left"))
	tile(tileRows)
	SUBQ(U32(tileRows), rowsLeft)
	JMP(LabelRef("tile"))
	Label("left")
	for r := tileRows - 1; r >= 1; r-- {
		CMPQ(rowsLeft, U32(r))
		JE(LabelRef(fmt.Sprintf("begin%d", r)))
	}
	VZEROUPPER()
	RET()
	for r := tileRows - 1; r >= 1; r-- {
		Label(fmt.Sprintf("begin%d", r))
		tile(r)
		VZEROUPPER()
		RET()
	}
}

// tile writes the product of r rows, and moves aCur, rowCur, cCur and dCur
// behind it.
func tile(r int) {
	label := func(s string) string { return fmt.Sprintf("%s%d", s, r) }
	Load(Param("colSum"), tmp)
	for v := range 2 {
		VMOVDQU32(Mem{Base: tmp, Disp: 64 * v}, b(v))
	}
	for i := range r {
		VPBROADCASTD(Mem{Base: rowCur, Disp: 8*i + 4}, a(i))
		for v := range 2 {
			VPMULLD(b(v), a(i), acc(i, v))
		}
	}
	MOVQ(aCur, base[0])
	for i := 4; i < r; i += 4 {
		LEAQ(Mem{Base: base[i/4-1], Index: lda, Scale: 4}, base[i/4])
	}
	Load(Param("b"), bPtr)
	Load(Param("groups"), k)
	SUBQ(U32(2), k)
	JL(LabelRef(label("rest")))
	Label(label("loop"))
	step(r, 0)
	step(r, 1)
	for i := 0; i < r; i += 4 {
		ADDQ(U32(8), base[i/4])
	}
	ADDQ(U32(2*groupSize), bPtr)
	SUBQ(U32(2), k)
	JGE(LabelRef(label("loop")))
	Label(label("rest"))
	ADDQ(U32(2), k)
	JZ(LabelRef(label("store")))
	step(r, 0)
	Label(label("store"))
	store(r, label)
}

// step writes the products of group u of four k.
func step(r, u int) {
	for v := range 2 {
		VMOVDQU32(Mem{Base: bPtr, Disp: u*groupSize + 64*v}, b(v))
	}
	for i := range r {
		m := Mem{Base: base[i/4], Disp: 4 * u}
		switch i % 4 {
		case 1:
			m.Index, m.Scale = lda, 1
		case 2:
			m.Index, m.Scale = lda, 2
		case 3:
			m.Index, m.Scale = lda3, 1
		}
		VPBROADCASTD(m, a(i))
		for v := range 2 {
			dotBytes(b(v), a(i), acc(i, v))
		}
	}
}

// dotBytes adds to each int32 of sum the four products of signed s and unsigned
// u bytes. avo 0.5 does not know the instruction.
func dotBytes(s, u, sum VecPhysical) {
	Instruction(&ir.Instruction{Opcode: "VPDPBUSD", Operands: []Op{s, u, sum},
		Inputs: []Op{s, u, sum}, Outputs: []Op{sum}, ISA: []string{"AVX512VNNI"}})
}

// store writes scales, bias, d and the way to c.
func store(r int, label func(string) string) {
	scale, bias := b, func(v int) VecPhysical { return a(v) }
	Load(Param("colScale"), tmp)
	for v := range 2 {
		VMOVUPS(Mem{Base: tmp, Disp: 64 * v}, scale(v))
		VPXORD(bias(v), bias(v), bias(v))
	}
	Load(Param("bias"), tmp)
	TESTQ(tmp, tmp)
	JZ(LabelRef(label("noBias")))
	for v := range 2 {
		VMOVUPS_Z(Mem{Base: tmp, Disp: 64 * v}, mask(v), bias(v))
	}
	Label(label("noBias"))
	for i := range r {
		for v := range 2 {
			VCVTDQ2PS(acc(i, v), acc(i, v))
			VMULPS_BCST(Mem{Base: rowCur, Disp: 8 * i}, acc(i, v), acc(i, v))
			VFMADD213PS(bias(v), scale(v), acc(i, v))
		}
	}
	TESTQ(dCur, dCur)
	JZ(LabelRef(label("noD")))
	Load(Param("ldd"), tmp)
	for i := range r {
		for v := range 2 {
			VADDPS(Mem{Base: dCur, Disp: 64 * v}, acc(i, v), mask(v), acc(i, v))
		}
		ADDQ(tmp, dCur)
	}
	Label(label("noD"))
	Load(Param("ldc"), tmp)
	for i := range r {
		for v := range 2 {
			VMOVUPS(acc(i, v), mask(v), Mem{Base: cCur, Disp: 64 * v})
		}
		ADDQ(tmp, cCur)
	}
	if r == tileRows {
		ADDQ(U32(8*tileRows), rowCur)
		IMUL3Q(U32(tileRows), lda, tmp)
		ADDQ(tmp, aCur)
	}
}
