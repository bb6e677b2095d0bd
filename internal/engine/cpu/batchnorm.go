package cpu

import (
	"math"

	"avjepa/internal/engine"
	"avjepa/internal/kernel"
)

// BatchNorm normalises the columns of x.
func (e *Engine) BatchNorm(a engine.BatchNormArgs) {
	a.Check()
	c := a.X.Cols()
	s := e.floats(3 * c)
	t := &e.batchNormTask
	*t = batchNormTask{y: mat(a.Y), pre: mat(a.Pre), x: mat(a.X), mean: vec(a.Mean),
		rstd: vec(a.RStd), gain: vec(a.Gain), bias: vec(a.Bias), runMean: vec(a.RunMean),
		runVar: vec(a.RunVar), scale: s[:c], eps: a.Eps, momentum: a.Momentum, train: a.Train,
		gelu: a.GELU}
	if !a.Train {
		t.mean, t.rstd = s[c:2*c], s[2*c:]
	}
	if a.Train && a.Group != nil {
		for t.pass = groupMeans; t.pass < groupRows; t.pass++ {
			e.pool.Run(t, parts(c, panel))
			a.Group.Average([...]engine.Tensor{a.Mean, a.RStd}[t.pass-groupMeans])
			a.Group.Wait()
		}
		t.processes = a.Group.Size()
	}
	e.pool.Run(t, parts(c, panel))
}

// Passes of a BatchNorm: one, or with a group three, with an average over the
// processes after the first two.
const (
	wholePass  = iota
	groupMeans // mean is set to the means of this process
	groupMeanSquares
	groupRows // mean and rstd hold the mean and the mean square of all processes
)

type batchNormTask struct {
	y, pre, x                                      matrix
	mean, rstd, gain, bias, runMean, runVar, scale []float32
	eps, momentum                                  float64
	train, gelu                                    bool
	pass, processes                                int
}

func (t *batchNormTask) Run(_, i int) {
	lo, hi := part(i, panel, t.x.cols)
	mean, rstd, scale := t.mean[lo:hi], t.rstd[lo:hi], t.scale[lo:hi]
	inv := 1 / float32(t.x.rows)
	switch {
	case t.pass == groupMeans:
		columnMeans(mean, t.x, lo)
		return
	case t.pass == groupMeanSquares:
		clear(rstd)
		kernel.AddColumnSquares(rstd, t.x.data[lo:], mean, t.x.rows, t.x.stride)
		for c := range rstd {
			rstd[c] *= inv
		}
		return
	case t.pass == groupRows:
		t.statistics(lo, hi, 1, float64(t.x.rows*t.processes))
	case t.train:
		columnMoments(mean, rstd, t.x, lo)
		t.statistics(lo, hi, float64(t.x.rows), float64(t.x.rows))
	default:
		copy(mean, t.runMean[lo:hi])
		for c := range rstd {
			rstd[c] = float32(1 / math.Sqrt(float64(t.runVar[lo+c])+t.eps))
		}
	}
	for c := range scale {
		scale[c] = t.gain[lo+c] * rstd[c]
	}
	for r := range t.x.rows {
		out := t.y.row(r)[lo:hi]
		norm := out
		if t.pre.data != nil {
			norm = t.pre.row(r)[lo:hi]
		}
		kernel.NormColumnsRow(norm, t.x.row(r)[lo:hi], mean, scale, t.bias[lo:hi])
		if t.gelu {
			kernel.GELURow(out, norm)
		}
	}
}

// statistics turns rstd of columns lo…hi−1, the variance of n rows times by, into
// what its name says, and moves the running moments.
func (t *batchNormTask) statistics(lo, hi int, by, n float64) {
	mean, rstd := t.mean[lo:hi], t.rstd[lo:hi]
	for c, v := range rstd {
		rm, rv := &t.runMean[lo+c], &t.runVar[lo+c]
		*rm = float32((1-t.momentum)*float64(*rm) + t.momentum*float64(mean[c]))
		*rv = float32((1-t.momentum)*float64(*rv) + t.momentum*(float64(v)*(n/by))/(n-1))
		rstd[c] = float32(1 / math.Sqrt(float64(v)/by+t.eps))
	}
}

// columnMeans sets mean to the means of the len(mean) columns of x from lo on.
func columnMeans(mean []float32, x matrix, lo int) {
	clear(mean)
	kernel.AddColumns(mean, x.data[lo:], x.rows, x.stride)
	inv := 1 / float32(x.rows)
	for c := range mean {
		mean[c] *= inv
	}
}

// columnMoments sets mean to the means and sq to the sums of squared deviations
// of the len(mean) columns of x from lo on.
func columnMoments(mean, sq []float32, x matrix, lo int) {
	columnMeans(mean, x, lo)
	clear(sq)
	kernel.AddColumnSquares(sq, x.data[lo:], mean, x.rows, x.stride)
}

// BatchNormBackward sets dx and adds to dGain and dBias.
func (e *Engine) BatchNormBackward(a engine.BatchNormBackwardArgs) {
	a.Check()
	t := &e.batchNormBackTask
	*t = batchNormBackwardTask{dx: mat(a.DX), dy: mat(a.DY), x: mat(a.X), mean: vec(a.Mean),
		rstd: vec(a.RStd), gain: vec(a.Gain), dgain: vec(a.DGain), dbias: vec(a.DBias)}
	c := t.x.cols
	t.work = e.floats(3 * c)
	if a.Group == nil {
		e.pool.Run(t, parts(c, panel))
		return
	}
	t.means = vec(a.Means.Reshape(2 * c))
	t.pass = groupMeans
	e.pool.Run(t, parts(c, panel))
	a.Group.Average(a.Means)
	a.Group.Wait()
	t.pass = groupRows
	e.pool.Run(t, parts(c, panel))
}

type batchNormBackwardTask struct {
	dx, dy, x                      matrix
	mean, rstd, gain, dgain, dbias []float32
	work                           []float32 // (3, C)
	means                          []float32 // (2, C) of dy, and of dy·x̂ times rstd, with a group
	pass                           int
}

func (t *batchNormBackwardTask) Run(_, i int) {
	c := t.x.cols
	lo, hi := part(i, panel, c)
	sums, dots := t.work[lo:hi], t.work[c+lo:c+hi]
	scale, mean := t.work[2*c+lo:2*c+hi], t.mean[lo:hi]
	if t.pass != groupRows {
		t.sums(lo, hi)
	}
	switch t.pass {
	case groupMeans:
		copy(t.means[lo:hi], sums)
		copy(t.means[c+lo:c+hi], dots)
		return
	case groupRows:
		copy(sums, t.means[lo:hi])
		copy(dots, t.means[c+lo:c+hi])
	}
	for j := range sums {
		scale[j] = t.gain[lo+j] * t.rstd[lo+j]
	}
	for r := range t.x.rows {
		kernel.NormColumnsBackwardRow(t.dx.row(r)[lo:hi], t.dy.row(r)[lo:hi], t.x.row(r)[lo:hi],
			mean, scale, sums, dots)
	}
}

// sums adds to the gradients of gain and bias of columns lo…hi−1 and leaves mean(dy)
// and mean(dy·x̂)·rstd in work.
func (t *batchNormBackwardTask) sums(lo, hi int) {
	c := t.x.cols
	sums, dots := t.work[lo:hi], t.work[c+lo:c+hi]
	clear(sums)
	clear(dots)
	kernel.AddColumns(sums, t.dy.data[lo:], t.x.rows, t.dy.stride)
	kernel.AddColumnProducts(dots, t.dy.data[lo:], t.x.data[lo:], t.mean[lo:hi], t.x.rows, t.x.stride)
	inv := 1 / float32(t.x.rows)
	for j := range sums {
		rstd := t.rstd[lo+j]
		t.dbias[lo+j] += sums[j]
		t.dgain[lo+j] += dots[j] * rstd
		sums[j] *= inv
		dots[j] *= rstd * rstd * inv
	}
}

// ColumnStats sets the means and unbiased standard deviations of the columns.
func (e *Engine) ColumnStats(mean, std, x engine.Tensor) {
	engine.CheckColumnStats(mean, std, x)
	t := &e.columnStatsTask
	*t = columnStatsTask{mean: vec(mean), std: vec(std), x: mat(x)}
	e.pool.Run(t, parts(t.x.cols, panel))
}

type columnStatsTask struct {
	mean, std []float32
	x         matrix
}

func (t *columnStatsTask) Run(_, i int) {
	lo, hi := part(i, panel, t.x.cols)
	std := t.std[lo:hi]
	columnMoments(t.mean[lo:hi], std, t.x, lo)
	for c, sq := range std {
		std[c] = float32(math.Sqrt(float64(sq) / float64(t.x.rows-1)))
	}
}
