package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// softmax writes the forward pass over rows of scores, with dropout or without.
// It looks for the greatest score of a row while it takes the exponentials of
// the row before, whose arithmetic hides the way from the second-level cache.
func (v vectors) softmax(drops bool) {
	name, arguments := "softmax"+v.suffix, "s *float32, lds uintptr, rows, n int, c float32, "+
		"stat *float32"
	doc := []string{
		fmt.Sprintf("%s sets every s to 2^(s·c − m), with m the larger of stat[2r] and the", name),
		"greatest s·c of row r, and stat[2r], stat[2r+1] to m and the sum of the row.",
		"n is a multiple of 16, c is positive, rows are lds bytes apart.",
	}
	if drops {
		name, arguments = "softmaxDropout"+v.suffix, arguments+", words *uint32, threshold uint32"
		doc = []string{
			fmt.Sprintf("%s does what softmax%s does, and then sets to 0 every s", name, v.suffix),
			"whose bits are below threshold. words holds the two words of each row.",
		}
	}
	begin(name, "func("+arguments+")", doc...)
	s, lds, rows, n := argument("s"), argument("lds"), argument("rows"), argument("n")
	stat := argument("stat")
	c, exp := v.spread("c"), v.exp2()
	var drop dropout
	if drops {
		drop = v.dropout()
	}
	top, sum := make([]reg.VecVirtual, 16/v.lanes), make([]reg.VecVirtual, 16/v.lanes)
	m := v.register()
	for i := range top {
		top[i], sum[i] = v.register(), v.register()
	}
	i, next := GP64(), GP64()
	lowest := repeated(0xFF800000) // −∞

	v.flushing(func() {
		TESTQ(rows, rows)
		JZ(LabelRef("done"))
		for _, t := range top {
			VBROADCASTSS(lowest, t)
		}
		XORQ(i, i)
		Label("first")
		v.greatest(top, s, i)
		ADDQ(U32(16), i)
		CMPQ(i, n)
		JL(LabelRef("first"))

		Label("row")
		MOVQ(s, next) // of the last row: itself
		CMPQ(rows, U32(1))
		JE(LabelRef("last"))
		ADDQ(lds, next)
		Label("last")
		if len(top) > 1 {
			VMAXPS(top[1], top[0], top[0])
		}
		v.reduce(VMAXPS, top[0])
		VMULSS(c.AsX(), top[0].AsX(), top[0].AsX())
		VMAXSS(Mem{Base: stat}, top[0].AsX(), top[0].AsX())
		VMOVSS(top[0].AsX(), Mem{Base: stat})
		VBROADCASTSS(top[0].AsX(), m)
		for i := range top {
			VBROADCASTSS(lowest, top[i])
			v.clear(sum[i])
		}
		if drops {
			drop.row()
		}
		XORQ(i, i)
		Label("column")
		for h := range top {
			x := v.register()
			VMOVUPS(at(s, i, h*v.lanes), x)
			VFMSUB132PS(c, m, x)
			exp.set(x)
			VADDPS(x, sum[h], sum[h])
			if drops {
				x = drop.zeroDropped(x, drop.next())
			}
			VMOVUPS(x, at(s, i, h*v.lanes))
		}
		v.greatest(top, next, i)
		ADDQ(U32(16), i)
		CMPQ(i, n)
		JL(LabelRef("column"))
		if len(sum) > 1 {
			VADDPS(sum[1], sum[0], sum[0])
		}
		v.reduce(VADDPS, sum[0])
		VMOVSS(sum[0].AsX(), Mem{Base: stat, Disp: 4})
		ADDQ(U32(8), stat)
		ADDQ(lds, s)
		DECQ(rows)
		JNZ(LabelRef("row"))
		Label("done")
	})
	end()
}

// greatest raises top to the elements from index i behind base. The order of
// the sources passes over NaN.
func (v vectors) greatest(top []reg.VecVirtual, base, i reg.Register) {
	for h, t := range top {
		x := v.register()
		VMOVUPS(at(base, i, h*v.lanes), x)
		VMAXPS(t, x, t)
	}
}

// softmaxBackward writes the backward pass over rows of scores.
func (v vectors) softmaxBackward(drops bool) {
	name, arguments := "softmaxBackward"+v.suffix, "s, dp *float32, ld uintptr, rows, n int, "+
		"c float32, m, delta *float32, scale float32"
	doc := []string{
		fmt.Sprintf("%s sets every s to p = 2^(s·c − m[r]) and every dp to", name),
		"p·(dp − delta[r])·scale. n is a multiple of 16, rows are ld bytes apart.",
	}
	if drops {
		name, arguments = "softmaxBackwardDropout"+v.suffix,
			arguments+", words *uint32, threshold uint32"
		doc = []string{
			fmt.Sprintf("%s sets every s to p = 2^(s·c − m[r]) and every dp", name),
			"to p·(dp − delta[r])·scale, with 0 for dp, and in the end for s, where the bits are",
			"below threshold. words holds the two words of each row. n is a multiple of 16, rows",
			"are ld bytes apart.",
		}
	}
	begin(name, "func("+arguments+")", doc...)
	s, dp, ld := argument("s"), argument("dp"), argument("ld")
	rows, n, m, delta := argument("rows"), argument("n"), argument("m"), argument("delta")
	c, scale, exp := v.spread("c"), v.spread("scale"), v.exp2()
	var drop dropout
	if drops {
		drop = v.dropout()
	}
	mr, deltar, i := v.register(), v.register(), GP64()
	v.flushing(func() {
		TESTQ(rows, rows)
		JZ(LabelRef("done"))
		Label("row")
		VBROADCASTSS(Mem{Base: m}, mr)
		VBROADCASTSS(Mem{Base: delta}, deltar)
		if drops {
			drop.row()
		}
		XORQ(i, i)
		Label("column")
		p, d := v.register(), v.register()
		VMOVUPS(at(s, i, 0), p)
		VFMSUB132PS(c, mr, p)
		exp.set(p)
		kept := p
		if drops {
			keep := drop.next()
			kept = drop.zeroDropped(p, keep)
			drop.load(at(dp, i, 0), keep, d)
		} else {
			VMOVUPS(at(dp, i, 0), d)
		}
		VMOVUPS(kept, at(s, i, 0))
		VSUBPS(deltar, d, d)
		VMULPS(scale, p, p)
		VMULPS(p, d, d)
		VMOVUPS(d, at(dp, i, 0))
		ADDQ(U32(v.lanes), i)
		CMPQ(i, n)
		JL(LabelRef("column"))
		ADDQ(U32(4), m)
		ADDQ(U32(4), delta)
		ADDQ(ld, s)
		ADDQ(ld, dp)
		DECQ(rows)
		JNZ(LabelRef("row"))
		Label("done")
	})
	end()
}
