package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// Of internal/jpeg: the bits of a look-up, and what its entries have in their
// lowest byte when they are not enough.
const (
	lookBits = 10
	codeOnly = 0x80
)

// short takes about as long as its chain of needs: bits, entry of the look-up,
// length, bits.
func short() {
	TEXT("shortBMI2", NOSPLIT, "func(acc *uint64, buf *byte, look *uint32, block *int16, "+
		"places *uint8, k uint) uint")
	Doc("shortBMI2 is reader.shortGo for the bits that begin with acc.")
	Pragma("noescape")
	r, buf, look := pointer("acc"), pointer("buf"), pointer("look")
	block, places, k := pointer("block"), pointer("places"), pointer("k")
	acc, n, at := GP64(), GP64(), GP64()
	MOVQ(Mem{Base: r}, acc)
	MOVQ(Mem{Base: r, Disp: 8}, n)
	MOVQ(Mem{Base: r, Disp: 16}, at)
	CMPQ(k, U8(63)) // a long code may have ended the block
	JGE(LabelRef("shortDone"))
	Label("shortLoop")
	CMPQ(n, U8(32))
	JGE(LabelRef("shortLook"))
	more := GP64()
	MOVQ(Mem{Base: buf, Index: at, Scale: 1}, more)
	BSWAPQ(more)
	SHRXQ(n, more, more)
	ORQ(more, acc)
	MOVQ(U32(63), more)
	SUBQ(n, more)
	SHRQ(U8(3), more)
	ADDQ(more, at)
	ORQ(U8(56), n)

	Label("shortLook")
	entry, length, grow := GP64(), GP64(), GP64()
	MOVQ(acc, entry)
	SHRQ(U8(64-lookBits), entry)
	MOVL(Mem{Base: look, Index: entry, Scale: 4}, entry.As32())
	MOVBLZX(entry.As8(), length.As32())
	CMPL(length.As32(), U32(codeOnly))
	JAE(LabelRef("shortDone"))
	SHLXQ(length, acc, acc)
	SUBQ(length, n)
	MOVL(entry.As32(), grow.As32())
	SHRL(U8(8), grow.As32())
	MOVBLZX(grow.As8(), grow.As32())
	ADDQ(grow, k)
	SHRL(U8(16), entry.As32())
	MOVBLZX(Mem{Base: places, Index: k, Scale: 1}, grow.As32())
	MOVW(entry.As16(), Mem{Base: block, Index: grow, Scale: 2})
	CMPQ(k, U8(63))
	JLT(LabelRef("shortLoop"))

	Label("shortDone")
	MOVQ(acc, Mem{Base: r})
	MOVQ(n, Mem{Base: r, Disp: 8})
	MOVQ(at, Mem{Base: r, Disp: 16})
	Store(k, ReturnIndex(0))
	RET()
}
