package main

import (
	"slices"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// set is an instruction set that a kernel is written for, with registers of one
// width. Its methods write the same kernel with either, for any length: each
// writes the body once more for the last elements, and load, operand and store
// touch only the memory of these.
type set struct {
	suffix string // of the functions' names
	lanes  int
	live   reg.Register // while a tail is written: the mask of its elements
}

var (
	avx2   = &set{suffix: "AVX2", lanes: 8}
	avx512 = &set{suffix: "AVX512", lanes: 16}
	sets   = []*set{avx2, avx512}
)

func (s *set) vec() VecVirtual {
	if s == avx512 {
		return ZMM()
	}
	return YMM()
}

func (s *set) begin(name, signature, doc string) {
	begin(name+s.suffix, signature, name+s.suffix+doc)
}

func (s *set) zero() VecVirtual {
	r := s.vec()
	VXORPS(r, r, r)
	return r
}

func (s *set) zeros(n int) []VecVirtual {
	v := make([]VecVirtual, n)
	for i := range v {
		v[i] = s.zero()
	}
	return v
}

// broadcast loads 32 bits into every lane.
func (s *set) broadcast(m Mem) VecVirtual {
	r := s.vec()
	VBROADCASTSS(m, r)
	return r
}

// spread broadcasts a 32-bit parameter.
func (s *set) spread(name string) VecVirtual {
	a, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return s.broadcast(a.Addr)
}

func (s *set) at(base, index reg.Register, register int) Mem {
	return Mem{Base: base, Index: index, Scale: 4, Disp: 4 * s.lanes * register}
}

// load reads a register; what lies behind the tail reads as 0.
func (s *set) load(m Mem) VecVirtual {
	r := s.vec()
	switch {
	case s.live == nil:
		VMOVUPS(m, r)
	case s == avx512:
		VMOVUPS_Z(m, s.live, r)
	default:
		VMASKMOVPS(m, s.live, r)
	}
	return r
}

// operand returns m for use in an instruction, loaded where that would read
// beyond the tail.
func (s *set) operand(m Mem) Op {
	if s.live == nil {
		return m
	}
	return s.load(m)
}

func (s *set) store(v VecVirtual, m Mem) {
	switch {
	case s.live == nil:
		VMOVUPS(v, m)
	case s == avx512:
		VMOVUPS(v, s.live, m)
	default:
		VMASKMOVPS(v, s.live, m)
	}
}

// clearDead sets the lanes behind the tail to 0.
func (s *set) clearDead(v VecVirtual) {
	switch {
	case s.live == nil:
	case s == avx512:
		VMOVAPS_Z(v, s.live, v)
	default:
		VANDPS(s.live, v, v)
	}
}

// each runs body over n elements: blocks of unroll registers first,
// u = 0…unroll−1, then single registers with u = 0, then what fills a part of
// one.
func (s *set) each(label string, n reg.GPVirtual, unroll int, body func(i GPVirtual, u int)) {
	i, last := GP64(), GP64()
	XORQ(i, i)
	if unroll > 1 {
		s.blocks(label+"Blocks", i, n, last, unroll, body)
	}
	s.blocks(label+"Registers", i, n, last, 1, body)
	MOVQ(n, last)
	SUBQ(i, last)
	JZ(LabelRef(label + "End"))
	s.live = s.firstLanes(last)
	body(i, 0)
	s.live = nil
	Label(label + "End")
}

// blocks runs body over the whole blocks of what is left of n from i on.
func (s *set) blocks(label string, i, n, last GPVirtual, unroll int, body func(GPVirtual, int)) {
	block := U32(s.lanes * unroll)
	MOVQ(n, last)
	SUBQ(block, last)
	CMPQ(i, last)
	JGT(LabelRef(label + "End"))
	Label(label)
	for u := range unroll {
		body(i, u)
	}
	ADDQ(block, i)
	CMPQ(i, last)
	JLE(LabelRef(label))
	Label(label + "End")
}

// firstLanes returns a mask of the first count lanes, 0 < count < lanes.
func (s *set) firstLanes(count GPVirtual) reg.Register {
	if s == avx512 {
		bits, k := GP64(), K()
		MOVQ(I32(-1), bits)
		BZHIQ(count, bits, bits)
		KMOVW(bits.As32(), k)
		return k
	}
	if firstLanes.Symbol.Name == "" {
		firstLanes = GLOBL("vecFirstLanes", RODATA|NOPTR)
		for i, word := range slices.Concat(slices.Repeat([]uint32{1<<32 - 1}, 8), make([]uint32, 8)) {
			DATA(4*i, U32(word))
		}
	}
	table, mask := GP64(), YMM()
	LEAQ(firstLanes, table)
	NEGQ(count)
	VMOVDQU(Mem{Base: table, Index: count, Scale: 4, Disp: 32}, mask)
	return mask
}

var firstLanes Mem // eight words of ones, eight of zeros

// total returns the sum of all lanes of all of v in every lane. It uses v up.
func (s *set) total(v []VecVirtual) VecVirtual {
	for n := len(v); n > 1; n /= 2 {
		for i := range n / 2 {
			VADDPS(v[i+n/2], v[i], v[i])
		}
	}
	sum := v[0]
	if s == avx512 {
		high := YMM()
		VEXTRACTF64X4(U8(1), sum, high)
		VADDPS(high, sum.AsY(), high)
		sum = high
	}
	t := YMM()
	VPERM2F128(U8(1), sum, sum, t)
	VADDPS(t, sum, sum)
	VPERMILPS(U8(0x4E), sum, t)
	VADDPS(t, sum, sum)
	VPERMILPS(U8(0xB1), sum, t)
	VADDPS(t, sum, sum)
	if s == avx512 {
		all := ZMM()
		VBROADCASTSS(sum.AsX(), all)
		return all
	}
	return sum
}
