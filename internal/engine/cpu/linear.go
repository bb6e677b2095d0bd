package cpu

import (
	"avjepa/internal/engine"
	"avjepa/internal/kernel"
)

// Linear sets y = act(x·Wᵀ + bias) + residual.
func (e *Engine) Linear(a engine.LinearArgs) {
	a.Check()
	if e.quantized.linear(&a) {
		return
	}
	x, y, pre, res := mat(a.X), mat(a.Y), mat(a.Pre), mat(a.Residual)
	g := &e.product
	*g = kernel.GemmArgs{
		M: y.rows, N: y.cols, K: x.cols,
		A: x.data, LDA: x.stride,
		B: vec(a.W), LDB: x.cols, TransB: true,
		C: y.data, LDC: y.stride,
		Bias: vec(a.Bias), GELU: a.GELU,
		Pre: pre.data, LDPre: pre.stride,
		Residual: res.data, LDR: res.stride,
	}
	e.gemm.Do(g)
}

// LinearInput sets dx = dy·W, times gelu′(pre) when Pre is given, or adds it, and
// act = gelu(pre).
func (e *Engine) LinearInput(a engine.LinearInputArgs) {
	a.Check()
	dx, dy, pre, act := mat(a.DX), mat(a.DY), mat(a.Pre), mat(a.Act)
	g := &e.product
	*g = kernel.GemmArgs{
		M: dx.rows, N: dx.cols, K: dy.cols,
		A: dy.data, LDA: dy.stride,
		B: vec(a.W), LDB: dx.cols,
		C: dx.data, LDC: dx.stride, Accumulate: a.Mode == engine.Add,
		DGELU: pre.data, LDD: pre.stride, Act: act.data, LDAct: act.stride,
	}
	e.gemm.Do(g)
}

// LinearWeight adds dyᵀ·x to dW and the column sums of dy to dBias.
func (e *Engine) LinearWeight(a engine.LinearWeightArgs) {
	a.Check()
	dy, x := mat(a.DY), mat(a.X)
	g := &e.product
	*g = kernel.GemmArgs{
		M: dy.cols, N: x.cols, K: dy.rows,
		A: dy.data, LDA: dy.stride, TransA: true,
		B: x.data, LDB: x.stride,
		C: vec(a.DW), LDC: x.cols, Accumulate: true,
	}
	e.gemm.Do(g)
	if !a.DBias.Nil() {
		e.addColumns(vec(a.DBias), dy)
	}
}

// addColumns adds the sum over rows of x to sum.
func (e *Engine) addColumns(sum []float32, x matrix) {
	t := &e.columnSumTask
	*t = columnSumTask{x: x, per: rowsPerPartial(x.rows, x.cols)}
	n := parts(x.rows, t.per)
	t.partials = e.floats(n * x.cols)
	e.pool.Run(t, n)
	kernel.AddColumns(sum, t.partials, n, x.cols)
}

type columnSumTask struct {
	x        matrix
	per      int
	partials []float32 // (parts, cols)
}

func (t *columnSumTask) Run(_, i int) {
	lo, hi := part(i, t.per, t.x.rows)
	p := t.partials[i*t.x.cols:][:t.x.cols]
	clear(p)
	kernel.AddColumns(p, t.x.data[lo*t.x.stride:], hi-lo, t.x.stride)
}
