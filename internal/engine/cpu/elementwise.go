package cpu

import (
	"avjepa/internal/engine"
	"avjepa/internal/kernel"
	"avjepa/internal/rng"
)

// GELU sets y = x·Φ(x).
func (e *Engine) GELU(y, x engine.Tensor) {
	engine.CheckGELU(y, x)
	t := &e.geluTask
	*t = geluTask{y: mat(y), x: mat(x)}
	t.flat = t.y.dense() && t.x.dense()
	e.pool.Run(t, gridParts(t.x, t.flat))
}

type geluTask struct {
	y, x matrix
	flat bool
}

func (t *geluTask) Run(_, i int) {
	if t.flat {
		lo, hi := part(i, blockElems, t.x.rows*t.x.cols)
		kernel.GELURow(t.y.data[lo:hi], t.x.data[lo:hi])
		return
	}
	lo, hi := part(i, rowsPerPart(t.x.cols), t.x.rows)
	for r := lo; r < hi; r++ {
		kernel.GELURow(t.y.row(r), t.x.row(r))
	}
}

// GELUBackward sets dx = dy·(Φ(x) + x·φ(x)).
func (e *Engine) GELUBackward(dx, dy, x engine.Tensor) {
	engine.CheckGELUBackward(dx, dy, x)
	t := &e.geluBackwardTask
	*t = geluBackwardTask{dx: mat(dx), dy: mat(dy), x: mat(x)}
	t.flat = t.dx.dense() && t.dy.dense() && t.x.dense()
	e.pool.Run(t, gridParts(t.x, t.flat))
}

type geluBackwardTask struct {
	dx, dy, x matrix
	flat      bool
}

func (t *geluBackwardTask) Run(_, i int) {
	if t.flat {
		lo, hi := part(i, blockElems, t.x.rows*t.x.cols)
		kernel.DGELURow(t.dx.data[lo:hi], t.dy.data[lo:hi], t.x.data[lo:hi])
		return
	}
	lo, hi := part(i, rowsPerPart(t.x.cols), t.x.rows)
	for r := lo; r < hi; r++ {
		kernel.DGELURow(t.dx.row(r), t.dy.row(r), t.x.row(r))
	}
}

// Dropout sets y = x/(1−p) where the mask keeps, 0 elsewhere.
func (e *Engine) Dropout(y, x engine.Tensor, m rng.Mask) {
	engine.CheckDropout(y, x, m)
	t := &e.dropoutTask
	*t = dropoutTask{y: mat(y), x: mat(x), mask: m, threshold: rng.Threshold(m.P),
		scale: float32(1 / (1 - m.P))}
	_, t.tokens = x.Sequences()
	e.pool.Run(t, parts(t.x.rows, rowsPerPart(t.x.cols)))
}

type dropoutTask struct {
	y, x      matrix
	tokens    int // of a sequence
	mask      rng.Mask
	threshold uint32
	scale     float32
}

func (t *dropoutTask) Run(_, i int) {
	lo, hi := part(i, rowsPerPart(t.x.cols), t.x.rows)
	n := t.mask.Rows.Of(t.tokens)
	for r := lo; r < hi; r++ {
		k0, k1 := t.mask.Key.Row(t.mask.Rows.Start(r/t.tokens, n) + r%t.tokens)
		kernel.DropoutRow(t.y.row(r), t.x.row(r), k0, k1, t.threshold, t.scale)
	}
}

// AddTo adds alpha·x to dst.
func (e *Engine) AddTo(dst, x engine.Tensor, alpha float32) {
	engine.CheckAddTo(dst, x)
	t := &e.addTask
	*t = addTask{dst: mat(dst), x: mat(x), alpha: alpha}
	t.flat = t.dst.dense() && t.x.dense()
	e.pool.Run(t, gridParts(t.dst, t.flat))
}

type addTask struct {
	dst, x matrix
	alpha  float32
	flat   bool
}

func (t *addTask) Run(_, i int) {
	if t.flat {
		lo, hi := part(i, blockElems, t.x.rows*t.x.cols)
		kernel.Axpy(t.dst.data[lo:hi], t.x.data[lo:hi], t.alpha)
		return
	}
	lo, hi := part(i, rowsPerPart(t.x.cols), t.x.rows)
	for r := lo; r < hi; r++ {
		kernel.Axpy(t.dst.row(r), t.x.row(r), t.alpha)
	}
}

// Scale multiplies x by alpha.
func (e *Engine) Scale(x engine.Tensor, alpha float32) {
	engine.CheckScale(x)
	t := &e.scaleTask
	*t = scaleTask{x: vec(x), alpha: alpha}
	e.pool.Run(t, parts(len(t.x), blockElems))
}

type scaleTask struct {
	x     []float32
	alpha float32
}

func (t *scaleTask) Run(_, i int) {
	lo, hi := part(i, blockElems, len(t.x))
	kernel.ScaleRow(t.x[lo:hi], t.alpha)
}
