package kernel

// attentionWeights computes some units of the probabilities themselves.
type attentionWeights struct {
	t    *Attention
	args AttentionArgs
	cut  attentionCut
	w    []float32
	ldw  int
}

// Weights sets w (B, Heads, Nq, Nk), with rows ldw elements apart, to
// softmax(q·kᵀ·Scale). It is for looking at them, as Forward never keeps them:
// V, Out, LSE and dropout are not used.
func (t *Attention) Weights(w []float32, ldw int, a *AttentionArgs) {
	if a.B == 0 || a.Nq == 0 || a.Heads == 0 || a.HeadDim == 0 {
		return
	}
	a.checkScores()
	checkMatrix("Weights", w, a.B*a.Heads*a.Nq, a.Nk, ldw)
	f := &t.weights
	f.args, f.w, f.ldw = *a, w, ldw
	f.cut = a.cut(t.pool.Threads(), forwardTile, a.Nk)
	c := &f.cut
	for i := range t.workers {
		w := &t.workers[i]
		w.k = grow(w.k, roundUp(c.keyBlock, 32)*a.HeadDim)
		w.s = grow(w.s, c.tile*paddedKeys(c.keyBlock))
		w.stat, w.factor = grow(w.stat, 2*c.tile), grow(w.factor, c.tile)
	}
	t.pool.Run(f, c.tasks)
	f.args, f.w = AttentionArgs{}, nil
}

func (f *attentionWeights) Run(worker, task int) {
	w, a, c := &f.t.workers[worker], &f.args, &f.cut
	last := -1
	for u := task * c.perTask; u < min((task+1)*c.perTask, c.units); u++ {
		b, h, _, q, qHi := c.unit(a, u)
		if head := u / c.parts; head != last {
			c.packColumns(w.k, a.K[b*a.KBatch+h*a.HeadDim:], a.KStride, a.Nk, a.HeadDim)
			last = head
		}
		for ; q < qHi; q += c.tile {
			f.tile(w, b, h, q, min(c.tile, qHi-q))
		}
	}
	w.call = panel{}
}

// tile does rows queries from query q of a head.
func (f *attentionWeights) tile(w *attentionWorker, b, h, q, rows int) {
	a, c, lds := &f.args, &f.cut, paddedKeys(f.cut.keyBlock)
	stat, factor := w.stat[:2*rows], w.factor[:rows]
	for r := range factor {
		stat[2*r] = minusInf
	}
	c.scores(&w.call, w.s, lds, a.Q[b*a.QBatch+q*a.QStride+h*a.HeadDim:], a.QStride, rows, w.k,
		a.Nk, a.HeadDim, true)
	softmaxRows(w.s, lds, rows, roundUp(a.Nk, 16), c.exponent, stat, rowMask{})
	for r := range factor {
		factor[r] = 1 / stat[2*r+1]
	}
	scaleRows(w.s, lds, rows, roundUp(a.Nk, 16), factor)
	for r := range rows {
		copy(f.w[((b*a.Heads+h)*a.Nq+q+r)*f.ldw:][:a.Nk], w.s[r*lds:])
	}
}
