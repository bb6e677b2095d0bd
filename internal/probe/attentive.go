package probe

import (
	"math"

	"avjepa/internal/engine"
	"avjepa/internal/nn"
	"avjepa/internal/tensor"
)

// AttentiveHead classifies a set of tokens: one learned query gathers them by
// multi-head cross-attention, and a LinearHead reads what it gathered.
//
//	query                    (1, 1, D)
//	cross_attn.in_proj_*     (3D, D), (3D)  rows of query, key, value
//	cross_attn.out_proj.*    (D, D), (D)
//	norm.*, head.*           as LinearHead
//
// The softmax does not see what is added to every key, so the gradient of the
// key's part of in_proj_bias is zero, and in float32 noise about it.
//
// Source: paper, online and frozen probes; att_probe of the published code.
type AttentiveHead struct {
	query      *nn.Param
	inW, inB   *nn.Param
	out        nn.Linear
	classifier *LinearHead
	width      int
	heads      int
}

// NewAttentiveHead registers the parameters under name. Width must be a multiple
// of heads. Initial values are PyTorch's for a multi-head attention, and
// N(0, .02²) for the query.
func NewAttentiveHead(ps *nn.Params, name string, width, heads, classes int) *AttentiveHead {
	attn := name + ".cross_attn."
	xavier := nn.Uniform(math.Sqrt(6 / float64(width+3*width)))
	return &AttentiveHead{
		query: ps.Add(name+".query", tensor.Of(1, 1, width), nn.Normal(0.02), false),
		inW:   ps.Add(attn+"in_proj_weight", tensor.Of(3*width, width), xavier, false),
		inB:   ps.Add(attn+"in_proj_bias", tensor.Of(3*width), nn.Zeros(), true),
		out:   nn.NewLinear(ps, attn+"out_proj", width, width, nn.FanIn(width), nn.Zeros()),
		classifier: NewLinearHead(ps, name+".norm", name+".head",
			width, classes),
		width: width, heads: heads,
	}
}

// AttentiveCache is what Backward needs of a Forward: 2 values per token and
// feature.
type AttentiveCache struct {
	tokens  engine.Tensor // (B, N, D)   input
	ones    engine.Tensor // (B, 1)
	queries engine.Tensor // (B, D)      the query, once for every set
	q       engine.Tensor // (B, 1, D)
	kv      engine.Tensor // (B, N, 2D)
	lse     engine.Tensor // (B, A, 1)
	attn    engine.Tensor // (B, 1, D)   heads' output, before its projection
	read    LinearCache
}

// Forward sets logits (B, C) from tokens (B, N, D). The cache's tensors stay in
// the arena.
func (h *AttentiveHead) Forward(cx *nn.Context, c *AttentiveCache, logits, tokens engine.Tensor) {
	e, b, n, d := cx.Engine, tokens.Dim(0), tokens.Dim(1), h.width
	*c = AttentiveCache{
		tokens: tokens, ones: cx.Arena.New(b, 1), queries: cx.Arena.New(b, d),
		q: cx.Arena.New(b, 1, d), kv: cx.Arena.New(b, n, 2*d),
		lse: cx.Arena.New(b, h.heads, 1), attn: cx.Arena.New(b, 1, d),
	}
	// The query is the weight of a linear layer with one input, which is 1.
	e.Fill(c.ones, 1)
	e.Linear(engine.LinearArgs{Y: c.queries, X: c.ones, W: h.query.Value.Reshape(d, 1)})
	e.Linear(engine.LinearArgs{Y: c.q, X: c.queries,
		W: h.inW.Value.Slice(0, d), Bias: h.inB.Value.Slice(0, d)})
	e.Linear(engine.LinearArgs{Y: c.kv, X: tokens,
		W: h.inW.Value.Slice(d, 3*d), Bias: h.inB.Value.Slice(d, 3*d)})
	e.Attention(engine.AttentionArgs{Out: c.attn, LSE: c.lse, Q: c.q,
		K: c.kv.Columns(0, d), V: c.kv.Columns(d, 2*d), Heads: h.heads})
	pooled := cx.Arena.New(b, d)
	h.out.Forward(cx, pooled, c.attn)
	h.classifier.Forward(cx, &c.read, logits, pooled)
}

// Backward adds the gradients of the parameters from dlogits (B, C). When
// dtokens (B, N, D) is not nil it is set; without it the features are detached.
func (h *AttentiveHead) Backward(cx *nn.Context, c *AttentiveCache,
	dtokens, dlogits engine.Tensor) {
	e, d := cx.Engine, h.width
	b, n := c.tokens.Dim(0), c.tokens.Dim(1)
	mark := cx.Arena.Mark()
	dpooled, dattn := cx.Arena.New(b, d), cx.Arena.New(b, 1, d)
	h.classifier.Backward(cx, &c.read, dpooled, dlogits)
	h.out.Backward(cx, dattn, dpooled, c.attn)
	dq, dkv := cx.Arena.New(b, 1, d), cx.Arena.New(b, n, 2*d)
	e.AttentionBackward(engine.AttentionBackwardArgs{
		DQ: dq, DK: dkv.Columns(0, d), DV: dkv.Columns(d, 2*d),
		DOut: dattn, Out: c.attn, LSE: c.lse, Delta: cx.Arena.New(b, h.heads, 1),
		Q: c.q, K: c.kv.Columns(0, d), V: c.kv.Columns(d, 2*d), Heads: h.heads})
	e.LinearWeight(engine.LinearWeightArgs{DW: h.inW.Grad.Slice(d, 3*d),
		DBias: h.inB.Grad.Slice(d, 3*d), DY: dkv, X: c.tokens})
	if !dtokens.Nil() {
		e.LinearInput(engine.LinearInputArgs{DX: dtokens, DY: dkv,
			W: h.inW.Value.Slice(d, 3*d)})
	}
	dqueries := dpooled // its contents are used up
	e.LinearWeight(engine.LinearWeightArgs{DW: h.inW.Grad.Slice(0, d),
		DBias: h.inB.Grad.Slice(0, d), DY: dq, X: c.queries})
	e.LinearInput(engine.LinearInputArgs{DX: dqueries, DY: dq, W: h.inW.Value.Slice(0, d)})
	e.LinearWeight(engine.LinearWeightArgs{DW: h.query.Grad.Reshape(d, 1),
		DY: dqueries, X: c.ones})
	cx.Arena.Release(mark)
}
