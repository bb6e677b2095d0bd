package nn

import "avjepa/internal/engine"

// ForwardCLS is Forward where only the CLS of the output is wanted, as of the
// last block: keys and values of all tokens, all else for the CLS alone. Of the
// 12 products with a (D, D) matrix per token (with an MLP of 4D) 2 remain, and
// of attention next to nothing: at most a sixth of the work.
//
// y is (B, 1, D); in the cache QKV is keys and values (B, N, 2D), and Attn, Mid
// and Pre have one token. The result is that of Forward, dropout included: the CLS
// has the rows of the masks that it has among all tokens. y may be nil as there.
func (b *Block) ForwardCLS(cx *Context, c *BlockCache, y, x engine.Tensor) {
	start := cx.Arena.Mark()
	keep := c != nil
	if !keep {
		c = &BlockCache{}
	}
	n, t, d := x.Dim(0), x.Dim(1), x.Dim(2)
	c.X, c.Y = x, y
	c.QKV, c.Mid = cx.Arena.NewCompute(n, t, 2*d), cx.Arena.New(n, 1, d)
	c.Q, c.Attn = cx.Arena.NewCompute(n, 1, d), cx.Arena.NewCompute(n, 1, d)
	if keep {
		c.LSE = cx.Arena.New(n, b.cfg.Heads, 1)
		c.Pre = cx.Arena.NewCompute(n, 1, b.cfg.Hidden)
	}
	b.attendCLS(cx, c)
	b.forwardMLP(cx, c)
	if !keep {
		cx.Arena.Release(start)
	}
}

// attendCLS sets Q, QKV, Attn, LSE and Mid.
func (b *Block) attendCLS(cx *Context, c *BlockCache) {
	e, d := cx.Engine, b.cfg.Width
	mark := cx.Arena.Mark()
	h := cx.Arena.NewCompute(c.X.Dim(0), c.X.Dim(1), d)
	b.norm1.Forward(cx, h, c.X, Stats{})
	e.Linear(engine.LinearArgs{Y: c.Q, X: h.Token(0),
		W: b.qkvW.Value.Slice(0, d), Bias: b.qkvB.Value.Slice(0, d)})
	e.Linear(engine.LinearArgs{Y: c.QKV, X: h,
		W: b.qkvW.Value.Slice(d, 3*d), Bias: b.qkvB.Value.Slice(d, 3*d)})
	cx.Arena.Release(mark)
	e.Attention(engine.AttentionArgs{Out: c.Attn, LSE: c.LSE,
		Q: c.Q, K: c.QKV.Columns(0, d), V: c.QKV.Columns(d, 2*d),
		Heads: b.cfg.Heads, Drop: b.probabilities(cx, c)})
	b.residual(cx, b.out, c.Mid, c.Attn, c.X.Token(0), b.outputs(cx, c, maskAttention))
}

// BackwardCLS follows ForwardCLS: it sets dx (B, N, D) from dy (B, 1, D), which
// it uses up, and adds to the gradients of the parameters.
func (b *Block) BackwardCLS(cx *Context, c *BlockCache, dx, dy engine.Tensor) {
	b.backwardMLP(cx, c, dy) // dy is now that of Mid
	e, w := cx.Engine, b.cfg.Width
	mark := cx.Arena.Mark()
	n, t := dx.Dim(0), dx.Dim(1)
	da := cx.Arena.NewCompute(n, 1, w)
	b.out.Backward(cx, da, b.undrop(cx, dy, b.outputs(cx, c, maskAttention)), c.Attn)
	dQ, dKV := cx.Arena.NewCompute(n, 1, w), cx.Arena.NewCompute(n, t, 2*w)
	e.AttentionBackward(engine.AttentionBackwardArgs{
		DQ: dQ, DK: dKV.Columns(0, w), DV: dKV.Columns(w, 2*w),
		DOut: da, Out: c.Attn, LSE: c.LSE, Delta: cx.Arena.New(n, b.cfg.Heads, 1),
		Q: c.Q, K: c.QKV.Columns(0, w), V: c.QKV.Columns(w, 2*w),
		Heads: b.cfg.Heads, Drop: b.probabilities(cx, c)})
	h, s := cx.Arena.NewCompute(n, t, w), NewStats(cx.Arena, n*t)
	b.norm1.Forward(cx, h, c.X, s)
	e.LinearWeight(engine.LinearWeightArgs{X: h.Token(0), DY: dQ,
		DW: b.qkvW.Grad.Slice(0, w), DBias: b.qkvB.Grad.Slice(0, w)})
	e.LinearWeight(engine.LinearWeightArgs{X: h, DY: dKV,
		DW: b.qkvW.Grad.Slice(w, 3*w), DBias: b.qkvB.Grad.Slice(w, 3*w)})
	e.LinearInput(engine.LinearInputArgs{DX: dx, DY: dKV, W: b.qkvW.Value.Slice(w, 3*w)})
	e.LinearInput(engine.LinearInputArgs{DX: dx.Token(0), DY: dQ,
		W: b.qkvW.Value.Slice(0, w), Mode: engine.Add})
	b.norm1.Backward(cx, dx, dx, c.X, s, engine.Set)
	e.AddTo(dx.Token(0), dy.Reshape(n, w), 1)
	cx.Arena.Release(mark)
	cx.Final(b.qkvW.Grad)
}
