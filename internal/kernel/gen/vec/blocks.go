package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const lanes = 8

// begin starts a function without a stack frame.
func begin(name, signature, doc string) {
	TEXT(name, NOSPLIT, signature)
	Doc(doc)
	Pragma("noescape")
}

func end() {
	VZEROUPPER()
	RET()
}

func pointer(name string) reg.GPVirtual { return Load(Param(name), GP64()).(reg.GPVirtual) }

// integer loads an int parameter.
func integer(name string) reg.GPVirtual { return pointer(name) }

// spread broadcasts a 32-bit parameter.
func spread(name string) reg.VecVirtual {
	v := YMM()
	a, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	VBROADCASTSS(a.Addr, v)
	return v
}

func at(base, index reg.Register, register int) Mem {
	return Mem{Base: base, Index: index, Scale: 4, Disp: 4 * lanes * register}
}

var known = map[uint32]Mem{}

// splat returns 32 bytes of read-only memory that repeat v.
func splat(v float32) Mem { return splatBits(math.Float32bits(v)) }

func splatBits(v uint32) Mem {
	if m, ok := known[v]; ok {
		return m
	}
	m := GLOBL(fmt.Sprintf("vec%08x", v), RODATA|NOPTR)
	for i := range lanes {
		DATA(4*i, U32(v))
	}
	known[v] = m
	return m
}

// keep loads a constant into a register.
func keep(v float32) reg.VecVirtual {
	r := YMM()
	VMOVUPS(splat(v), r)
	return r
}

func zero() reg.VecVirtual {
	r := YMM()
	VXORPS(r, r, r)
	return r
}

// each runs body over n elements, a multiple of a register: blocks of unroll
// registers first, u = 0…unroll−1, then single registers with u = 0.
func each(label string, n reg.GPVirtual, unroll int, body func(i reg.GPVirtual, u int)) {
	i := GP64()
	XORQ(i, i)
	if unroll > 1 {
		last := GP64()
		MOVQ(n, last)
		SUBQ(U32(lanes*unroll), last)
		Label(label + "Blocks")
		CMPQ(i, last)
		JGT(LabelRef(label + "Tail"))
		for u := range unroll {
			body(i, u)
		}
		ADDQ(U32(lanes*unroll), i)
		JMP(LabelRef(label + "Blocks"))
	}
	Label(label + "Tail")
	CMPQ(i, n)
	JGE(LabelRef(label + "End"))
	body(i, 0)
	ADDQ(U32(lanes), i)
	JMP(LabelRef(label + "Tail"))
	Label(label + "End")
}

func zeros(n int) []reg.VecVirtual {
	v := make([]reg.VecVirtual, n)
	for i := range v {
		v[i] = zero()
	}
	return v
}

// horner returns the polynomial in x with the given coefficients, the highest
// power first.
func horner(x reg.VecVirtual, c ...float32) reg.VecVirtual {
	p := YMM()
	VMOVUPS(splat(c[0]), p)
	for _, v := range c[1:] {
		VFMADD213PS(splat(v), x, p)
	}
	return p
}
