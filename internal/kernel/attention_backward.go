package kernel

import "math"

// backwardTile is the queries of a backward tile, before it is cut to whole
// tiles of the micro-kernel.
const backwardTile = 112

// attentionBackward computes some units of the backward pass.
type attentionBackward struct {
	t    *Attention
	args AttentionBackwardArgs
	cut  attentionCut
}

// Backward sets DQ, DK and DV: with p = e^(q·k·scale − lse), dp = dOut·v and
// delta = Σ dOut·out,
//
//	dv = Σ_i p·dOut,  ds = p·(dp − delta)·scale,  dq = Σ_j ds·k,  dk = Σ_i ds·q
//
// With dropout, dp and the p of dv are the dropped ones.
func (t *Attention) Backward(a *AttentionBackwardArgs) {
	if a.B == 0 || a.Nq == 0 || a.Heads == 0 || a.HeadDim == 0 {
		return
	}
	a.check()
	f := &t.backward
	f.args, f.cut = *a, a.cut(t.pool.Threads(), backwardTile, attentionBackwardKeys)
	c := &f.cut
	wide := roundUp(a.HeadDim, c.nr)
	keys := c.keyBlocks * roundUp(c.keyBlock, 32)
	for i := range t.workers {
		w := &t.workers[i]
		w.k, w.v = grow(w.k, keys*a.HeadDim), grow(w.v, keys*wide)
		w.kRows = grow(w.kRows, keys*wide)
		w.q, w.do = grow(w.q, c.tile*wide), grow(w.do, c.tile*wide)
		w.s = grow(w.s, c.tile*paddedKeys(c.keyBlock))
		w.dp = grow(w.dp, c.tile*paddedKeys(c.keyBlock))
		w.factor = grow(w.factor, c.tile)
		w.growMask(a.DropP, c.tile)
	}
	if c.parts > 1 {
		t.sums = grow(t.sums, c.units*2*a.Nk*a.HeadDim)
	}
	t.pool.Run(f, c.tasks)
	if c.parts > 1 {
		t.pool.Run(&t.reduction, a.B*a.Heads*reductionBlocks(a.Nk))
	}
	f.args = AttentionBackwardArgs{}
}

func (a *AttentionBackwardArgs) check() {
	a.AttentionArgs.check()
	a.checkOperand("DOut", a.DOut, a.Nq, a.DOutStride, a.DOutBatch)
	a.checkOperand("DQ", a.DQ, a.Nq, a.DQStride, a.DQBatch)
	a.checkOperand("DK", a.DK, a.Nk, a.DKStride, a.DKBatch)
	a.checkOperand("DV", a.DV, a.Nk, a.DVStride, a.DVBatch)
	checkMatrix("LSE", a.LSE, a.B*a.Heads, a.Nq, a.Nq)
	checkMatrix("Delta", a.Delta, a.B*a.Heads, a.Nq, a.Nq)
}

func (f *attentionBackward) Run(worker, task int) {
	w := &f.t.workers[worker]
	last := -1
	for u := task * f.cut.perTask; u < min((task+1)*f.cut.perTask, f.cut.units); u++ {
		b, h, part, q, qHi := f.cut.unit(&f.args.AttentionArgs, u)
		if head := u / f.cut.parts; head != last {
			f.pack(w, b, h)
			last = head
		}
		dk, lddk, dv, lddv := f.target(b, h, part)
		for first := q; q < qHi; q += f.cut.tile {
			f.tile(w, b, h, q, min(f.cut.tile, qHi-q), dk, lddk, dv, lddv, q > first)
		}
	}
	w.call = panel{}
}

// target returns where a unit's dk and dv go: to the gradients, or when others
// work on the same head, to memory of the unit's own.
func (f *attentionBackward) target(b, h, part int) (
	dk []float32, lddk int, dv []float32, lddv int) {
	a, d := &f.args, f.args.HeadDim
	if f.cut.parts == 1 {
		return a.DK[b*a.DKBatch+h*d:], a.DKStride, a.DV[b*a.DVBatch+h*d:], a.DVStride
	}
	n := a.Nk * d
	u := (b*a.Heads+h)*f.cut.parts + part
	return f.t.sums[2*u*n:], d, f.t.sums[(2*u+1)*n:], d
}

// pack packs the keys and values of a head, block after block.
func (f *attentionBackward) pack(w *attentionWorker, b, h int) {
	a, c, d := &f.args, &f.cut, f.args.HeadDim
	k, v := a.K[b*a.KBatch+h*d:], a.V[b*a.VBatch+h*d:]
	for j := 0; j < a.Nk; j += c.keyBlock {
		n := min(c.keyBlock, a.Nk-j)
		c.packColumns(w.k[j*d:], k[j*a.KStride:], a.KStride, n, d)
		c.packColumns(w.v[j*d:], v[j*a.VStride:], a.VStride, n, d)
		c.packRows(w.kRows[j*roundUp(d, c.nr):], k[j*a.KStride:], a.KStride, n, d)
	}
}

// tile does rows queries from query q of a head: it sets their dq, and sets dk
// and dv of the head or with add adds to them.
func (f *attentionBackward) tile(w *attentionWorker, b, h, q, rows int,
	dk []float32, lddk int, dv []float32, lddv int, add bool) {
	a, c, d := &f.args, &f.cut, f.args.HeadDim
	x := a.Q[b*a.QBatch+q*a.QStride+h*d:]
	do := a.DOut[b*a.DOutBatch+q*a.DOutStride+h*d:]
	dq := a.DQ[b*a.DQBatch+q*a.DQStride+h*d:]
	row := (b*a.Heads+h)*a.Nq + q
	delta := a.Delta[row:][:rows]
	rowDots(delta, do, a.DOutStride, a.Out[b*a.OutBatch+q*a.OutStride+h*d:], a.OutStride, rows, d)
	c.packRows(w.q, x, a.QStride, rows, d)
	c.packRows(w.do, do, a.DOutStride, rows, d)
	exponent := w.keep(a, row, delta)
	lds := paddedKeys(c.keyBlock)
	for j := 0; j < a.Nk; j += c.keyBlock {
		n := min(c.keyBlock, a.Nk-j)
		c.scores(&w.call, w.s, lds, x, a.QStride, rows, w.k[j*d:], n, d, false)
		c.scores(&w.call, w.dp, lds, do, a.DOutStride, rows, w.v[j*d:], n, d, false)
		softmaxBackwardRows(w.s, w.dp, lds, rows, roundUp(n, 16), c.exponent, exponent, delta,
			a.Scale, w.mask(&a.AttentionArgs, b, h, q, rows, j))
		c.addRows(&w.call, dv[j*lddv:], lddv, w.s, lds, true, n, w.do, rows, d, add)
		c.addRows(&w.call, dk[j*lddk:], lddk, w.dp, lds, true, n, w.q, rows, d, add)
		c.addRows(&w.call, dq, a.DQStride, w.dp, lds, false, rows,
			w.kRows[j*roundUp(d, c.nr):], n, d, j > 0)
	}
}

// keep returns the exponents of 2 that p is divided by, for the rows of delta
// from row: lse·log₂e. With dropout, p and dp of what is kept grow by 1/(1 − P):
// it makes the exponents smaller by that, and multiplies delta by 1 − P, so that
//
//	p/(1−P)·(dp − delta·(1−P)) = p·(dp/(1−P) − delta)
func (w *attentionWorker) keep(a *AttentionBackwardArgs, row int, delta []float32) []float32 {
	lse, exponent := a.LSE[row:][:len(delta)], w.factor[:len(delta)]
	if a.DropP == 0 {
		for r, v := range lse {
			exponent[r] = v * log2E
		}
		return exponent
	}
	shift, kept := math.Log2(1-a.DropP), float32(1-a.DropP)
	for r, v := range lse {
		exponent[r] = float32(float64(v)*log2E + shift)
		delta[r] *= kept
	}
	return exponent
}

// attentionReduction adds dk and dv of the parts of a head, in order, for some
// keys.
type attentionReduction struct{ t *Attention }

// reductionKeys is how many keys one task adds up.
const reductionKeys = 128

func (r *attentionReduction) Run(_, task int) {
	f := &r.t.backward
	a, d, parts := &f.args, f.args.HeadDim, f.cut.parts
	blocks := reductionBlocks(a.Nk)
	head, block := task/blocks, task%blocks
	b, h := head/a.Heads, head%a.Heads
	n := a.Nk * d
	for j := block * reductionKeys; j < min((block+1)*reductionKeys, a.Nk); j++ {
		dk := a.DK[b*a.DKBatch+j*a.DKStride+h*d:][:d]
		dv := a.DV[b*a.DVBatch+j*a.DVStride+h*d:][:d]
		for part := range parts {
			u := 2 * (head*parts + part)
			sk, sv := r.t.sums[u*n+j*d:][:d], r.t.sums[(u+1)*n+j*d:][:d]
			if part == 0 {
				copy(dk, sk)
				copy(dv, sv)
				continue
			}
			Axpy(dk, sk, 1)
			Axpy(dv, sv, 1)
		}
	}
}

func reductionBlocks(nk int) int { return (nk + reductionKeys - 1) / reductionKeys }
