package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestGemmPlans cuts products of all sizes: every element is in one task, and the
// memory of a task holds what it packs.
func TestGemmPlans(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(13, 14))
		size := func() int { return 1 + int(math.Exp(r.Float64()*9)) }
		for range 3000 {
			a := &GemmArgs{M: size(), N: size(), K: size(), TransA: r.IntN(2) == 0}
			a.LDA = a.K
			if a.TransA {
				a.LDA = a.M
			}
			threads := 1 + r.IntN(9)
			p := planGemm(a, threads)
			cols, held := min(a.N, p.superN), p.sharedElems
			if !p.shared {
				cols, held = a.N, p.bElems
			}
			bad := ""
			switch {
			case p.mc%p.mr != 0 || p.kc < 1 || p.colBlock < 1:
				bad = "not whole tiles"
			case !p.aDirect && p.aElems < p.mc/p.mr*packedRows(p.mr)*p.kc:
				bad = "a block of A does not fit"
			case p.kParts > 1:
				if p.kParts*p.kPart < a.K || (p.kParts-1)*p.kPart >= a.K {
					bad = "parts of K are not K"
				}
				if p.bElems < roundUp(a.N, p.nr)*p.kc {
					bad = "a block of B does not fit"
				}
			case p.rowBlocks*p.mc < a.M || (p.rowBlocks-1)*p.mc >= a.M:
				bad = "blocks of rows are not the rows"
			case p.colBlocks*p.colBlock < cols || (p.colBlocks-1)*p.colBlock >= cols:
				bad = "blocks of columns are not the columns"
			case p.colBlocks > 1 && p.colBlock%p.nr != 0 || p.superN < a.N && p.superN%p.nr != 0:
				bad = "a panel is cut"
			case p.shared && held < roundUp(cols, p.nr)*roundUp(min(p.superK, a.K), p.kc):
				bad = "the shared part of B does not fit"
			case !p.shared && held < roundUp(p.colBlock, p.nr)*p.kc:
				bad = "a task's part of B does not fit"
			}
			if bad != "" {
				t.Fatalf("%d×%d×%d, transposed %v, %d threads: %s: %+v", a.M, a.N, a.K, a.TransA,
					threads, bad, p)
			}
		}
	})
}
