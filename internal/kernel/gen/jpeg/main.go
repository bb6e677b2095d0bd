// Command jpeg writes the assembly of internal/jpeg: the loop over Huffman
// codes, the inverse transform of two blocks at once, and the conversion to RGB.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"

	"avjepa/internal/kernel/gen/header"
)

func main() {
	ConstraintExpr("amd64,!noasm")
	short()
	idct()
	rgb()
	Generate()
	header.Correct()
}

// pointer loads a parameter into a register.
func pointer(name string) GPVirtual {
	return Load(Param(name), GP64()).(GPVirtual)
}

// constants puts a vector of 32 bytes into read-only memory.
func constants(name string, f func(i int) U32) Mem {
	m := GLOBL(name, RODATA|NOPTR)
	for i := range 8 {
		DATA(4*i, f(i))
	}
	return m
}

// words is a pair of 16-bit numbers, the first one lower, in every lane.
func words(name string, a, b int16) Mem {
	return constants(name, func(int) U32 { return U32(uint32(uint16(a)) | uint32(uint16(b))<<16) })
}

func lanes(name string, v uint32) Mem {
	return constants(name, func(int) U32 { return U32(v) })
}

// bytes puts 16 bytes into read-only memory, twice.
func bytes(name string, f func(i int) byte) Mem {
	return constants(name, func(i int) (v U32) {
		for j := range 4 {
			v |= U32(f((4*i+j)%16)) << (8 * j)
		}
		return v
	})
}
