package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"avjepa/internal/kernel/gen/denormal"
	"avjepa/internal/kernel/gen/mask"
)

// vectors is the width of an instruction set's registers.
type vectors struct {
	suffix string
	lanes  int
}

var (
	avx2   = vectors{"AVX2", 8}
	avx512 = vectors{"AVX512", 16}
)

// register returns a new register.
func (v vectors) register() reg.VecVirtual {
	if v.lanes == 16 {
		return ZMM()
	}
	return YMM()
}

// at is the memory of the lanes from element n behind base.
func at(base, index reg.Register, n int) Mem {
	return Mem{Base: base, Index: index, Scale: 4, Disp: 4 * n}
}

// begin starts a function without a stack frame.
func begin(name, signature string, doc ...string) {
	TEXT(name, NOSPLIT, signature)
	Doc(doc...)
	Pragma("noescape")
}

func end() {
	VZEROUPPER()
	RET()
}

func argument(name string) reg.GPVirtual { return Load(Param(name), GP64()).(reg.GPVirtual) }

// spread broadcasts a 32-bit parameter.
func (v vectors) spread(name string) reg.VecVirtual {
	r := v.register()
	a, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	VBROADCASTSS(a.Addr, r)
	return r
}

var known = map[uint32]Mem{}

// repeated returns 32 bytes of read-only memory that repeat bits.
func repeated(bits uint32) Mem {
	if m, ok := known[bits]; ok {
		return m
	}
	m := GLOBL(fmt.Sprintf("attention%08x", bits), RODATA|NOPTR)
	for i := range 8 {
		DATA(4*i, U32(bits))
	}
	known[bits] = m
	return m
}

// constant repeats bits in all lanes: of memory with AVX2, which has but 16
// registers, and of a register with AVX-512. Call it before any loop.
func (v vectors) constant(bits uint32) Op {
	if v.lanes == 8 {
		return repeated(bits)
	}
	r := v.register()
	VBROADCASTSS(repeated(bits), r)
	return r
}

// zero returns a register of zeros.
func (v vectors) zero() reg.VecVirtual {
	r := v.register()
	v.clear(r)
	return r
}

func (v vectors) clear(r reg.Register) {
	if v.lanes == 16 {
		VPXORD(r, r, r)
		return
	}
	VXORPS(r, r, r)
}

// reduce leaves op over all lanes of x in its low lane.
func (v vectors) reduce(op func(...Op), x reg.VecVirtual) {
	if v.lanes == 16 {
		half := YMM()
		VEXTRACTF64X4(U8(1), x, half)
		op(half, x.AsY(), x.AsY())
	}
	t := XMM()
	if v.lanes == 16 {
		VEXTRACTF32X4(U8(1), x.AsY(), t)
	} else {
		VEXTRACTF128(U8(1), x.AsY(), t)
	}
	op(t, x.AsX(), x.AsX())
	VPSHUFD(U8(0x4E), x.AsX(), t)
	op(t, x.AsX(), x.AsX())
	VPSHUFD(U8(0xB1), x.AsX(), t)
	op(t, x.AsX(), x.AsX())
}

// exp2 writes 2ˣ.
type exp2 struct {
	v         vectors
	min, bias Op
	poly      [6]Op
}

// exp2Coefficients are those of the polynomial of degree 5, 1 at 0, with the
// least relative error to 2ˣ on [0, 1] that was found among float32: 8.4e-8.
var exp2Coefficients = []float32{
	1, 0.6931513, 0.24016449, 0.055799887, 0.009017048, 0.0018671204,
}

// exp2Min is the least exponent of AVX2, so that no result is denormal.
const exp2Min = -126

func (v vectors) exp2() exp2 {
	e := exp2{v: v}
	for i, c := range exp2Coefficients {
		e.poly[i] = v.constant(math.Float32bits(c))
	}
	if v.lanes == 8 {
		e.min, e.bias = repeated(math.Float32bits(exp2Min)), repeated(math.Float32bits(1))
	}
	return e
}

const down = 9 // rounding, without exceptions

// set sets x to 2ˣ; a NaN stays. With AVX-512 it wants denormals flushed: the
// instructions for the fraction and for the power then take any exponent, −∞ as
// well, where AVX2 has to bound it.
func (e exp2) set(x reg.VecVirtual) {
	k, p := e.v.register(), e.v.register()
	if e.v.lanes == 16 {
		VREDUCEPS(U8(down), x, k)
		e.polynomial(p, k)
		VSCALEFPS(x, p, x)
		return
	}
	VMOVUPS(e.min, p)
	VMAXPS(x, p, x) // the second source is taken when x is NaN
	VROUNDPS(U8(down), x, k)
	VSUBPS(k, x, x)
	e.polynomial(p, x)
	VCVTPS2DQ(k, k)
	VPSLLD(U8(23), k, k)
	VPADDD(e.bias, k, k)
	VMULPS(k, p, x)
}

func (e exp2) polynomial(p, x reg.VecVirtual) {
	VMOVAPS(e.poly[5], p)
	for i := 4; i >= 0; i-- {
		VFMADD213PS(e.poly[i], x, p)
	}
}

// flushing writes body. With AVX-512 it runs with denormals taken as 0 and flushed
// to 0, which exp2 relies on.
func (v vectors) flushing(body func()) {
	if v.lanes == 8 {
		body()
		return
	}
	denormal.Flush(body)
}

// dropout writes which elements of a row are kept.
type dropout struct {
	v                      vectors
	words                  reg.GPVirtual
	threshold              reg.VecVirtual
	column, k1             reg.VecVirtual
	first, second, advance Op
}

// dropout takes the arguments words, two of a row, and threshold.
func (v vectors) dropout() dropout {
	d := dropout{v: v, words: argument("words"), threshold: v.spread("threshold"),
		column: v.register(), k1: v.register(),
		first: v.constant(mask.First), second: v.constant(mask.Second)}
	d.advance = v.constant(uint32(v.lanes * mask.Step & 0xFFFFFFFF))
	return d
}

// row starts a row: its words are the next.
func (d *dropout) row() {
	VPBROADCASTD(Mem{Base: d.words}, d.column)
	VPADDD(ramp(), d.column, d.column)
	VPBROADCASTD(Mem{Base: d.words, Disp: 4}, d.k1)
	ADDQ(U32(8), d.words)
}

var rampMemory *Mem

// ramp is memory of the first words of sixteen columns.
func ramp() Mem {
	if rampMemory == nil {
		m := GLOBL("attentionRamp", RODATA|NOPTR)
		for i := range 16 {
			DATA(4*i, U32(uint32(i*mask.Step&0xFFFFFFFF)))
		}
		rampMemory = &m
	}
	return *rampMemory
}

// next decides on the next columns: it returns the mask of those that are kept,
// a mask register with AVX-512.
func (d *dropout) next() reg.Register {
	h, t := d.v.register(), d.v.register()
	VMOVAPS(d.column, h)
	VPADDD(d.advance, d.column, d.column)
	mask.Bits(h, t, d.k1, d.first, d.second)
	if d.v.lanes == 16 {
		k := K()
		const notLess = 5
		VPCMPUD(U8(notLess), d.threshold, h, k)
		return k
	}
	VPMAXUD(d.threshold, h, t)
	VPCMPEQD(t, h, h)
	return h
}

// zeroDropped returns x with zeros for what keep does not keep.
func (d *dropout) zeroDropped(x, keep reg.Register) reg.VecVirtual {
	y := d.v.register()
	if d.v.lanes == 16 {
		VMOVAPS_Z(x, keep, y)
	} else {
		VANDPS(x, keep, y)
	}
	return y
}

// load loads what keep keeps, and zeros.
func (d *dropout) load(m Mem, keep reg.Register, y reg.VecVirtual) {
	if d.v.lanes == 16 {
		VMOVUPS_Z(m, keep, y)
		return
	}
	VANDPS(m, keep, y)
}
