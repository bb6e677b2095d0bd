// Package mask writes the hash of dropout masks, rng.RowBits, into a kernel.
package mask

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Step is what a column adds to the first word of a row.
const Step = 0x9E3779B9

// Multipliers of the hash.
const (
	First  = 0x7FEB352D
	Second = 0x846CA68B
)

// Bits turns h, column·Step plus the first word of the row in every lane, into
// rng.RowBits of those columns. k1 is the row's second word in every lane, m1
// and m2 are First and Second; t is overwritten.
func Bits(h, t, k1 reg.Register, m1, m2 Op) {
	mix(h, t, k1, m1, m2)
	mix(h, t, nil, m1, m2)
}

// mix hashes h, and combines it with k1 if there is one.
func mix(h, t, k1 reg.Register, m1, m2 Op) {
	VPSRLD(U8(16), h, t)
	xor(h, t, nil)
	VPMULLD(m1, h, h)
	VPSRLD(U8(15), h, t)
	xor(h, t, nil)
	VPMULLD(m2, h, h)
	VPSRLD(U8(16), h, t)
	xor(h, t, k1)
}

// xor sets h to h ⊕ t, or h ⊕ t ⊕ k.
func xor(h, t, k reg.Register) {
	if h.Size() < 64 {
		VPXOR(t, h, h)
		if k != nil {
			VPXOR(k, h, h)
		}
		return
	}
	if k != nil {
		const exclusive = 0x96 // the truth table of ⊕ of three
		VPTERNLOGD(U8(exclusive), k, t, h)
		return
	}
	VPXORD(t, h, h)
}
