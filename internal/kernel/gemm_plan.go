package kernel

import (
	"math"
	"unsafe"
)

// Bounds of the blocks a product is cut into, in elements. A panel of B
// (gemmKC × 32) is read from the first-level cache, a block of A (gemmMC × gemmKC)
// in the second. Small blocks of rows keep the workers equally busy.
const (
	gemmKC = 400
	gemmMC = 98
	gemmNC = 512 // columns of B that a worker packs for itself

	// gemmSuper bounds the shared panels of B: 8 MB.
	gemmSuper = 2 << 20
	// gemmFewRows is how many rows of A, a block of K wide, leave room for panels
	// of B in the second-level cache.
	gemmFewRows = 1024
	// gemmGroup is how many columns get their epilogue at a time.
	gemmGroup = 256
	// tasksPerWorker bounds the parts that columns are cut into for a worker.
	tasksPerWorker = 4
)

// gemmPlan is how a product is cut. There are three ways:
//
//   - shared: B is packed once by all workers, then blocks of rows are dealt;
//   - not shared: blocks of columns are dealt, with all rows; each packs its own
//     columns of B;
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
		p.superN = min(roundUp(a.N, p.nr), max(p.nr, gemmSuper/p.kc/p.nr*p.nr))
		p.superK = max(p.kc, gemmSuper/p.superN/p.kc*p.kc)
		p.deal(threads)
	}
	p.aElems, p.bElems, p.sharedElems, p.rowElems = 0, 0, 0, 0
	if !p.aDirect {
		p.aElems = p.mc/p.mr*packedRows(p.mr)*p.kc + 16
	}
	if p.shared {
		p.sharedElems = p.superN * roundUp(min(p.superK, max(a.K, 1)), p.kc)
	} else {
		p.bElems = roundUp(p.colBlock, p.nr) * p.kc
	}
	if p.epilogue {
		p.rowElems = gemmGroup
	}
	return p
}

// deal cuts the product into tasks: into columns alone when A is small, for each
// worker then packs the columns of B that it multiplies, else into rows and
// columns of a part of op(B) that all have packed. Of all cuts it takes the one
// that ends first when every worker is as fast, with a bonus for small tasks,
// since other load on the machine may slow one down.
func (p *gemmPlan) deal(threads int) {
	a := &p.args
	least := math.Inf(1)
	try := func(mc, cols, most int) {
		rowBlocks := (a.M + mc - 1) / mc
		for split := 1; split <= threads*tasksPerWorker; split++ {
			col := evenBlock(cols, min(most, roundUp((cols+split-1)/split, p.nr)), p.nr)
			colBlocks := (cols + col - 1) / col
			if c := p.cost(mc, rowBlocks, cols, col, threads); c < least {
				least = c
				p.mc, p.rowBlocks, p.colBlock, p.colBlocks = mc, rowBlocks, col, colBlocks
			}
			if threads == 1 || col <= p.nr {
				break
			}
		}
	}
	if a.M <= gemmMC || p.aDirect && a.M <= gemmFewRows {
		try(roundUp(a.M, p.mr), a.N, gemmNC)
	}
	for tiles := gemmMC / p.mr; tiles >= 2 && a.M > tiles*p.mr; tiles-- {
		try(evenBlock(a.M, tiles*p.mr, p.mr), min(a.N, p.superN), p.superN)
	}
	p.shared = p.rowBlocks > 1
}

// cost estimates the time of a cut in blocks of mc rows and col of cols columns,
// in that of the multiply-adds shared evenly. The weights are measured: to pack a
// panel of B takes the time of multiplying it with 20 rows, with 70 when workers
// hand their panels to each other; to pack a column of A takes two thirds of the
// time to multiply it by a panel, to read it where it lies a tenth; to fetch a
// panel takes a fifth of a tile's time.
func (p *gemmPlan) cost(mc, rowBlocks, cols, col, threads int) float64 {
	m := float64(p.args.M)
	tasks := rowBlocks * ((cols + col - 1) / col)
	work := float64(mc * col)
	even := m * float64(cols) / float64(threads)
	c := work * float64((tasks+threads-1)/threads) / even
	c *= 1 + 0.2*float64(p.mr)/float64(mc)
	perPanel, packing := 0.1, 20.0
	if !p.aDirect {
		perPanel = 0.67
	}
	if rowBlocks > 1 {
		packing = 70
	}
	c *= 1 + perPanel*float64(p.nr)/float64(col)
	c += packing * float64(p.nr) / 32 / m
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
