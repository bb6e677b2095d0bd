package ref

import (
	"math"

	"avjepa/internal/engine"
	"avjepa/internal/rng"
)

// GELU: y = x·Φ(x).
func (e *Engine) GELU(y, x engine.Tensor) {
	engine.CheckGELU(y, x)
	v := e.load(x)
	for i := range v {
		v[i] = gelu(v[i])
	}
	e.store(y, v)
}

// GELUBackward: dx = dy·(Φ(x) + x·φ(x)).
func (e *Engine) GELUBackward(dx, dy, x engine.Tensor) {
	engine.CheckGELUBackward(dx, dy, x)
	v, d := e.load(x), e.load(dy)
	for i := range d {
		d[i] *= geluSlope(v[i])
	}
	e.store(dx, d)
}

// Dropout: y = x/(1−p) where the mask keeps, else 0.
func (e *Engine) Dropout(y, x engine.Tensor, m rng.Mask) {
	engine.CheckDropout(y, x, m)
	v, c := e.load(x), x.Cols()
	_, n := x.Sequences()
	for i := range v {
		row := m.Rows.Start(i/c/n, m.Rows.Of(n)) + i/c%n
		v[i] = drop(v[i], m.P, m.Key, row, i%c)
	}
	e.store(y, v)
}

// drop returns v/(1−p) where the mask keeps its element, else 0.
func drop(v, p float64, key rng.Key, row, col int) float64 {
	k0, k1 := key.Row(row)
	if rng.RowBits(k0, k1, uint32(col)) >= rng.Threshold(p) {
		return v / (1 - p)
	}
	return 0
}

// AddTo: dst += alpha·x.
func (e *Engine) AddTo(dst, x engine.Tensor, alpha float32) {
	engine.CheckAddTo(dst, x)
	v := e.load(x)
	for i := range v {
		v[i] *= float64(alpha)
	}
	e.add(dst, v)
}

// Scale: x = alpha·x.
func (e *Engine) Scale(x engine.Tensor, alpha float32) {
	engine.CheckScale(x)
	v := e.load(x)
	for i := range v {
		v[i] *= float64(alpha)
	}
	e.store(x, v)
}

// ColumnStats: the mean of every column and √(Σ(x − mean)²/(R−1)).
func (e *Engine) ColumnStats(mean, std, x engine.Tensor) {
	engine.CheckColumnStats(mean, std, x)
	m, variance := columnMoments(e.load(x), x.Rows(), x.Cols())
	r := float64(x.Rows())
	for j := range variance {
		variance[j] = math.Sqrt(variance[j] * r / (r - 1))
	}
	e.store(mean, m)
	e.store(std, variance)
}

// columnMoments returns the mean and the biased variance of every column.
func columnMoments(x []float64, rows, cols int) (mean, variance []float64) {
	mean, variance = make([]float64, cols), make([]float64, cols)
	for i, v := range x {
		mean[i%cols] += v / float64(rows)
	}
	for i, v := range x {
		d := v - mean[i%cols]
		variance[i%cols] += d * d / float64(rows)
	}
	return mean, variance
}
