package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// constant returns an operand with the given bits in every lane.
func (s *set) constant(bits uint32) Op {
	if s == avx512 {
		return s.broadcast(splatBits(bits))
	}
	return splatBits(bits)
}

// number returns an operand with v in every lane.
func (s *set) number(v float32) Op { return s.constant(math.Float32bits(v)) }

// numberIn returns a register with v in every lane.
func (s *set) numberIn(v float32) VecVirtual { return s.broadcast(splat(v)) }

// horner returns the polynomial in x with the given coefficients, the highest
// power first.
func (s *set) horner(x VecVirtual, c ...float32) VecVirtual {
	p := s.numberIn(c[0])
	for _, v := range c[1:] {
		VFMADD213PS(s.number(v), x, p)
	}
	return p
}

// round rounds v to the nearest whole numbers.
func (s *set) round(v VecVirtual) {
	if s == avx512 {
		VRNDSCALEPS(U8(roundNearest), v, v)
	} else {
		VROUNDPS(U8(roundNearest), v, v)
	}
}

// blend sets out to yes where the sign of choice is set, to no elsewhere.
func (s *set) blend(choice, yes, no, out VecVirtual) {
	if s == avx512 {
		k := K()
		VPMOVD2M(choice, k)
		VBLENDMPS(yes, no, k, out)
	} else {
		VBLENDVPS(choice, yes, no, out)
	}
}
