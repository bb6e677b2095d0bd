package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// packTranspose writes the loop that transposes eight rows.
func packTranspose() {
	TEXT("packTransposeAVX2", NOSPLIT,
		"func(dst *float32, ldd uintptr, src *float32, lds uintptr, n int)")
	Doc("packTransposeAVX2 sets dst[k][r] = src[r][k] for r < 8 and k < 8n. Rows are ldd",
		"and lds bytes apart. Rows of dst are written in order, so they may overlap.")
	Pragma("noescape")
	dst, ldd, src, lds, n := RDI, RDX, RSI, RCX, R8
	Load(Param("dst"), dst)
	Load(Param("ldd"), ldd)
	Load(Param("src"), src)
	Load(Param("lds"), lds)
	Load(Param("n"), n)
	lds3, src4, next, next4 := R9, R10, R11, R12
	LEAQ(Mem{Base: lds, Index: lds, Scale: 2}, lds3)
	TESTQ(n, n)
	JZ(LabelRef("done"))
	Label("loop")
	LEAQ(Mem{Base: src, Index: lds, Scale: 4}, src4)
	y := avx2.vec
	row := func(p Register, i int) Mem {
		m := Mem{Base: p}
		switch i {
		case 1:
			m.Index, m.Scale = lds, 1
		case 2:
			m.Index, m.Scale = lds, 2
		case 3:
			m.Index, m.Scale = lds3, 1
		}
		return m
	}
	// The next eight rows, which the following call will transpose.
	LEAQ(Mem{Base: src, Index: lds, Scale: 8}, next)
	LEAQ(Mem{Base: src4, Index: lds, Scale: 8}, next4)
	for i := range 4 {
		PREFETCHT0(row(next, i))
		PREFETCHT0(row(next4, i))
	}
	// Rows r and r+4 side by side: y[r] holds columns 0–3, y[r+4] columns 4–7.
	for i := range 4 {
		lo, hi := row(src, i), row(src4, i)
		VMOVUPS(lo, []VecPhysical{X0, X1, X2, X3}[i])
		VINSERTF128(U8(1), hi, y[i], y[i])
		lo.Disp, hi.Disp = 16, 16
		VMOVUPS(lo, []VecPhysical{X4, X5, X6, X7}[i])
		VINSERTF128(U8(1), hi, y[4+i], y[4+i])
	}
	for h := 0; h < 8; h += 4 {
		VUNPCKLPS(y[h+1], y[h], y[8])
		VUNPCKHPS(y[h+1], y[h], y[9])
		VUNPCKLPS(y[h+3], y[h+2], y[10])
		VUNPCKHPS(y[h+3], y[h+2], y[11])
		VUNPCKLPD(y[10], y[8], y[12])
		VUNPCKHPD(y[10], y[8], y[13])
		VUNPCKLPD(y[11], y[9], y[14])
		VUNPCKHPD(y[11], y[9], y[15])
		for i := range 4 {
			VMOVUPS(y[12+i], Mem{Base: dst})
			ADDQ(ldd, dst)
		}
	}
	ADDQ(U32(32), src)
	DECQ(n)
	JNZ(LabelRef("loop"))
	Label("done")
	VZEROUPPER()
	RET()
}

// packCopy writes the loop that copies rows of a fixed width.
func packCopy(name string, width int) {
	TEXT(name, NOSPLIT, "func(dst, src *float32, lds uintptr, n int)")
	Doc(fmt.Sprintf("%s copies n rows of %d floats. Rows of src are lds", name, width),
		"bytes apart, those of dst follow each other.")
	Pragma("noescape")
	dst, src, lds, n, lds16 := RDI, RSI, RCX, R8, R9
	Load(Param("dst"), dst)
	Load(Param("src"), src)
	Load(Param("lds"), lds)
	Load(Param("n"), n)
	MOVQ(lds, lds16)
	SHLQ(U8(4), lds16)
	TESTQ(n, n)
	JZ(LabelRef("done"))
	Label("loop")
	switch width {
	case 16:
		VMOVUPS(Mem{Base: src}, Y0)
		VMOVUPS(Mem{Base: src, Disp: 32}, Y1)
		VMOVUPS(Y0, Mem{Base: dst})
		VMOVUPS(Y1, Mem{Base: dst, Disp: 32})
	case 32:
		VMOVUPS(Mem{Base: src}, Z0)
		VMOVUPS(Mem{Base: src, Disp: 64}, Z1)
		VMOVUPS(Z0, Mem{Base: dst})
		VMOVUPS(Z1, Mem{Base: dst, Disp: 64})
	}
	// Rows to come: far rows are on other pages, so nothing else fetches them ahead.
	for line := 0; line < 4*width; line += 64 {
		PREFETCHT0(Mem{Base: src, Index: lds16, Scale: 1, Disp: line})
	}
	ADDQ(lds, src)
	ADDQ(U32(4*width), dst)
	DECQ(n)
	JNZ(LabelRef("loop"))
	Label("done")
	VZEROUPPER()
	RET()
}

// packed returns the distance between columns of a packed tile, in floats: whole
// cache lines where a tile nearly fills them.
func (t target) packed() int {
	if t.rows == 14 {
		return 16
	}
	return t.rows
}

// packTiles writes the loop that copies rows into tiles of t.rows columns.
func (t target) packTiles(name string) {
	TEXT(name, NOSPLIT, "func(dst *float32, tile uintptr, src *float32, lds uintptr, tiles, n int)")
	Doc(fmt.Sprintf("%s sets column c, element r of tile i to src[c][%d·i + r], for", name, t.rows),
		fmt.Sprintf("n columns. Columns of src are lds bytes apart, those of a tile %d, tiles of dst", 4*t.packed()),
		"are tile bytes apart. It fetches ahead, as far columns are on other pages.")
	Pragma("noescape")
	dst, tile, src, lds, tiles, n := RDI, RDX, RSI, RCX, R9, R8
	Load(Param("dst"), dst)
	Load(Param("tile"), tile)
	Load(Param("src"), src)
	Load(Param("lds"), lds)
	Load(Param("tiles"), tiles)
	Load(Param("n"), n)
	from, to, left := R10, R11, R12
	if t.lanes == 16 {
		MOVL(U32(1<<t.rows-1), EAX)
		KMOVW(EAX, K1)
	}
	TESTQ(n, n)
	JZ(LabelRef("done"))
	Label("column")
	MOVQ(src, from)
	MOVQ(dst, to)
	MOVQ(tiles, left)
	Label("tile")
	PREFETCHT0(Mem{Base: from, Index: lds, Scale: 8})
	if t.lanes == 16 {
		VMOVUPS_Z(Mem{Base: from}, K1, Z0)
		VMOVUPS(Z0, K1, Mem{Base: to})
	} else {
		VMOVUPS(Mem{Base: from}, X0)
		MOVQ(Mem{Base: from, Disp: 16}, RAX)
		VMOVUPS(X0, Mem{Base: to})
		MOVQ(RAX, Mem{Base: to, Disp: 16})
	}
	ADDQ(U32(4*t.rows), from)
	ADDQ(tile, to)
	DECQ(left)
	JNZ(LabelRef("tile"))
	ADDQ(lds, src)
	ADDQ(U32(4*t.packed()), dst)
	DECQ(n)
	JNZ(LabelRef("column"))
	Label("done")
	VZEROUPPER()
	RET()
}

// peak writes a loop of independent multiply-adds in registers.
func peak(name string, t target) {
	TEXT(name, NOSPLIT, "func(n int)")
	Doc(fmt.Sprintf("%s does n rounds of %d independent vector multiply-adds.", name, peakChains))
	Load(Param("n"), RCX)
	for i := range peakChains + 1 {
		VXORPS(avx2.vec[i], avx2.vec[i], avx2.vec[i])
	}
	TESTQ(RCX, RCX)
	JZ(LabelRef("done"))
	Label("loop")
	for i := range peakChains {
		VFMADD231PS(t.vec[peakChains], t.vec[peakChains], t.vec[i])
	}
	DECQ(RCX)
	JNZ(LabelRef("loop"))
	Label("done")
	VZEROUPPER()
	RET()
}

const peakChains = 12
