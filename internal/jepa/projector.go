package jepa

import (
	"avjepa/internal/engine"
	"avjepa/internal/nn"
)

// Projector maps the CLS of a view to the space of the objective: Linear,
// BatchNorm, GELU, twice, then Linear.
type Projector struct {
	in, hidden, out nn.Linear
	norm1, norm2    nn.BatchNorm
	width           int
}

func newProjector(ps *nn.Params, name string, c Config) *Projector {
	d, h := c.Encoder.Width, c.Hidden
	linear := func(n string, in, out int) nn.Linear {
		weight, bias := nn.FanIn(in), nn.FanIn(in)
		if c.ProjectorInitStd > 0 {
			weight, bias = nn.Normal(c.ProjectorInitStd), nn.Zeros()
		}
		return nn.NewLinear(ps, name+n, in, out, weight, bias)
	}
	return &Projector{
		in:     linear(".net.0", d, h),
		norm1:  nn.NewBatchNorm(ps, name+".net.1", h),
		hidden: linear(".net.3", h, h),
		norm2:  nn.NewBatchNorm(ps, name+".net.4", h),
		out:    linear(".net.6", h, c.Proj),
		width:  h,
	}
}

// projectorCache is what Backward needs of one call: per layer the input of the
// BatchNorm, its output, and that after the GELU.
type projectorCache struct {
	x              engine.Tensor // (R, D)
	h1, pre1, g1   engine.Tensor // (R, Hidden)
	h2, pre2, g2   engine.Tensor
	stats1, stats2 nn.Stats
}

// Forward sets z (R, K) from x (R, D). In training the cache is filled and its
// tensors stay in the arena.
func (p *Projector) Forward(cx *nn.Context, c *projectorCache, z, x engine.Tensor) {
	r := x.Dim(0)
	*c = projectorCache{x: x}
	layer := func() (h, pre, g engine.Tensor, s nn.Stats) {
		h, g = cx.Arena.New(r, p.width), cx.Arena.New(r, p.width)
		if cx.Train {
			pre, s = cx.Arena.New(r, p.width), nn.NewStats(cx.Arena, p.width)
		}
		return h, pre, g, s
	}
	c.h1, c.pre1, c.g1, c.stats1 = layer()
	p.in.Forward(cx, c.h1, x)
	p.norm1.ForwardGELU(cx, c.g1, c.pre1, c.h1, c.stats1)
	c.h2, c.pre2, c.g2, c.stats2 = layer()
	p.hidden.Forward(cx, c.h2, c.g1)
	p.norm2.ForwardGELU(cx, c.g2, c.pre2, c.h2, c.stats2)
	p.out.Forward(cx, z, c.g2)
}

// Backward sets dx (R, D) from dz (R, K) and adds the gradients of the
// parameters.
func (p *Projector) Backward(cx *nn.Context, c *projectorCache, dx, dz engine.Tensor) {
	e := cx.Engine
	mark := cx.Arena.Mark()
	d2, d1 := cx.Arena.New(dz.Dim(0), p.width), cx.Arena.New(dz.Dim(0), p.width)
	p.out.BackwardWeight(cx, dz, c.g2)
	e.LinearInput(engine.LinearInputArgs{DX: d2, DY: dz, W: p.out.W.Value, Pre: c.pre2})
	p.norm2.Backward(cx, d2, c.h2, c.stats2)
	p.hidden.BackwardWeight(cx, d2, c.g1)
	e.LinearInput(engine.LinearInputArgs{DX: d1, DY: d2, W: p.hidden.W.Value, Pre: c.pre1})
	p.norm1.Backward(cx, d1, c.h1, c.stats1)
	p.in.Backward(cx, dx, d1, c.x)
	cx.Arena.Release(mark)
}
