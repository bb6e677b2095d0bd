package kernel

import "unsafe"

// Bounds of the blocks a product is cut into, in elements. A panel of B
// (gemmKC × 32) stays in the first-level cache, a block of A (gemmMC × gemmKC)
// in the second. Small blocks of rows keep the workers equally busy.
const (
	gemmKC = 256
	gemmMC = 98
	gemmNC = 512 // columns of B that a worker packs for itself

	// gemmSuper bounds the shared panels of B: 8 MB.
	gemmSuper = 2 << 20
	// gemmGroup is how many columns get their epilogue at a time.
	gemmGroup = 256
	// tasksPerWorker is how many parts a worker gets to do, if the shape allows.
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

	tasks := threads * tasksPerWorker
	if threads == 1 {
		tasks = 1
	}
	p.mc = evenBlock(a.M, gemmMC/p.mr*p.mr, p.mr)
	if a.K >= 4*gemmKC && a.M*a.N <= 1<<16 && threads > 1 && p.isSum() {
		p.kParts = min(tasks, a.K/gemmKC)
		p.kPart = evenBlock(a.K, (a.K+p.kParts-1)/p.kParts, 8)
		p.kParts = (a.K + p.kPart - 1) / p.kPart
	} else if a.M > p.mc || a.N < 4*p.nr*tasks {
		// Else one block of rows leaves enough columns to deal.
		p.mc = min(p.mc, max(roundUp((a.M+tasks-1)/tasks, p.mr), 3*p.mr))
	}
	p.rowBlocks = (a.M + p.mc - 1) / p.mc
	p.colBlock = a.N
	if p.kParts <= 1 && p.rowBlocks < tasks {
		p.colBlock = max(roundUp(a.N*p.rowBlocks/tasks, p.nr), min(4*p.nr, roundUp(a.N, p.nr)))
	}
	p.shared = p.kParts <= 1 && p.rowBlocks > 1
	if p.kParts <= 1 && !p.shared {
		p.colBlock = min(p.colBlock, gemmNC)
	}
	p.colBlocks = max(1, (a.N+p.colBlock-1)/p.colBlock)
	p.superN = min(roundUp(a.N, p.nr), max(p.nr, gemmSuper/p.kc/p.nr*p.nr))
	p.superK = max(p.kc, gemmSuper/p.superN/p.kc*p.kc)
	if p.shared && p.superN < a.N {
		p.colBlocks, p.colBlock = 1, p.superN
	}
	p.sharedElems = p.superN * roundUp(min(p.superK, max(a.K, 1)), p.kc)
	p.aDirect = p.readsADirectly()

	p.aElems = p.mc*p.kc + 16
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
