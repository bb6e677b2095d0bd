package kernel

import "fmt"

// GemmArgs describes C = epilogue(op(A)·op(B)) or C += epilogue(op(A)·op(B)).
// Matrices are row-major; LDA and so on are elements between rows.
//
//	A         (M, K), or (K, M) with TransA
//	B         (K, N), or (N, K) with TransB
//	C         (M, N)  set, or added to with Accumulate
//	Bias      (N)     optional: added to the product
//	Pre       (M, N)  optional: set to product + bias
//	GELU              C = gelu(product + bias)
//	DGELU     (M, N)  optional: the product is multiplied by gelu′ of it;
//	                  not together with Bias, Pre or GELU
//	Act       (M, N)  optional, with DGELU: set to gelu of it, which it may be
//	Residual  (M, N)  optional: added last; may be C itself with the same LD
//
// No other operand may overlap C or Pre.
type GemmArgs struct {
	M, N, K int

	A      []float32
	LDA    int
	TransA bool

	B      []float32
	LDB    int
	TransB bool

	C          []float32
	LDC        int
	Accumulate bool

	Bias     []float32
	Pre      []float32
	LDPre    int
	GELU     bool
	Residual []float32
	LDR      int
	DGELU    []float32
	LDD      int
	Act      []float32
	LDAct    int
}

// Gemm multiplies matrices on a pool. It owns the packing buffers, which grow
// to the largest product done; use one Gemm from one goroutine at a time.
//
// The same arguments give the same bits again, whatever else the machine does:
// how a product is cut depends on its shape and the number of threads alone.
type Gemm struct {
	pool    *Pool
	plan    gemmPlan
	workers []gemmWorker
	bPack   []float32 // shared panels of op(B)
	scratch []float32 // product before an epilogue that needs the old C
	parts   []float32 // products of the parts of K

	packing   gemmPacking
	blocks    gemmBlocks
	kParts    gemmKParts
	reduction gemmReduction
}

// gemmWorker is one worker's own memory.
type gemmWorker struct {
	a, b, row []float32
	call      panel
	_         [64]byte
}

// NewGemm returns a multiplier that runs on pool.
func NewGemm(pool *Pool) *Gemm {
	g := &Gemm{pool: pool, workers: make([]gemmWorker, pool.Threads())}
	g.packing.g, g.blocks.g, g.kParts.g, g.reduction.g = g, g, g, g
	return g
}

// Do multiplies. It returns when C is complete.
func (g *Gemm) Do(a *GemmArgs) {
	if a.M == 0 || a.N == 0 {
		return
	}
	a.check()
	g.plan = planGemm(a, g.pool.Threads())
	p := &g.plan
	if p.scratch {
		g.scratch = grow(g.scratch, a.M*a.N)
		p.t, p.ldt = g.scratch, a.N
	}
	for w := range g.workers {
		g.workers[w].a = grow(g.workers[w].a, p.aElems)
		g.workers[w].b = grow(g.workers[w].b, p.bElems)
		g.workers[w].row = grow(g.workers[w].row, p.rowElems)
	}
	if p.kParts > 1 {
		g.parts = grow(g.parts, p.kParts*a.M*a.N)
		g.pool.Run(&g.kParts, p.kParts)
		g.pool.Run(&g.reduction, p.reductions())
		return
	}
	if !p.shared {
		p.kLo, p.kHi, p.jLo, p.jHi = 0, a.K, 0, a.N
		g.pool.Run(&g.blocks, p.rowBlocks*p.colBlocks)
		return
	}
	g.bPack = grow(g.bPack, p.sharedElems)
	for j := 0; j < a.N; j += p.superN {
		for k := 0; k == 0 || k < a.K; k += p.superK {
			p.jLo, p.jHi = j, min(j+p.superN, a.N)
			p.kLo, p.kHi = k, min(k+p.superK, a.K)
			panels := (p.jHi - p.jLo + p.nr - 1) / p.nr
			g.pool.Run(&g.packing, panels)
			g.pool.Run(&g.blocks, p.rowBlocks*p.colBlocks)
		}
	}
}

// check panics when an operand is shorter than its shape: nothing below looks.
func (a *GemmArgs) check() {
	m, n, k := a.M, a.N, a.K
	checkMatrix("C", a.C, m, n, a.LDC)
	if a.TransA {
		checkMatrix("A", a.A, k, m, a.LDA)
	} else {
		checkMatrix("A", a.A, m, k, a.LDA)
	}
	if a.TransB {
		checkMatrix("B", a.B, n, k, a.LDB)
	} else {
		checkMatrix("B", a.B, k, n, a.LDB)
	}
	if a.Bias != nil {
		checkMatrix("Bias", a.Bias, 1, n, n)
	}
	if a.Pre != nil {
		checkMatrix("Pre", a.Pre, m, n, a.LDPre)
	}
	if a.Residual != nil {
		checkMatrix("Residual", a.Residual, m, n, a.LDR)
	}
	if a.DGELU != nil {
		checkMatrix("DGELU", a.DGELU, m, n, a.LDD)
		if a.Bias != nil || a.Pre != nil || a.GELU {
			panic("kernel: GemmArgs.DGELU together with Bias, Pre or GELU")
		}
	}
	if a.Act != nil {
		checkMatrix("Act", a.Act, m, n, a.LDAct)
		if a.DGELU == nil {
			panic("kernel: GemmArgs.Act without DGELU")
		}
	}
}

func checkMatrix(name string, x []float32, rows, cols, ld int) {
	if rows < 0 || cols < 0 || (rows > 1 && ld < cols) {
		panic(fmt.Sprintf("kernel: %s is %d×%d with %d elements between rows",
			name, rows, cols, ld))
	}
	if rows > 0 && cols > 0 && len(x) < (rows-1)*ld+cols {
		panic(fmt.Sprintf("kernel: %s has %d elements, %d×%d with %d between rows needs %d",
			name, len(x), rows, cols, ld, (rows-1)*ld+cols))
	}
}

// grow returns x, or a longer slice when x is shorter than n.
func grow(x []float32, n int) []float32 {
	if len(x) >= n {
		return x
	}
	return make([]float32, n)
}
