package nn

import (
	"fmt"

	"avjepa/internal/engine"
	"avjepa/internal/rng"
	"avjepa/internal/tensor"
)

// BlockConfig describes a transformer block.
type BlockConfig struct {
	Width, Heads, Hidden int
	Dropout              float64 // on the attention's and the MLP's output
	AttentionDropout     float64 // on the attention probabilities
	InitStd              float64 // of all weights
}

// Block is a pre-norm transformer block:
//
//	m = x + drop(attention(LayerNorm(x)))
//	y = m + drop(MLP(LayerNorm(m)))
//
// with a multi-head self-attention whose query, key and value are one product,
// and an MLP of one hidden layer with the exact GELU.
type Block struct {
	cfg            BlockConfig
	layer          int // number of the first of its dropout masks
	norm1, norm2   LayerNorm
	qkvW, qkvB     *Joined
	out            Linear
	dense1, dense2 Linear
}

// Dropout masks of a block, from Block.layer on.
const (
	maskProbabilities = iota
	maskAttention
	maskMLP
	blockMasks
)

// NewBlock registers the parameters of block i under prefix, in the names of
// the published checkpoints.
func NewBlock(ps *Params, prefix string, i int, cfg BlockConfig) *Block {
	name := fmt.Sprintf("%s.%d.", prefix, i)
	d := cfg.Width
	w := Normal(cfg.InitStd)
	var weights, biases [3]*Param
	for j, part := range [3]string{"query", "key", "value"} {
		n := name + "attention." + part
		weights[j] = ps.Add(n+".weight", tensor.Of(d, d), w, false)
		biases[j] = ps.Add(n+".bias", tensor.Of(d), Zeros(), true)
	}
	return &Block{
		cfg:    cfg,
		layer:  1 + i*blockMasks,
		qkvW:   ps.Join(weights[:]...),
		qkvB:   ps.Join(biases[:]...),
		out:    NewLinear(ps, name+"attention.output_projection", d, d, w, Zeros()),
		norm1:  NewLayerNorm(ps, name+"layernorm_1", d, 1e-5),
		dense1: NewLinear(ps, name+"mlp.dense_1", d, cfg.Hidden, w, Zeros()),
		dense2: NewLinear(ps, name+"mlp.dense_2", cfg.Hidden, d, w, Zeros()),
		norm2:  NewLayerNorm(ps, name+"layernorm_2", d, 1e-5),
	}
}

// BlockCache is what Backward needs of a Forward: 10 values per token and
// feature, as X is the Y of the block before. The outputs of both norms and of
// the GELU, and the attention probabilities, are computed again there.
//
// The residual stream, X, Mid and Y, and LSE are F32; the others have the arena's
// compute type.
type BlockCache struct {
	X    engine.Tensor // (B, N, D)   input
	QKV  engine.Tensor // (B, N, 3D)
	Attn engine.Tensor // (B, N, D)   heads' output, before its projection
	LSE  engine.Tensor // (B, A, N)
	Mid  engine.Tensor // (B, N, D)   m above
	Pre  engine.Tensor // (B, N, 4D)  input of the GELU
	Y    engine.Tensor // (B, N, D)   output
	Q    engine.Tensor // (B, 1, D)   of the CLS, after ForwardCLS
}

// Forward sets y (B, N, D) from x (B, N, D). With c nil everything it allocates
// is given back; else c is filled for Backward and stays allocated. With y nil
// only that is done: a pass that kept nothing is run again, for the same numbers.
func (b *Block) Forward(cx *Context, c *BlockCache, y, x engine.Tensor) {
	start := cx.Arena.Mark()
	keep := c != nil
	if !keep {
		c = &BlockCache{}
	}
	b.allocate(cx, c, y, x, keep)
	b.forwardAttention(cx, c)
	b.forwardMLP(cx, c)
	if !keep {
		cx.Arena.Release(start)
	}
}

func (b *Block) allocate(cx *Context, c *BlockCache, y, x engine.Tensor, keep bool) {
	n, t, d := x.Dim(0), x.Dim(1), x.Dim(2)
	c.X, c.Y = x, y
	c.QKV = cx.Arena.NewCompute(n, t, 3*d)
	c.Attn = cx.Arena.NewCompute(n, t, d)
	c.Mid = cx.Arena.New(n, t, d)
	if keep {
		c.LSE = cx.Arena.New(n, b.cfg.Heads, t)
		c.Pre = cx.Arena.NewComputeApart(n, t, b.cfg.Hidden)
	}
}

// forwardAttention sets QKV, Attn, LSE and Mid.
func (b *Block) forwardAttention(cx *Context, c *BlockCache) {
	e, d := cx.Engine, b.cfg.Width
	mark := cx.Arena.Mark()
	h := cx.Arena.NewCompute(c.X.Dim(0), c.X.Dim(1), d)
	b.norm1.Forward(cx, h, c.X, Stats{})
	e.Linear(engine.LinearArgs{Y: c.QKV, X: h, W: b.qkvW.Value, Bias: b.qkvB.Value})
	cx.Arena.Release(mark)
	e.Attention(engine.AttentionArgs{Out: c.Attn, LSE: c.LSE,
		Q: c.QKV.Columns(0, d), K: c.QKV.Columns(d, 2*d), V: c.QKV.Columns(2*d, 3*d),
		Heads: b.cfg.Heads, Drop: b.probabilities(cx, c)})
	b.residual(cx, b.out, c.Mid, c.Attn, c.X, b.outputs(cx, c, maskAttention))
}

// forwardMLP sets Pre and, unless it is nil, Y.
func (b *Block) forwardMLP(cx *Context, c *BlockCache) {
	mark := cx.Arena.Mark()
	defer cx.Arena.Release(mark)
	n, t := c.Mid.Dim(0), c.Mid.Dim(1)
	h := cx.Arena.NewCompute(n, t, b.cfg.Width)
	b.norm2.Forward(cx, h, c.Mid, Stats{})
	if c.Y.Nil() {
		b.dense1.Forward(cx, c.Pre, h)
		return
	}
	g := cx.Arena.NewComputeApart(n, t, b.cfg.Hidden)
	cx.Engine.Linear(engine.LinearArgs{Y: g, X: h, W: b.dense1.W.Value,
		Bias: b.dense1.B.Value, Pre: c.Pre, GELU: true})
	b.residual(cx, b.dense2, c.Y, g, c.Mid, b.outputs(cx, c, maskMLP))
}

// probabilities returns the dropout mask of the attention probabilities.
func (b *Block) probabilities(cx *Context, c *BlockCache) rng.Mask {
	return cx.Mask(b.layer+maskProbabilities, b.cfg.AttentionDropout, c.X.Dim(1))
}

// outputs returns the dropout mask of the attention's or the MLP's output. It is
// that of all tokens, even where the CLS alone is made.
func (b *Block) outputs(cx *Context, c *BlockCache, mask int) rng.Mask {
	return cx.Mask(b.layer+mask, b.cfg.Dropout, c.X.Dim(1))
}

// residual sets y = drop(l(x)) + r.
func (b *Block) residual(cx *Context, l Linear, y, x, r engine.Tensor, mask rng.Mask) {
	e := cx.Engine
	if mask.P > 0 {
		l.Forward(cx, y, x)
		e.Dropout(y, y, mask)
		e.AddTo(y, r, 1)
		return
	}
	e.Linear(engine.LinearArgs{Y: y, X: x, W: l.W.Value, Bias: l.B.Value, Residual: r})
}

// Backward turns d (B, N, D) in place from the gradient of y into that of x and
// adds to the gradients of the parameters. It uses c up: it can be done once.
func (b *Block) Backward(cx *Context, c *BlockCache, d engine.Tensor) {
	b.backwardMLP(cx, c, d)
	b.backwardAttention(cx, c, d)
	cx.Final(b.qkvW.Grad)
}

// backwardMLP turns d from dy into dm: dm = dy + norm2′(dense1′(gelu′(dense2′(dy)))).
// It uses c.Pre up: the GELU's output takes its place, made again together with its
// slope.
func (b *Block) backwardMLP(cx *Context, c *BlockCache, d engine.Tensor) {
	e := cx.Engine
	mark := cx.Arena.Mark()
	n, t := d.Dim(0), d.Dim(1)
	dm := b.undrop(cx, d, b.outputs(cx, c, maskMLP))
	dPre, g := cx.Arena.NewComputeApart(n, t, b.cfg.Hidden), c.Pre
	e.LinearInput(engine.LinearInputArgs{DX: dPre, DY: dm, W: b.dense2.W.Value, Pre: c.Pre,
		Act: g})
	b.dense2.BackwardWeight(cx, dm, g)
	h, s := cx.Arena.NewCompute(n, t, b.cfg.Width), NewStats(cx.Arena, n*t)
	b.norm2.Forward(cx, h, c.Mid, s)
	b.dense1.BackwardWeight(cx, dPre, h)
	e.LinearInput(engine.LinearInputArgs{DX: h, DY: dPre, W: b.dense1.W.Value})
	b.norm2.Backward(cx, d, h, c.Mid, s, engine.Add)
	cx.Arena.Release(mark)
}

// backwardAttention turns d from dm into dx.
func (b *Block) backwardAttention(cx *Context, c *BlockCache, d engine.Tensor) {
	e, w := cx.Engine, b.cfg.Width
	mark := cx.Arena.Mark()
	n, t := d.Dim(0), d.Dim(1)
	da := cx.Arena.NewCompute(n, t, w)
	b.out.Backward(cx, da, b.undrop(cx, d, b.outputs(cx, c, maskAttention)), c.Attn)
	dQKV := cx.Arena.NewCompute(n, t, 3*w)
	e.AttentionBackward(engine.AttentionBackwardArgs{
		DQ: dQKV.Columns(0, w), DK: dQKV.Columns(w, 2*w), DV: dQKV.Columns(2*w, 3*w),
		DOut: da, Out: c.Attn, LSE: c.LSE, Delta: cx.Arena.New(n, b.cfg.Heads, t),
		Q: c.QKV.Columns(0, w), K: c.QKV.Columns(w, 2*w), V: c.QKV.Columns(2*w, 3*w),
		Heads: b.cfg.Heads, Drop: b.probabilities(cx, c)})
	h, s := da, NewStats(cx.Arena, n*t) // da is used up
	b.norm1.Forward(cx, h, c.X, s)
	e.LinearWeight(engine.LinearWeightArgs{
		DW: b.qkvW.Grad, DBias: b.qkvB.Grad, DY: dQKV, X: h})
	e.LinearInput(engine.LinearInputArgs{DX: h, DY: dQKV, W: b.qkvW.Value})
	b.norm1.Backward(cx, d, h, c.X, s, engine.Add)
	cx.Arena.Release(mark)
}

// undrop returns d behind the dropout mask, in the compute type: d itself when
// that is its own and there is no dropout.
func (b *Block) undrop(cx *Context, d engine.Tensor, mask rng.Mask) engine.Tensor {
	if mask.P == 0 && cx.Arena.Compute() == d.DType() {
		return d
	}
	x := cx.Arena.NewCompute(d.Dim(0), d.Dim(1), d.Dim(2))
	if mask.P == 0 {
		cx.Engine.Cast(x, d)
	} else {
		cx.Engine.Dropout(x, d, mask)
	}
	return x
}

// AttentionWeights returns softmax(q·kᵀ/√(D/A)), (B, A, N, N) from the arena, for
// views qkv (B, N, 3D) of a filled cache: for pictures.
func (b *Block) AttentionWeights(cx *Context, qkv engine.Tensor) engine.Tensor {
	d := b.cfg.Width
	w := cx.Arena.New(qkv.Dim(0), b.cfg.Heads, qkv.Dim(1), qkv.Dim(1))
	cx.Engine.AttentionWeights(w, qkv.Columns(0, d), qkv.Columns(d, 2*d), b.cfg.Heads)
	return w
}

// QueryKey returns query and key of x (B, N, D), the block's input, side by side:
// (B, N, 2D), F32, from the arena. Those of head h are columns hD/A to (h+1)D/A of
// each half. For pictures: on the host softmax(q·kᵀ/√(D/A)) needs no (A, N, N) here.
func (b *Block) QueryKey(cx *Context, x engine.Tensor) engine.Tensor {
	n, t, d := x.Dim(0), x.Dim(1), x.Dim(2)
	y := cx.Arena.New(n, t, 2*d)
	mark := cx.Arena.Mark()
	h, qk := cx.Arena.NewCompute(n, t, d), y
	b.norm1.Forward(cx, h, x, Stats{})
	if cx.Arena.Compute() != y.DType() {
		qk = cx.Arena.NewCompute(n, t, 2*d)
	}
	cx.Engine.Linear(engine.LinearArgs{Y: qk, X: h,
		W: b.qkvW.Value.Slice(0, 2*d), Bias: b.qkvB.Value.Slice(0, 2*d)})
	if qk != y {
		cx.Engine.Cast(y, qk)
	}
	cx.Arena.Release(mark)
	return y
}
