//go:build unix

package kernel

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// BenchmarkAttention counts 4·n²·d a head forward and 10·n²·d backward.
func BenchmarkAttention(b *testing.B) {
	for _, c := range []attentionCase{
		{b: 4, nq: 401, nk: 401, heads: 6, d: 64},
		{b: 1, nq: 1569, nk: 1569, heads: 6, d: 64},
		{b: 1, nq: 1969, nk: 1969, heads: 12, d: 64},
		{b: 8, nq: 197, nk: 197, heads: 3, d: 64},
		{b: 256, nq: 33, nk: 33, heads: 2, d: 32},
	} {
		x := c.data(rand.New(rand.NewPCG(9, 10)))
		for _, i := range ISAs()[1:] {
			name := fmt.Sprintf("%dx%dx%dx%d", c.b, c.heads, c.nq, c.d)
			run := func(pass string, f func(*Attention), flops float64) {
				b.Run(fmt.Sprintf("%s/%s/%v", name, pass, i), func(b *testing.B) {
					defer SetISA(SetISA(i))
					pool := NewPool(2)
					defer pool.Close()
					at := NewAttention(pool)
					at.Forward(&x.args.AttentionArgs)
					benchmarkRate(b, func() { f(at) }, flops)
				})
			}
			flop := float64(c.b*c.heads) * float64(c.nq) * float64(c.nk) * float64(c.d)
			run("forward", func(at *Attention) { at.Forward(&x.args.AttentionArgs) }, 4*flop)
			run("backward", func(at *Attention) { at.Backward(&x.args) }, 10*flop)
		}
	}
}
