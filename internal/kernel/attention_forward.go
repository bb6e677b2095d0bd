package kernel

import "math"

// forwardTile is the queries of a forward tile, before it is cut to whole tiles
// of the micro-kernel.
const forwardTile = 56

// attentionForward computes some units of the forward pass.
type attentionForward struct {
	t    *Attention
	args AttentionArgs
	cut  attentionCut
}

// Forward sets Out and LSE. Nk must be at least 1.
func (t *Attention) Forward(a *AttentionArgs) {
	if a.B == 0 || a.Nq == 0 || a.Heads == 0 || a.HeadDim == 0 {
		return
	}
	a.check()
	f := &t.forward
	f.args, f.cut = *a, a.cut(t.pool.Threads(), forwardTile, attentionKeys)
	c := &f.cut
	keys := c.keyBlocks * roundUp(c.keyBlock, 32)
	for i := range t.workers {
		w := &t.workers[i]
		w.k = grow(w.k, keys*a.HeadDim)
		w.v = grow(w.v, keys*roundUp(a.HeadDim, c.nr))
		w.s = grow(w.s, c.tile*paddedKeys(c.keyBlock))
		w.stat = grow(w.stat, 2*c.tile)
		w.factor = grow(w.factor, c.tile)
		w.sum = grow(w.sum, c.tile)
		w.growMask(a.DropP, c.tile)
	}
	t.pool.Run(f, c.tasks)
	f.args = AttentionArgs{}
}

// paddedKeys is the distance between rows of n scores: whole vectors, and a
// little more, so that the rows of a tile do not fall on the same cache lines.
func paddedKeys(n int) int { return roundUp(n, 32) + 16 }

func (f *attentionForward) Run(worker, task int) {
	w := &f.t.workers[worker]
	last := -1
	for u := task * f.cut.perTask; u < min((task+1)*f.cut.perTask, f.cut.units); u++ {
		b, h, _, q, qHi := f.cut.unit(&f.args, u)
		if head := u / f.cut.parts; head != last {
			f.pack(w, b, h)
			last = head
		}
		for ; q < qHi; q += f.cut.tile {
			f.tile(w, b, h, q, min(f.cut.tile, qHi-q))
		}
	}
	w.call = panel{}
}

// pack packs the keys and values of a head, block after block.
func (f *attentionForward) pack(w *attentionWorker, b, h int) {
	a, c := &f.args, &f.cut
	k, v := a.K[b*a.KBatch+h*a.HeadDim:], a.V[b*a.VBatch+h*a.HeadDim:]
	for j := 0; j < a.Nk; j += c.keyBlock {
		n := min(c.keyBlock, a.Nk-j)
		c.packColumns(w.k[j*a.HeadDim:], k[j*a.KStride:], a.KStride, n, a.HeadDim)
		c.packRows(w.v[j*roundUp(a.HeadDim, c.nr):], v[j*a.VStride:], a.VStride, n, a.HeadDim)
	}
}

// tile computes rows queries from query q of a head: with m the running maximum
// and l the running sum of a row, a block of keys with scores s does
//
//	m′ = max(m, max s), l = l·e^(m−m′) + Σ e^(s−m′), out = out·e^(m−m′) + e^(s−m′)·v
//
// and in the end out /= l, lse = m + log l. With dropout p, the summands of out
// that are dropped are 0, and in the end out /= 1 − p.
func (f *attentionForward) tile(w *attentionWorker, b, h, q, rows int) {
	a, c, d := &f.args, &f.cut, f.args.HeadDim
	out := a.Out[b*a.OutBatch+q*a.OutStride+h*d:]
	x := a.Q[b*a.QBatch+q*a.QStride+h*d:]
	row := (b*a.Heads+h)*a.Nq + q
	lds := paddedKeys(c.keyBlock)
	for r := range rows {
		w.stat[2*r] = minusInf
		w.sum[r] = 0
	}
	for j := 0; j < a.Nk; j += c.keyBlock {
		n := min(c.keyBlock, a.Nk-j)
		c.scores(&w.call, w.s, lds, x, a.QStride, rows, w.k[j*d:], n, d, true)
		if j > 0 {
			for r := range rows {
				w.factor[r] = w.stat[2*r]
			}
		}
		softmaxRows(w.s, lds, rows, roundUp(n, 16), c.exponent, w.stat,
			w.mask(a, b, h, q, rows, j))
		if j > 0 {
			for r := range rows {
				w.factor[r] = float32(math.Exp2(float64(w.factor[r]) - float64(w.stat[2*r])))
				w.sum[r] *= w.factor[r]
			}
			scaleRows(out, a.OutStride, rows, d, w.factor)
		}
		sum, stat := w.sum[:rows], w.stat[:2*rows]
		for r := range sum {
			sum[r] += stat[2*r+1]
		}
		c.addRows(&w.call, out, a.OutStride, w.s, lds, false, rows,
			w.v[j*roundUp(d, c.nr):], n, d, j > 0)
	}
	factor, sum := w.factor[:rows], w.sum[:rows]
	keep := float32(1 / (1 - a.DropP))
	for r, v := range sum {
		factor[r] = keep / v
	}
	scaleRows(out, a.OutStride, rows, d, factor)
	if a.LSE == nil {
		return
	}
	lse, stat := a.LSE[row:][:rows], w.stat[:2*rows]
	for r, v := range sum {
		lse[r] = float32((float64(stat[2*r]) + logarithm2(v)) * (1 / log2E))
	}
}
