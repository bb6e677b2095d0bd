package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"

	"avjepa/internal/kernel/gen/mask"
)

// dropout writes the kernel that makes a row of a mask: it hashes a register of
// columns at a time, see rng.RowBits.
func (s *set) dropout() {
	s.begin("dropout", "func(y, x *float32, n int, k0, k1, threshold uint32, scale float32)",
		" sets y = x·scale where the hash reaches threshold, else 0.")
	y, x, n := pointer("y"), pointer("x"), integer("n")
	col, k0, k1 := s.vec(), s.spread("k0"), s.spread("k1")
	threshold, scale := s.spread("threshold"), s.spread("scale")
	if dropoutRamp.Symbol.Name == "" {
		dropoutRamp = GLOBL("dropoutRamp", RODATA|NOPTR)
		for i := range avx512.lanes {
			DATA(4*i, U32(uint32(uint64(i)*mask.Step)))
		}
	}
	VMOVUPS(dropoutRamp, col)
	VPADDD(k0, col, col)
	m1, m2 := s.broadcast(splatBits(mask.First)), s.broadcast(splatBits(mask.Second))
	step := s.broadcast(splatBits(uint32(s.lanes * mask.Step & 0xFFFFFFFF)))
	s.each("columns", n, 2, func(i GPVirtual, u int) {
		h, t, out := s.vec(), s.vec(), s.vec()
		VMOVAPS(col, h)
		VPADDD(step, col, col)
		mask.Bits(h, t, k1, m1, m2)
		if s == avx512 {
			const notLess = 5
			kept := K()
			VPCMPUD(U8(notLess), threshold, h, kept)
			VMULPS_Z(s.operand(s.at(x, i, u)), scale, kept, out)
		} else {
			VPMAXUD(threshold, h, t)
			VPCMPEQD(t, h, h) // all ones where h ≥ threshold
			VMULPS(s.operand(s.at(x, i, u)), scale, out)
			VANDPS(out, h, out)
		}
		s.store(out, s.at(y, i, u))
	})
	end()
}

var dropoutRamp Mem // the multiples of the step between columns
