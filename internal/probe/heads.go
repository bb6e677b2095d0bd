package probe

import (
	"avjepa/internal/engine"
	"avjepa/internal/nn"
)

// headEps is what the LayerNorms of both heads add to a variance.
const headEps = 1e-5

// LinearHead classifies an embedding: LayerNorm, then one linear layer.
//
// Source: paper, online and frozen probes; probe_norm and probe_head of the
// published code.
type LinearHead struct {
	norm  nn.LayerNorm
	head  nn.Linear
	width int
}

// NewLinearHead registers norm.* (D) and head.* (classes, D) under the two names
// given, with PyTorch's default initial values.
func NewLinearHead(ps *nn.Params, norm, head string, width, classes int) *LinearHead {
	return &LinearHead{
		norm:  nn.NewLayerNorm(ps, norm, width, headEps),
		head:  nn.NewLinear(ps, head, width, classes, nn.FanIn(width), nn.FanIn(width)),
		width: width,
	}
}

// LinearCache is what Backward needs of a Forward.
type LinearCache struct {
	x, h  engine.Tensor // (R, D) input; after the norm
	stats nn.Stats
}

// Forward sets logits (R, C) from x (R, D), contiguous. The cache's tensors stay
// in the arena.
func (l *LinearHead) Forward(cx *nn.Context, c *LinearCache, logits, x engine.Tensor) {
	r := x.Dim(0)
	*c = LinearCache{x: x, h: cx.Arena.New(r, l.width), stats: nn.NewStats(cx.Arena, r)}
	l.norm.Forward(cx, c.h, x, c.stats)
	l.head.Forward(cx, logits, c.h)
}

// Backward adds the gradients of the parameters from dlogits (R, C). When dx
// (R, D) is not nil it is set; without it the features are detached.
func (l *LinearHead) Backward(cx *nn.Context, c *LinearCache, dx, dlogits engine.Tensor) {
	mark := cx.Arena.Mark()
	if dx.Nil() {
		dx = cx.Arena.New(c.x.Dim(0), l.width)
	}
	l.head.Backward(cx, dx, dlogits, c.h)
	l.norm.Backward(cx, dx, dx, c.x, c.stats, engine.Set)
	cx.Arena.Release(mark)
}
