package kernel

import (
	"fmt"
	"math"

	"avjepa/internal/rng"
)

// AttentionArgs describes out = softmax(q·kᵀ·Scale)·v for every head. Element
// (b, i, a·HeadDim + d) of Q lies at Q[b·QBatch + i·QStride + a·HeadDim + d];
// likewise the others.
//
//	Q, Out  (B, Nq, Heads·HeadDim)  Out set
//	K, V    (B, Nk, Heads·HeadDim)
//	LSE     (B, Heads, Nq)          set to the log of the sum of exponentials;
//	                                optional when no backward follows
//
// With DropP > 0 the probabilities are dropped with the mask of DropKey after
// normalisation; row (b·Heads + a)·Nq + i of the mask belongs to query i, or
// another one as DropRows says.
type AttentionArgs struct {
	B, Nq, Nk, Heads, HeadDim int

	Q, K, V, Out                         []float32
	QStride, KStride, VStride, OutStride int // between tokens
	QBatch, KBatch, VBatch, OutBatch     int // between sequences

	LSE     []float32
	Scale   float32
	DropP   float64
	DropKey rng.Key

	DropRows rng.MaskRows
}

// AttentionBackwardArgs are the operands of the backward pass, which recomputes
// the probabilities from LSE.
//
//	DQ            (B, Nq, Heads·HeadDim)  set
//	DK, DV        (B, Nk, Heads·HeadDim)  set
//	DOut          (B, Nq, Heads·HeadDim)
//	Delta         (B, Heads, Nq)          scratch: Σ_d dOut·out of a row
//
// The embedded operands are those of Forward: Out and LSE as it left them.
type AttentionBackwardArgs struct {
	AttentionArgs

	DOut, DQ, DK, DV                         []float32
	DOutStride, DQStride, DKStride, DVStride int
	DOutBatch, DQBatch, DKBatch, DVBatch     int

	Delta []float32
}

// Attention computes softmax attention on a pool. It owns scratch memory, which
// grows to the largest sequences seen but never to Nq × Nk; use one Attention
// from one goroutine at a time. The same arguments give the same bits again.
type Attention struct {
	pool    *Pool
	workers []attentionWorker
	sums    []float32 // dK and dV of the parts of a sequence

	forward   attentionForward
	backward  attentionBackward
	reduction attentionReduction
	weights   attentionWeights
}

// attentionWorker is one worker's own memory.
type attentionWorker struct {
	k, v   []float32 // panels of kᵀ and vᵀ, or v
	kRows  []float32 // panels of k
	q, do  []float32 // panels of a tile of q and dOut
	s, dp  []float32 // a tile of scores, and of their gradients
	stat   []float32 // (tile, 2): greatest exponent and sum of a row
	factor []float32 // (tile)
	sum    []float32 // (tile)
	words  []uint32  // (tile, 2): of the dropout mask
	call   panel
	_      [64]byte
}

// NewAttention returns an Attention that runs on pool.
func NewAttention(pool *Pool) *Attention {
	t := &Attention{pool: pool, workers: make([]attentionWorker, pool.Threads())}
	t.forward.t, t.backward.t, t.reduction.t, t.weights.t = t, t, t, t
	return t
}

// Sizes of tiles. A forward tile of scores has all keys up to attentionKeys, so
// that it stays in the second-level cache; longer sequences go by blocks of keys.
const (
	attentionKeys         = 2048
	attentionDepth        = 256 // keys of one product with v or k
	attentionBackwardKeys = 256
	attentionFlop         = 2e6 // least work of a task, if there are enough
	attentionPart         = 16  // queries that take as long as to begin a part
)

// attentionCut says how the heads and queries are dealt.
type attentionCut struct {
	mr, nr    int
	tile      int // queries of a tile
	parts     int // parts of a head's queries
	partRows  int // queries of a part
	perTask   int // parts that one task does
	units     int // parts of all heads
	tasks     int
	keyBlock  int     // keys of a block of scores
	keyBlocks int     // blocks of a sequence
	exponent  float32 // scale·log₂e
}

// cut deals one part per head, or several when there are few heads for the
// workers, and several heads to a task when they are small.
func (a *AttentionArgs) cut(threads, tile, keys int) attentionCut {
	c := attentionCut{perTask: 1, exponent: float32(float64(a.Scale) * log2E)}
	c.mr, c.nr = tileShape(isa)
	c.tile = tile / c.mr * c.mr
	heads, tasks := a.B*a.Heads, threads*tasksPerWorker
	c.parts = a.partsOfHead(threads, c.tile)
	c.partRows = roundUp((a.Nq+c.parts-1)/c.parts, c.mr)
	c.parts = (a.Nq + c.partRows - 1) / c.partRows
	c.units = heads * c.parts
	flop := 4 * float64(min(c.partRows, a.Nq)) * float64(a.Nk) * float64(a.HeadDim)
	c.perTask = max(1, min(int(attentionFlop/flop), c.units/tasks))
	c.tasks = (c.units + c.perTask - 1) / c.perTask
	c.keyBlock = evenBlock(a.Nk, keys, max(16, c.nr))
	c.keyBlocks = (a.Nk + c.keyBlock - 1) / c.keyBlock
	return c
}

// partsOfHead returns how many parts a head's queries are cut into: as many as
// give each worker tasksPerWorker parts, or up to twice as many if the workers
// then finish together. A part costs as much as attentionPart queries more, for
// it packs the keys and values again.
func (a *AttentionArgs) partsOfHead(threads, tile int) int {
	heads, most := a.B*a.Heads, (a.Nq+tile-1)/tile
	if threads == 1 || heads >= threads*tasksPerWorker {
		return 1
	}
	least := min((threads*tasksPerWorker+heads-1)/heads, most)
	best, bestTime := least, math.Inf(1)
	for p := least; p <= min(2*least, most); p++ {
		rounds := (heads*p + threads - 1) / threads
		if t := float64(rounds) * (float64(a.Nq)/float64(p) + attentionPart); t < bestTime {
			best, bestTime = p, t
		}
	}
	return best
}

// unit returns the sequence, head and queries of a unit.
func (c *attentionCut) unit(a *AttentionArgs, u int) (b, h, part, q, qHi int) {
	head := u / c.parts
	part = u % c.parts
	return head / a.Heads, head % a.Heads, part, part * c.partRows,
		min((part+1)*c.partRows, a.Nq)
}

// check panics when an operand is shorter than its shape: nothing below looks.
func (a *AttentionArgs) check() {
	a.checkScores()
	a.checkOperand("V", a.V, a.Nk, a.VStride, a.VBatch)
	a.checkOperand("Out", a.Out, a.Nq, a.OutStride, a.OutBatch)
	if a.LSE != nil {
		checkMatrix("LSE", a.LSE, a.B*a.Heads, a.Nq, a.Nq)
	}
}

func (a *AttentionArgs) checkScores() {
	if a.Nk < 1 {
		panic("kernel: attention over no keys")
	}
	a.checkOperand("Q", a.Q, a.Nq, a.QStride, a.QBatch)
	a.checkOperand("K", a.K, a.Nk, a.KStride, a.KBatch)
}

func (a *AttentionArgs) checkOperand(name string, x []float32, n, stride, batch int) {
	last := (a.B-1)*batch + (n-1)*stride + a.Heads*a.HeadDim
	if stride < 0 || batch < 0 || len(x) < last {
		panic(fmt.Sprintf("kernel: attention %s has %d elements, (%d, %d, %d) with strides %d, %d "+
			"needs %d", name, len(x), a.B, n, a.Heads*a.HeadDim, batch, stride, last))
	}
}

// padding holds zeros, then −∞: as a bias it takes keys that do not exist out
// of a softmax.
var padding = func() (p [64]float32) {
	for i := 32; i < 64; i++ {
		p[i] = minusInf
	}
	return p
}()

// scores sets s (rows, n), n rounded up to 16, to the products of rows of x, ld
// apart, with the n columns of packed panels. Columns that do not exist become
// 0, or −∞ with pad.
func (c *attentionCut) scores(call *panel, s []float32, lds int, x []float32, ld, rows int,
	panels []float32, n, depth int, pad bool) {
	call.rows, call.kc = rows, depth
	call.a, call.rs, call.cs, call.pa = x, ld, 1, c.mr*ld
	call.d, call.ldc = nil, lds
	for j := 0; j < roundUp(n, 16); j += c.nr {
		call.bias = nil
		if pad && j+c.nr > n {
			call.bias = padding[32-max(0, n-j):]
		}
		call.cols = min(c.nr, roundUp(n, 16)-j)
		call.b, call.c = panels[j*depth:], s[j:]
		call.mul()
	}
}

// packColumns packs rows j…j+n−1 of x, taken as columns of depth elements, into
// panels for scores.
func (c *attentionCut) packColumns(dst, x []float32, ld, n, depth int) {
	for j := 0; j < roundUp(n, 16); j += c.nr {
		packB(dst[j*depth:], c.nr, x, ld, true, 0, depth, j, max(0, min(c.nr, n-j)))
	}
}

// packRows packs n rows of x, width elements each, into panels for addRows:
// blocks of attentionDepth rows, in each panel after panel.
func (c *attentionCut) packRows(dst, x []float32, ld, n, width int) {
	for k := 0; k < n; k += attentionDepth {
		kc := min(attentionDepth, n-k)
		for j := 0; j < width; j += c.nr {
			packB(dst[k*roundUp(width, c.nr)+j*kc:], c.nr, x, ld, false, k, kc, j,
				min(c.nr, width-j))
		}
	}
}

// addRows sets y (rows, width) to op(w)·x, or adds it, with x the n rows packed
// by packRows. w is (rows, n), or (n, rows) with trans.
func (c *attentionCut) addRows(call *panel, y []float32, ldy int, w []float32, ldw int,
	trans bool, rows int, panels []float32, n, width int, add bool) {
	call.rows, call.bias, call.ldc, call.ldd = rows, nil, ldy, ldy
	for k := 0; k < n; k += attentionDepth {
		call.kc = min(attentionDepth, n-k)
		if trans {
			call.a, call.rs, call.cs, call.pa = w[k*ldw:], 1, ldw, c.mr
		} else {
			call.a, call.rs, call.cs, call.pa = w[k:], ldw, 1, c.mr*ldw
		}
		for j := 0; j < width; j += c.nr {
			call.cols = min(c.nr, width-j)
			call.b = panels[k*roundUp(width, c.nr)+j*call.kc:]
			call.c, call.d = y[j:], nil
			if add || k > 0 {
				call.d = call.c
			}
			call.mul()
		}
	}
}

// maskRow returns the row of the dropout mask of query q of head h.
func (a *AttentionArgs) maskRow(b, h, q int) int {
	tokens := a.DropRows.Of(a.Nq)
	return a.DropRows.Start(b, a.Heads*tokens) + h*tokens + q
}

// growMask makes room for the words of a tile's mask.
func (w *attentionWorker) growMask(p float64, rows int) {
	if p > 0 && len(w.words) < 2*rows {
		w.words = make([]uint32, 2*rows)
	}
}

// mask returns the dropout mask of rows queries from query q of a head and of
// the keys from key. It lies in memory of the worker's own.
func (w *attentionWorker) mask(a *AttentionArgs, b, h, q, rows, key int) rowMask {
	if a.DropP == 0 {
		return rowMask{}
	}
	first, words := a.maskRow(b, h, q), w.words[:2*rows]
	for r := range rows {
		k0, k1 := a.DropKey.Row(first + r)
		words[2*r], words[2*r+1] = rng.Skip(k0, uint32(key)), k1
	}
	return rowMask{words, rng.Threshold(a.DropP)}
}
