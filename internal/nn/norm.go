package nn

import (
	"avjepa/internal/engine"
	"avjepa/internal/tensor"
)

// LayerNorm normalises rows of D features.
type LayerNorm struct {
	Gain, Bias *Param
	Eps        float64
}

// NewLayerNorm registers name.weight (the gain) and name.bias.
func NewLayerNorm(ps *Params, name string, d int, eps float64) LayerNorm {
	return LayerNorm{
		Gain: ps.Add(name+".weight", tensor.Of(d), Ones(), true),
		Bias: ps.Add(name+".bias", tensor.Of(d), Zeros(), true),
		Eps:  eps,
	}
}

// Stats are the mean and 1/deviation (R) of the rows, or the columns, of an
// input. A zero Stats is not filled in.
type Stats struct{ Mean, RStd engine.Tensor }

// NewStats allocates n of each.
func NewStats(a *engine.Arena, n int) Stats { return Stats{a.New(n), a.New(n)} }

// Forward sets y, which may be x, and s unless that is zero. Backward needs s
// and x; where memory matters, call Forward again there instead of keeping y.
func (l LayerNorm) Forward(cx *Context, y, x engine.Tensor, s Stats) {
	cx.Engine.LayerNorm(engine.LayerNormArgs{Y: y, Mean: s.Mean, RStd: s.RStd, X: x,
		Gain: l.Gain.Value, Bias: l.Bias.Value, Eps: l.Eps})
}

// Backward sets dx or adds to it, and adds the gradients of gain and bias. dx
// may be dy when it is set.
func (l LayerNorm) Backward(cx *Context, dx, dy, x engine.Tensor, s Stats, m engine.Mode) {
	cx.Engine.LayerNormBackward(engine.LayerNormBackwardArgs{
		DX: dx, DGain: l.Gain.Grad, DBias: l.Bias.Grad, DY: dy, X: x,
		Mean: s.Mean, RStd: s.RStd, Gain: l.Gain.Value, Mode: m})
}

// BatchNorm normalises columns over the batch, and passes the result through
// the exact GELU. In training it uses the batch's own statistics and moves the
// running ones, else it uses the running ones.
type BatchNorm struct {
	Gain, Bias      *Param
	RunMean, RunVar *Buffer
	Tracked         *Counter // batches that moved the running statistics
	Eps, Momentum   float64
}

// NewBatchNorm registers name.weight, .bias, .running_mean, .running_var and
// .num_batches_tracked.
func NewBatchNorm(ps *Params, name string, c int) BatchNorm {
	return BatchNorm{
		Gain:     ps.Add(name+".weight", tensor.Of(c), Ones(), true),
		Bias:     ps.Add(name+".bias", tensor.Of(c), Zeros(), true),
		RunMean:  ps.AddBuffer(name+".running_mean", tensor.Of(c), Zeros()),
		RunVar:   ps.AddBuffer(name+".running_var", tensor.Of(c), Ones()),
		Tracked:  ps.AddCounter(name + ".num_batches_tracked"),
		Eps:      1e-5,
		Momentum: 0.1,
	}
}

// ForwardGELU sets y (R, C) = gelu(normalised x), over the rows of all processes of
// cx.NormGroup. In training it fills s, and
// sets pre (R, C) to the normalised values when that is not nil.
func (l BatchNorm) ForwardGELU(cx *Context, y, pre, x engine.Tensor, s Stats) {
	a := engine.BatchNormArgs{Y: y, Pre: pre, Mean: s.Mean, RStd: s.RStd,
		X: x, Gain: l.Gain.Value, Bias: l.Bias.Value,
		RunMean: l.RunMean.Value, RunVar: l.RunVar.Value,
		Eps: l.Eps, Momentum: l.Momentum, Train: cx.Train, GELU: true}
	if cx.Train {
		l.Tracked.N++
		a.Group = cx.NormGroup
	}
	cx.Engine.BatchNorm(a)
}

// Backward turns d in place from the gradient of the normalised values (GELU's
// input) into that of x.
func (l BatchNorm) Backward(cx *Context, d, x engine.Tensor, s Stats) {
	a := engine.BatchNormBackwardArgs{
		DX: d, DGain: l.Gain.Grad, DBias: l.Bias.Grad, DY: d, X: x,
		Mean: s.Mean, RStd: s.RStd, Gain: l.Gain.Value, Group: cx.NormGroup}
	mark := cx.Arena.Mark()
	if a.Group != nil {
		a.Means = cx.Arena.New(2, x.Cols())
	}
	cx.Engine.BatchNormBackward(a)
	cx.Arena.Release(mark)
}
