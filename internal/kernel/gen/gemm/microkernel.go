package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// target is what a micro-kernel needs to know of an instruction set.
type target struct {
	rows   int // of a full tile
	lanes  int // floats in a vector; a panel is two vectors wide
	unroll int // of the loop over k
	vec    []VecPhysical
}

var avx2 = target{rows: 6, lanes: 8, unroll: 4, vec: []VecPhysical{
	Y0, Y1, Y2, Y3, Y4, Y5, Y6, Y7, Y8, Y9, Y10, Y11, Y12, Y13, Y14, Y15}}

var avx512 = target{rows: 14, lanes: 16, unroll: 2, vec: []VecPhysical{
	Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z8, Z9, Z10, Z11, Z12, Z13, Z14, Z15,
	Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z24, Z25, Z26, Z27, Z28, Z29, Z30, Z31}}

// General registers. Rows of A are reached as base[i/4] + (i%4)·rs.
var (
	base                                 = []Register{RAX, RBX, RCX, RDX}
	rs, rs3, cs, bPtr                    = RSI, RDI, R8, R9
	k, aCur, cCur, dCur, rowsLeft, spare = R10, R11, R12, R13, R14, R15
)

func (t target) bytes() int { return 4 * t.lanes }

// acc returns the accumulator of row i, vector v of a tile two vectors wide.
func (t target) acc(i, v int) VecPhysical { return t.vec[2*i+v] }

// b returns the register of vector v of a row of B, a one of two that hold a
// broadcast element of A.
func (t target) b(v int) VecPhysical { return t.vec[2*t.rows+v] }
func (t target) a(i int) VecPhysical { return t.vec[2*t.rows+2+i%2] }

// generate writes the function: a loop over tiles of rows, and a body for each
// number of rows that may be left, all for panels of one and of two vectors.
func (t target) generate(name string) {
	TEXT(name, NOSPLIT, "func(rows, kc int, a *float32, rs, cs, pa uintptr, b, c *float32, "+
		"ldc uintptr, d *float32, ldd uintptr, bias *float32, cols int, mask *int32, next *float32)")
	Doc(fmt.Sprintf("%s sets c = a·b + bias + d for one panel of b.", name),
		"",
		fmt.Sprintf("\ta     (rows, kc)   element (i, k) of tile t of %d rows at", t.rows),
		"\t                   t·pa + i·rs + k·cs bytes",
		fmt.Sprintf("\tb     (kc, %d)     packed", 2*t.lanes),
		"\tc     (rows, cols) rows ldc bytes apart",
		"\td     (rows, cols) nil, or added; rows ldd bytes apart; may be c",
		"\tbias  (cols)       nil, or added to every row",
		"",
		fmt.Sprintf("mask holds %d times −1, then as many zeros. next is nil, or the panel that the", 2*t.lanes),
		"following call will multiply by: it is fetched into the cache meanwhile.")
	Pragma("noescape")
	Load(Param("rows"), rowsLeft)
	Load(Param("a"), aCur)
	Load(Param("c"), cCur)
	Load(Param("d"), dCur)
	Load(Param("rs"), rs)
	Load(Param("cs"), cs)
	LEAQ(Mem{Base: rs, Index: rs, Scale: 2}, rs3)
	Load(Param("next"), spare)
	TESTQ(spare, spare)
	JZ(LabelRef("start"))
	Load(Param("b"), RAX)
	SUBQ(RAX, spare)
	MOVQ(spare, ahead())
	Label("start")
	t.masks()
	Load(Param("cols"), spare)
	CMPQ(spare, U32(t.lanes))
	JLE(LabelRef("narrow"))
	t.loop("wide", 2)
	Label("narrow")
	t.loop("narrow", 1)
}

// ahead is where the distance in bytes from b to what is fetched ahead is kept:
// in the place of the argument next.
func ahead() Mem {
	p, err := Param("next").Resolve()
	if err != nil {
		panic(err)
	}
	return p.Addr
}

// masks sets K1 and K2 to the columns of the two vectors that exist. With AVX2
// there are no mask registers to keep: store loads its masks when it needs them.
func (t target) masks() {
	if t.lanes != 16 {
		return
	}
	Load(Param("cols"), RCX)
	MOVQ(I32(-1), RAX)
	SHLXQ(RCX, RAX, RAX)
	NOTQ(RAX)
	KMOVW(EAX, K1)
	SHRQ(U8(16), RAX)
	KMOVW(EAX, K2)
}

// loop writes the loop over tiles of rows for panels of nv vectors.
func (t target) loop(label string, nv int) {
	Label(label + "Tile")
	CMPQ(rowsLeft, U32(t.rows))
	JL(LabelRef(label + "Left"))
	t.tile(fmt.Sprintf("%s%d", label, t.rows), t.rows, nv)
	Load(Param("pa"), spare)
	ADDQ(spare, aCur)
	ADDQ(U32(64), ahead())
	SUBQ(U32(t.rows), rowsLeft)
	JMP(LabelRef(label + "Tile"))
	Label(label + "Left")
	for r := t.rows - 1; r >= 1; r-- {
		CMPQ(rowsLeft, U32(r))
		JE(LabelRef(fmt.Sprintf("%s%dBegin", label, r)))
	}
	VZEROUPPER()
	RET()
	for r := t.rows - 1; r >= 1; r-- {
		l := fmt.Sprintf("%s%d", label, r)
		Label(l + "Begin")
		t.tile(l, r, nv)
		VZEROUPPER()
		RET()
	}
}

// tile writes the product of a tile of r rows and nv vectors, and moves cCur
// and dCur behind it.
func (t target) tile(label string, r, nv int) {
	for i := range r {
		for v := range nv {
			x := t.acc(i, v)
			if t.lanes == 16 {
				VPXORD(x, x, x)
			} else {
				VXORPS(x, x, x)
			}
		}
	}
	MOVQ(aCur, base[0])
	for i := 4; i < r; i += 4 {
		LEAQ(Mem{Base: base[i/4-1], Index: rs, Scale: 4}, base[i/4])
	}
	Load(Param("ldc"), bPtr)
	MOVQ(cCur, spare)
	for range r {
		PREFETCHT0(Mem{Base: spare})
		if t.lanes*nv > 16 {
			PREFETCHT0(Mem{Base: spare, Disp: 64})
		}
		ADDQ(bPtr, spare)
	}
	Load(Param("b"), bPtr)
	Load(Param("kc"), k)
	MOVQ(ahead(), spare)
	SUBQ(U32(t.unroll), k)
	JL(LabelRef(label + "Rest"))
	Label(label + "K")
	// A quarter of what the round reads; the next tile fetches the next quarter.
	PREFETCHT0(Mem{Base: bPtr, Index: spare, Scale: 1})
	for u := range t.unroll {
		t.step(r, nv, u)
	}
	ADDQ(U32(t.unroll*2*t.bytes()), bPtr)
	SUBQ(U32(t.unroll), k)
	JGE(LabelRef(label + "K"))
	Label(label + "Rest")
	ADDQ(U32(t.unroll), k)
	JZ(LabelRef(label + "Sum"))
	Label(label + "One")
	t.step(r, nv, 0)
	ADDQ(U32(2*t.bytes()), bPtr)
	DECQ(k)
	JNZ(LabelRef(label + "One"))
	Label(label + "Sum")
	t.store(label, r, nv)
}

// step writes the products of one k and moves the bases of A to the next.
func (t target) step(r, nv, u int) {
	for v := range nv {
		VMOVUPS(Mem{Base: bPtr, Disp: (2*u + v) * t.bytes()}, t.b(v))
	}
	for i := range r {
		m := Mem{Base: base[i/4]}
		switch i % 4 {
		case 1:
			m.Index, m.Scale = rs, 1
		case 2:
			m.Index, m.Scale = rs, 2
		case 3:
			m.Index, m.Scale = rs3, 1
		}
		VBROADCASTSS(m, t.a(i))
		for v := range nv {
			VFMADD231PS(t.b(v), t.a(i), t.acc(i, v))
		}
	}
	for i := 0; i < r; i += 4 {
		ADDQ(cs, base[i/4])
	}
}

// store writes bias, d and the way to c.
func (t target) store(label string, r, nv int) {
	Load(Param("bias"), spare)
	TESTQ(spare, spare)
	JZ(LabelRef(label + "NoBias"))
	if t.lanes == 16 {
		for v := range nv {
			VMOVUPS_Z(Mem{Base: spare, Disp: v * 64}, t.mask(v), t.b(v))
		}
	} else {
		t.loadMasks(nv)
		for v := range nv {
			VMASKMOVPS(Mem{Base: spare, Disp: v * 32}, t.a(v), t.b(v))
		}
	}
	for i := range r {
		for v := range nv {
			VADDPS(t.b(v), t.acc(i, v), t.acc(i, v))
		}
	}
	Label(label + "NoBias")
	Load(Param("ldc"), RAX)
	Load(Param("ldd"), RBX)
	Load(Param("d"), spare)
	if t.lanes == 16 {
		TESTQ(spare, spare)
		JZ(LabelRef(label + "NoD"))
		for i := range r {
			for v := range nv {
				m := Mem{Base: dCur, Disp: v * 64}
				VADDPS(m, t.acc(i, v), t.mask(v), t.acc(i, v))
			}
			ADDQ(RBX, dCur)
		}
		Label(label + "NoD")
		for i := range r {
			for v := range nv {
				VMOVUPS(t.acc(i, v), t.mask(v), Mem{Base: cCur, Disp: v * 64})
			}
			ADDQ(RAX, cCur)
		}
		return
	}
	Load(Param("cols"), RCX)
	CMPQ(RCX, U32(nv*t.lanes))
	JNE(LabelRef(label + "Masked"))
	TESTQ(spare, spare)
	JZ(LabelRef(label + "NoD"))
	for i := range r {
		for v := range nv {
			VADDPS(Mem{Base: dCur, Disp: v * 32}, t.acc(i, v), t.acc(i, v))
		}
		ADDQ(RBX, dCur)
	}
	Label(label + "NoD")
	for i := range r {
		for v := range nv {
			VMOVUPS(t.acc(i, v), Mem{Base: cCur, Disp: v * 32})
		}
		ADDQ(RAX, cCur)
	}
	JMP(LabelRef(label + "End"))
	Label(label + "Masked")
	t.loadMasks(nv)
	TESTQ(spare, spare)
	JZ(LabelRef(label + "MaskedNoD"))
	for i := range r {
		for v := range nv {
			VMASKMOVPS(Mem{Base: dCur, Disp: v * 32}, t.a(v), t.b(v))
			VADDPS(t.b(v), t.acc(i, v), t.acc(i, v))
		}
		ADDQ(RBX, dCur)
	}
	Label(label + "MaskedNoD")
	for i := range r {
		for v := range nv {
			VMASKMOVPS(t.acc(i, v), t.a(v), Mem{Base: cCur, Disp: v * 32})
		}
		ADDQ(RAX, cCur)
	}
	Label(label + "End")
}

func (t target) mask(v int) Register { return []Register{K1, K2}[v] }

// loadMasks sets a(v) to the mask of vector v: the window of the mask table
// that ends cols before the zeros.
func (t target) loadMasks(nv int) {
	Load(Param("mask"), RDX)
	Load(Param("cols"), RCX)
	NEGQ(RCX)
	LEAQ(Mem{Base: RDX, Index: RCX, Scale: 4, Disp: 2 * t.lanes * 4}, RDX)
	for v := range nv {
		VMOVUPS(Mem{Base: RDX, Disp: v * 32}, t.a(v))
	}
}
