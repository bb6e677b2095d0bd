package cpu

import (
	"avjepa/internal/engine"
	"avjepa/internal/kernel"
)

// LayerNorm normalises the rows of x.
func (e *Engine) LayerNorm(a engine.LayerNormArgs) {
	a.Check()
	t := &e.layerNormTask
	*t = layerNormTask{y: mat(a.Y), x: mat(a.X), mean: vec(a.Mean), rstd: vec(a.RStd),
		gain: vec(a.Gain), bias: vec(a.Bias), eps: float32(a.Eps)}
	e.pool.Run(t, parts(t.x.rows, rowsPerPart(t.x.cols)))
}

type layerNormTask struct {
	y, x                   matrix
	mean, rstd, gain, bias []float32
	eps                    float32
}

func (t *layerNormTask) Run(_, i int) {
	lo, hi := part(i, rowsPerPart(t.x.cols), t.x.rows)
	for r := lo; r < hi; r++ {
		mean, rstd := kernel.LayerNormRow(t.y.row(r), t.x.row(r), t.gain, t.bias, t.eps)
		if t.mean != nil {
			t.mean[r], t.rstd[r] = mean, rstd
		}
	}
}

// LayerNormBackward computes dx and adds to dGain and dBias.
func (e *Engine) LayerNormBackward(a engine.LayerNormBackwardArgs) {
	a.Check()
	t := &e.layerNormBackTask
	*t = layerNormBackwardTask{dx: mat(a.DX), dy: mat(a.DY), x: mat(a.X), mean: vec(a.Mean),
		rstd: vec(a.RStd), gain: vec(a.Gain), add: a.Mode == engine.Add}
	rows, d := t.x.rows, t.x.cols
	t.per = rowsPerPartial(rows, d)
	n := parts(rows, t.per)
	t.partials = e.floats(n * 2 * d)
	e.pool.Run(t, n)
	kernel.AddColumns(vec(a.DGain), t.partials, n, 2*d)
	if n > 0 {
		kernel.AddColumns(vec(a.DBias), t.partials[d:], n, 2*d)
	}
}

type layerNormBackwardTask struct {
	dx, dy, x        matrix
	mean, rstd, gain []float32
	add              bool
	per              int
	partials         []float32 // (parts, 2, D): dGain, dBias
}

func (t *layerNormBackwardTask) Run(_, i int) {
	lo, hi := part(i, t.per, t.x.rows)
	d := t.x.cols
	p := t.partials[i*2*d:][:2*d]
	clear(p)
	for r := lo; r < hi; r++ {
		kernel.LayerNormBackwardRow(t.dx.row(r), p[:d], p[d:], t.dy.row(r), t.x.row(r), t.gain,
			t.mean[r], t.rstd[r], t.add)
	}
}
