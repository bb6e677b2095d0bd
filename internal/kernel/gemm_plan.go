package kernel

import (
	"math"
	"unsafe"
)

// Bounds of the blocks a product is cut into, in elements. A panel of B
// (gemmKC × 32) stays in the first-level cache, a block of A (gemmMC × gemmKC)
// in the second. Small blocks of rows keep the workers equally busy.
const (
	gemmKC = 256
	gemmMC = 98
	gemmNC = 512 // columns of B that a worker packs for itself

	// gemmSuper bounds the shared panels of B: 8 MB, and 1 MB when at most
	// gemmFewRows rows use them, with at most gemmSuperK of K.
	gemmSuper    = 2 << 20
	gemmSuperFew = 1 << 18
	gemmSuperK   = 768
	gemmFewRows  = 1024
	// gemmGroup is how many columns get their epilogue at a time.
	gemmGroup = 256
	// tasksPerWorker bounds the parts that columns are cut into for a worker.
	tasksPerWorker = 4
)

// gemmPlan is how a product is cut. There are three ways:
//
//   - shared: B is packed once by all workers, then blocks of rows are dealt;
//   - not shared: one block of rows, and blocks of columns are dealt; each packs
//     its own columns of B;
//   - kParts > 1: C is small and K long, so parts of K are dealt, multiplied
//     into a matrix each, and added in order.
type gemmPlan struct {
	args   GemmArgs
	mr, nr int
	kc, mc int

	rowBlocks, colBlocks, colBlock int

	shared         bool
	superN, superK int
	kParts, kPart  int

	aDirect bool // A is read where it lies

	// The product goes to t; the first block of K adds d, the last runs the
	// epilogue when there is something to do.
	t        []float32
	ldt      int
	d        []float32
	ldd      int
	scratch  bool
	epilogue bool

	aElems, bElems, rowElems, sharedElems int

	kLo, kHi, jLo, jHi int // the part of op(B) that a Run is about
}

// planGemm cuts the product for the given number of threads.
func planGemm(a *GemmArgs, threads int) gemmPlan {
	p := gemmPlan{args: *a}
	p.mr, p.nr = tileShape(isa)
	p.kc = evenBlock(a.K, gemmKC, 8)
	p.dataFlow()
	p.aDirect = p.readsADirectly()
	if a.K >= 4*gemmKC && a.M*a.N <= 1<<16 && threads > 1 && p.isSum() {
		p.kParts = min(threads*tasksPerWorker, a.K/gemmKC)
		p.kPart = evenBlock(a.K, (a.K+p.kParts-1)/p.kParts, 8)
		p.kParts = (a.K + p.kPart - 1) / p.kPart
	}
	if p.kParts > 1 {
		p.mc, p.colBlock = evenBlock(a.M, gemmMC/p.mr*p.mr, p.mr), a.N
	} else {
		p.superBlock()
		p.deal(threads)
	}
	p.aElems = p.mc/p.mr*packedRows(p.mr)*p.kc + 16
	p.bElems = 0
	if !p.shared {
		p.bElems = roundUp(p.colBlock, p.nr) * p.kc
	}
	p.rowElems = 0
	if p.epilogue {
		p.rowElems = gemmGroup
	}
	return p
}

// superBlock bounds the part of op(B) that is packed at a time. Of few rows it
// should stay in the second-level cache, where packing has brought it; many rows
// have the time to fetch it from further away, and pack A less often.
func (p *gemmPlan) superBlock() {
	a := &p.args
	if a.M <= gemmFewRows && p.aDirect {
		p.superK = roundUp(min(max(a.K, 1), gemmSuperK), p.kc)
		p.superN = max(p.nr, gemmSuperFew/p.superK/p.nr*p.nr)
		p.superN = evenBlock(a.N, p.superN, p.nr)
	} else {
		p.superN = min(roundUp(a.N, p.nr), max(p.nr, gemmSuper/p.kc/p.nr*p.nr))
		p.superK = max(p.kc, gemmSuper/p.superN/p.kc*p.kc)
	}
	p.sharedElems = p.superN * roundUp(min(p.superK, max(a.K, 1)), p.kc)
}

// deal cuts the rows, and the columns of a part of op(B), into tasks. Of all
// cuts it takes the one that ends first when every worker is as fast, with a
// bonus for small tasks, since other load on the machine may slow one down.
func (p *gemmPlan) deal(threads int) {
	a := &p.args
	least := math.Inf(1)
	for tiles := gemmMC / p.mr; tiles >= 2; tiles-- {
		mc := evenBlock(a.M, tiles*p.mr, p.mr)
		rowBlocks := (a.M + mc - 1) / mc
		cols, most := min(a.N, p.superN), p.superN
		if rowBlocks == 1 {
			cols, most = a.N, gemmNC // not shared
		}
		for split := 1; split <= threads*tasksPerWorker; split++ {
			col := evenBlock(cols, min(most, roundUp((cols+split-1)/split, p.nr)), p.nr)
			colBlocks := (cols + col - 1) / col
			if colBlocks > 1 && col < 3*p.nr {
				break
			}
			if c := p.cost(mc, rowBlocks, col, colBlocks, threads); c < least {
				least = c
				p.mc, p.rowBlocks, p.colBlock, p.colBlocks = mc, rowBlocks, col, colBlocks
			}
			if threads == 1 {
				break
			}
		}
		if threads == 1 {
			break
		}
	}
	p.shared = p.rowBlocks > 1
}

// cost estimates the time of a cut, in that of the multiply-adds shared evenly.
// The weights are measured: to pack a column of A takes two thirds of the time to
// multiply it by a panel of B, to read it where it lies a tenth; to fetch a panel
// takes a fifth of a tile's time.
func (p *gemmPlan) cost(mc, rowBlocks, col, colBlocks, threads int) float64 {
	tasks := rowBlocks * colBlocks
	work := float64(mc * col)
	cols := min(p.args.N, p.superN)
	if rowBlocks == 1 {
		cols = p.args.N
	}
	even := float64(p.args.M*cols) / float64(threads)
	c := work * float64((tasks+threads-1)/threads) / even
	c *= 1 + 0.2*float64(p.mr)/float64(mc)
	perPanel := 0.1
	if !p.aDirect {
		perPanel = 0.67
	}
	c *= 1 + perPanel*float64(p.nr)/float64(col)
	return c + 0.2*work/(even*float64(threads))
}

// isSum reports that the product is set or added to C and nothing else is done.
func (p *gemmPlan) isSum() bool {
	return !p.epilogue && p.args.Bias == nil && p.args.Residual == nil
}

// dataFlow decides where the product goes before the epilogue. Without GELU, C
// takes it and the epilogue is no more than the addend of the first block.
func (p *gemmPlan) dataFlow() {
	a := &p.args
	p.t, p.ldt = a.C, a.LDC
	switch {
	case a.Pre != nil:
		p.t, p.ldt = a.Pre, a.LDPre
		p.epilogue = true
	case a.GELU || a.DGELU != nil:
		p.epilogue = true
		p.scratch = a.Accumulate || sameStart(a.Residual, a.C)
	case a.Accumulate:
		p.d, p.ldd = a.C, a.LDC
		p.epilogue = a.Residual != nil
		p.scratch = sameStart(a.Residual, a.C)
		if p.scratch {
			p.d = nil
		}
	default:
		p.d, p.ldd = a.Residual, a.LDR
	}
}

// sameStart reports whether x and y are the same matrix.
func sameStart(x, y []float32) bool {
	return x != nil && unsafe.SliceData(x) == unsafe.SliceData(y)
}

// readsADirectly decides whether packing A pays: it does when many panels of B
// use it, or when its rows would crowd the same lines of the cache.
func (p *gemmPlan) readsADirectly() bool {
	a := &p.args
	panels := (a.N + p.nr - 1) / p.nr
	if a.TransA {
		return panels <= 4
	}
	return panels <= 4 || a.LDA*4%4096 != 0
}

// kBlocks returns how many blocks n rows of op(B) are cut into: one at least,
// so that C is set when K is 0.
func (p *gemmPlan) kBlocks(n int) int { return max(1, (n+p.kc-1)/p.kc) }

// evenBlock returns the size of equal blocks of at most limit that n is cut
// into, a multiple of unit (limit is one).
func evenBlock(n, limit, unit int) int {
	blocks := max(1, (n+limit-1)/limit)
	return max(unit, roundUp((n+blocks-1)/blocks, unit))
}

func roundUp(n, unit int) int { return (n + unit - 1) / unit * unit }
