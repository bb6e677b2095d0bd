package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"

	"avjepa/internal/kernel/gen/denormal"
)

// ahead is how far AdamW asks for memory before it needs it, in bytes: its four
// streams are more than the hardware follows at full speed.
const ahead = 2048

func adamw() {
	begin("adamwAVX2", "func(p, grad, m, v *float32, n int, step *float32)",
		"adamwAVX2 takes one step; step is an AdamWStep.")
	p, g, m, v, n := pointer("p"), pointer("grad"), pointer("m"), pointer("v"), integer("n")
	step := pointer("step")
	var field [9]VecVirtual // in the order of AdamWStep
	for i := range field {
		field[i] = YMM()
		VBROADCASTSS(Mem{Base: step, Disp: 4 * i}, field[i])
	}
	beta1, rest1, beta2, rest2 := field[0], field[1], field[2], field[3]
	decay, rate, unbias2, eps, scale := field[4], field[5], field[6], field[7], field[8]
	denormal.Flush(func() {
		each("adamw", n, 2, func(i GPVirtual, u int) {
			if u == 0 {
				for _, x := range []GPVirtual{g, m, v, p} {
					PREFETCHT0(at(x, i, 0).Offset(ahead))
				}
			}
			gr, mo, ve, t := YMM(), YMM(), YMM(), YMM()
			VMULPS(at(g, i, u), scale, gr)
			VMULPS(at(m, i, u), beta1, mo)
			VFMADD231PS(gr, rest1, mo)
			VMOVUPS(mo, at(m, i, u))
			VMULPS(gr, gr, gr)
			VMULPS(at(v, i, u), beta2, ve)
			VFMADD231PS(gr, rest2, ve)
			VMOVUPS(ve, at(v, i, u))
			VMULPS(unbias2, ve, ve)
			VSQRTPS(ve, ve)
			VADDPS(eps, ve, ve)
			VMULPS(rate, mo, mo)
			VDIVPS(ve, mo, mo)
			VMULPS(at(p, i, u), decay, t)
			VSUBPS(mo, t, t)
			VMOVUPS(t, at(p, i, u))
		})
	})
	end()
}
