package torch

import (
	"unsafe"

	"avjepa/internal/engine"
)

type layerNormArgs struct {
	y, mean, rstd, x, gain, bias tensorArg
	eps                          float64
}

// LayerNorm: y = (x − mean)·rstd·gain + bias by rows.
func (e *Engine) LayerNorm(a engine.LayerNormArgs) {
	a.Check()
	c := &e.args.layerNorm
	*c = layerNormArgs{y: e.arg(a.Y), mean: e.arg(a.Mean), rstd: e.arg(a.RStd), x: e.arg(a.X),
		gain: e.arg(a.Gain), bias: e.arg(a.Bias), eps: a.Eps}
	e.do("LayerNorm", e.lib.layerNorm, uintptr(unsafe.Pointer(c)), unsafe.Sizeof(*c))
}

type layerNormBackwardArgs struct {
	dx, dgain, dbias, dy, x, mean, rstd, gain tensorArg
	add                                       int64
}

// LayerNormBackward: see engine.LayerNormBackwardArgs.
func (e *Engine) LayerNormBackward(a engine.LayerNormBackwardArgs) {
	a.Check()
	c := &e.args.layerNormBack
	*c = layerNormBackwardArgs{dx: e.arg(a.DX), dgain: e.arg(a.DGain), dbias: e.arg(a.DBias),
		dy: e.arg(a.DY), x: e.arg(a.X), mean: e.arg(a.Mean), rstd: e.arg(a.RStd),
		gain: e.arg(a.Gain), add: flag(a.Mode == engine.Add)}
	e.do("LayerNormBackward", e.lib.layerNormBackward, uintptr(unsafe.Pointer(c)),
		unsafe.Sizeof(*c))
}

// The stages of BatchNorm and of its backward: AVJ_BN_… of src/avjepa.h.
const (
	stageMean, stageSquares, stageApply = 1, 2, 4
	stageSums, stageDX                  = 1, 2
)

type batchNormArgs struct {
	y, pre, mean, rstd, x, gain, bias, runMean, runVar tensorArg
	eps, momentum, total                               float64
	train, gelu, stages                                int64
}

// BatchNorm: y = (x − mean)·rstd·gain + bias by columns, then GELU if asked. A group
// averages the means, then the mean squares about them.
func (e *Engine) BatchNorm(a engine.BatchNormArgs) {
	a.Check()
	c := &e.args.batchNorm
	*c = batchNormArgs{y: e.arg(a.Y), pre: e.arg(a.Pre), x: e.arg(a.X), gain: e.arg(a.Gain),
		bias: e.arg(a.Bias), runMean: e.arg(a.RunMean), runVar: e.arg(a.RunVar), eps: a.Eps,
		momentum: a.Momentum, total: float64(a.X.Rows()), train: flag(a.Train),
		gelu: flag(a.GELU)}
	stage := func(s int64) {
		c.stages = s
		e.do("BatchNorm", e.lib.batchNorm, uintptr(unsafe.Pointer(c)), unsafe.Sizeof(*c))
	}
	if !a.Train {
		stage(stageApply)
		return
	}
	c.mean, c.rstd = e.arg(a.Mean), e.arg(a.RStd)
	if a.Group == nil {
		stage(stageMean | stageSquares | stageApply)
		return
	}
	c.total *= float64(a.Group.Size())
	stage(stageMean)
	average(a.Group, a.Mean)
	stage(stageSquares)
	average(a.Group, a.RStd)
	stage(stageApply)
}

// average replaces x by its mean over the processes of a group.
func average(g engine.Group, x engine.Tensor) {
	g.Average(x)
	g.Wait()
}

type batchNormBackwardArgs struct {
	dx, dgain, dbias, dy, x, mean, rstd, gain, means tensorArg
	stages                                           int64
}

// BatchNormBackward: see engine.BatchNormBackwardArgs.
func (e *Engine) BatchNormBackward(a engine.BatchNormBackwardArgs) {
	a.Check()
	c := &e.args.batchNormBack
	*c = batchNormBackwardArgs{dx: e.arg(a.DX), dgain: e.arg(a.DGain), dbias: e.arg(a.DBias),
		dy: e.arg(a.DY), x: e.arg(a.X), mean: e.arg(a.Mean), rstd: e.arg(a.RStd),
		gain: e.arg(a.Gain)}
	stage := func(s int64) {
		c.stages = s
		e.do("BatchNormBackward", e.lib.batchNormBackward, uintptr(unsafe.Pointer(c)),
			unsafe.Sizeof(*c))
	}
	if a.Group == nil {
		stage(stageSums | stageDX)
		return
	}
	c.means = e.arg(a.Means)
	stage(stageSums)
	average(a.Group, a.Means)
	stage(stageDX)
}

type columnStatsArgs struct{ mean, std, x tensorArg }

// ColumnStats: the mean of every column and √(Σ(x − mean)²/(R−1)).
func (e *Engine) ColumnStats(mean, std, x engine.Tensor) {
	engine.CheckColumnStats(mean, std, x)
	c := &e.args.columnStats
	*c = columnStatsArgs{mean: e.arg(mean), std: e.arg(std), x: e.arg(x)}
	e.do("ColumnStats", e.lib.columnStats, uintptr(unsafe.Pointer(c)), unsafe.Sizeof(*c))
}
