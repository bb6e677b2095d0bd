package kernel

import "fmt"

// Int8Args describes C = act(A·Wᵀ + Bias) + Residual with W in bytes, and A put
// in bytes row by row: its rows are multiplied as scale·(q − zero), with q from
// 0 to 255 and scale and zero from the least and the greatest value of the row.
//
//	A         (M, K)  rows LDA apart
//	W         (N, K)
//	C         (M, N)  set; rows LDC apart
//	Bias      (N)     optional
//	GELU              act is gelu, else nothing
//	Residual  (M, N)  optional; may be C itself with the same LD; not with GELU
//
// No other operand may overlap C.
type Int8Args struct {
	M        int
	A        []float32
	LDA      int
	W        *Int8Weights
	C        []float32
	LDC      int
	Bias     []float32
	GELU     bool
	Residual []float32
	LDR      int
}

// Int8Gemm multiplies by Int8Weights on a pool. Use one from one goroutine at a
// time. The same arguments give the same bits again.
type Int8Gemm struct {
	pool    *Pool
	args    Int8Args
	q       []uint8 // (M, lda) A in bytes
	lda     int
	rows    []int8Row
	workers []int8Worker

	rowBlock, colBlock, colBlocks int

	quantize int8Quantize
	blocks   int8Blocks
}

// int8Worker is one worker's own memory.
type int8Worker struct {
	call int8Call
	_    [64]byte
}

// NewInt8Gemm returns a multiplier that runs on pool.
func NewInt8Gemm(pool *Pool) *Int8Gemm {
	g := &Int8Gemm{pool: pool, workers: make([]int8Worker, pool.Threads())}
	g.quantize.g, g.blocks.g = g, g
	return g
}

// HasInt8 reports whether the instruction set in use multiplies bytes faster than
// floats, which takes AVX-512 VNNI. Without, products of bytes are right but slow.
func HasInt8() bool { return useVNNI() }

const (
	// int8RowBytes bounds a block of rows of A: a quarter of a second-level cache.
	int8RowBytes = 512 << 10
	// quantizeRows is how many rows one part of a quantisation has.
	quantizeRows = 16
)

// Do multiplies. It returns when C is complete.
func (g *Int8Gemm) Do(a *Int8Args) {
	if a.M == 0 || a.W.n == 0 {
		return
	}
	a.check()
	g.args = *a
	n := a.W.n
	g.lda = roundUp(a.W.k, 64) + 64 // K a whole page would crowd a few cache lines
	if len(g.q) < a.M*g.lda {
		g.q = make([]uint8, a.M*g.lda)
	}
	if len(g.rows) < a.M {
		g.rows = make([]int8Row, a.M)
	}
	g.pool.Run(&g.quantize, (a.M+quantizeRows-1)/quantizeRows)

	tasks := g.pool.Threads() * tasksPerWorker
	g.rowBlock = evenBlock(a.M, max(int8RowBytes/g.lda/int8Tile, 4)*int8Tile, int8Tile)
	rowBlocks := (a.M + g.rowBlock - 1) / g.rowBlock
	panels := (n + int8Panel - 1) / int8Panel
	g.colBlock = max(1, panels*rowBlocks/tasks) * int8Panel
	g.colBlocks = (n + g.colBlock - 1) / g.colBlock
	g.pool.Run(&g.blocks, rowBlocks*g.colBlocks)
	g.args = Int8Args{}
}

// check panics when an operand is shorter than its shape: nothing below looks.
func (a *Int8Args) check() {
	n, k := a.W.n, a.W.k
	checkMatrix("A", a.A, a.M, k, a.LDA)
	checkMatrix("C", a.C, a.M, n, a.LDC)
	if a.Bias != nil {
		checkMatrix("Bias", a.Bias, 1, n, n)
	}
	if a.Residual != nil {
		checkMatrix("Residual", a.Residual, a.M, n, a.LDR)
		if a.GELU {
			panic(fmt.Sprintf("kernel: 8-bit product %d×%d×%d with GELU and Residual", a.M, n, k))
		}
	}
}

// int8Quantize puts some rows of A in bytes. What lies behind column K meets
// weights of 0.
type int8Quantize struct{ g *Int8Gemm }

func (t *int8Quantize) Run(_, i int) {
	g := t.g
	a := &g.args
	k := a.W.k
	for r := i * quantizeRows; r < min((i+1)*quantizeRows, a.M); r++ {
		g.rows[r] = quantizeRow(g.q[r*g.lda:][:k], a.A[r*a.LDA:][:k])
	}
}

// int8Blocks multiplies one block of rows by one block of columns.
type int8Blocks struct{ g *Int8Gemm }

func (t *int8Blocks) Run(worker, i int) {
	g := t.g
	a, call := &g.args, &g.workers[worker].call
	w := a.W
	lo := i / g.colBlocks * g.rowBlock
	hi := min(lo+g.rowBlock, a.M)
	j := i % g.colBlocks * g.colBlock
	jHi := min(j+g.colBlock, w.n)
	groups := (w.k + int8Group - 1) / int8Group
	call.rows, call.groups = hi-lo, groups
	call.a, call.lda, call.row = g.q[lo*g.lda:], g.lda, g.rows[lo:hi]
	call.ldc, call.ldd = a.LDC, a.LDR
	for c := j; c < jHi; c += int8Panel {
		call.cols = min(int8Panel, jHi-c)
		call.b = w.panels[c*groups*int8Group:]
		call.sums, call.scale = w.sums[c:], w.scale[c:]
		call.c = a.C[lo*a.LDC+c:]
		if a.Bias != nil {
			call.bias = a.Bias[c:]
		}
		if a.Residual != nil {
			call.d = a.Residual[lo*a.LDR+c:]
		}
		call.mul()
	}
	*call = int8Call{}
	if a.GELU {
		for r := lo; r < hi; r++ {
			y := a.C[r*a.LDC+j : r*a.LDC+jHi]
			GELURow(y, y)
		}
	}
}
