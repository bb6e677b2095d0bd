package ref

import (
	"math"

	"avjepa/internal/engine"
)

// Linear: y = act(x·Wᵀ + bias) + residual.
func (e *Engine) Linear(a engine.LinearArgs) {
	a.Check()
	x, w, bias, residual := e.load(a.X), e.load(a.W), e.load(a.Bias), e.load(a.Residual)
	rows, in, out := a.X.Rows(), a.X.Cols(), a.W.Rows()
	pre, y := make([]float64, rows*out), make([]float64, rows*out)
	for r := range rows {
		for o := range out {
			s := dot(x[r*in:(r+1)*in], w[o*in:(o+1)*in])
			if bias != nil {
				s += bias[o]
			}
			pre[r*out+o] = s
			if a.GELU {
				s = gelu(s)
			}
			if residual != nil {
				s += residual[r*out+o]
			}
			y[r*out+o] = s
		}
	}
	e.store(a.Pre, pre)
	e.store(a.Y, y)
}

// LinearInput: dx = dy·W, times gelu′(pre) when Pre is given; act = gelu(pre).
func (e *Engine) LinearInput(a engine.LinearInputArgs) {
	a.Check()
	dy, w, pre := e.load(a.DY), e.load(a.W), e.load(a.Pre)
	rows, in, out := a.DX.Rows(), a.W.Cols(), a.W.Rows()
	dx := make([]float64, rows*in)
	for r := range rows {
		row := dx[r*in : (r+1)*in]
		for o := range out {
			axpy(row, dy[r*out+o], w[o*in:(o+1)*in])
		}
		if pre != nil {
			for i := range row {
				row[i] *= geluSlope(pre[r*in+i])
			}
		}
	}
	e.put(a.DX, dx, a.Mode)
	if !a.Act.Nil() {
		for i, v := range pre {
			pre[i] = gelu(v)
		}
		e.store(a.Act, pre)
	}
}

// LinearWeight: dW += dyᵀ·x, dBias += Σ_r dy.
func (e *Engine) LinearWeight(a engine.LinearWeightArgs) {
	a.Check()
	dy, x := e.load(a.DY), e.load(a.X)
	rows, in, out := a.X.Rows(), a.X.Cols(), a.DY.Cols()
	dw, dbias := make([]float64, out*in), make([]float64, out)
	for r := range rows {
		for o := range out {
			axpy(dw[o*in:(o+1)*in], dy[r*out+o], x[r*in:(r+1)*in])
			dbias[o] += dy[r*out+o]
		}
	}
	e.add(a.DW, dw)
	e.add(a.DBias, dbias)
}

// dot returns Σ a·b.
func dot(a, b []float64) float64 {
	b = b[:len(a)]
	s := 0.0
	for i, v := range a {
		s += v * b[i]
	}
	return s
}

// axpy adds alpha·x to y.
func axpy(y []float64, alpha float64, x []float64) {
	x = x[:len(y)]
	for i := range y {
		y[i] += alpha * x[i]
	}
}

// gelu returns x·Φ(x). It is written with erfc so that the left tail keeps its
// digits, and its limits are 0 and x.
func gelu(x float64) float64 {
	if math.IsInf(x, -1) {
		return 0
	}
	return x * math.Erfc(-x/math.Sqrt2) / 2
}

// geluSlope returns Φ(x) + x·φ(x), the derivative of gelu.
func geluSlope(x float64) float64 {
	if math.IsInf(x, 0) {
		return math.Erfc(-x/math.Sqrt2) / 2
	}
	return math.Erfc(-x/math.Sqrt2)/2 + x*math.Exp(-x*x/2)/math.Sqrt(2*math.Pi)
}
