// Command view writes the assembly of internal/view.
package main

import (
	"encoding/binary"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"

	"avjepa/internal/kernel/gen/header"
)

func main() {
	ConstraintExpr("amd64,!noasm")
	across()
	down()
	mirror()
	loadPCM()
	passes()
	power()
	bands()
	Generate()
	header.Correct()
}

// begin starts a function that does what the Go function ref does.
func begin(name, signature, ref string) {
	TEXT(name, NOSPLIT, signature)
	Doc(name + " is " + ref)
	Pragma("noescape")
}

// parameter loads a parameter into a register.
func parameter(name string) GPVirtual {
	return Load(Param(name), GP64()).(GPVirtual)
}

// bytes puts 16 bytes into read-only memory, twice. 0x80 in a shuffle is zero.
func bytes(name string, b [16]byte) Mem {
	m := GLOBL(name, RODATA|NOPTR)
	for i := range 8 {
		DATA(4*i, U32(binary.LittleEndian.Uint32(b[4*(i%4):])))
	}
	return m
}

// lanes puts a vector of equal 32-bit numbers into read-only memory.
func lanes(name string, v uint32) Mem {
	m := GLOBL(name, RODATA|NOPTR)
	for i := range 8 {
		DATA(4*i, U32(v))
	}
	return m
}
