package ref

import (
	"math"

	"avjepa/internal/engine"
)

// LayerNorm: y = (x − mean)·rstd·gain + bias, rstd = 1/√(var + eps), by rows.
func (e *Engine) LayerNorm(a engine.LayerNormArgs) {
	a.Check()
	x, gain, bias := e.load(a.X), e.load(a.Gain), e.load(a.Bias)
	rows, d := a.X.Rows(), a.X.Cols()
	y, mean, rstd := make([]float64, rows*d), make([]float64, rows), make([]float64, rows)
	for r := range rows {
		row := x[r*d : (r+1)*d]
		for _, v := range row {
			mean[r] += v / float64(d)
		}
		variance := 0.0
		for _, v := range row {
			variance += (v - mean[r]) * (v - mean[r]) / float64(d)
		}
		rstd[r] = 1 / math.Sqrt(variance+a.Eps)
		for j, v := range row {
			y[r*d+j] = (v-mean[r])*rstd[r]*gain[j] + bias[j]
		}
	}
	e.store(a.Y, y)
	e.store(a.Mean, mean)
	e.store(a.RStd, rstd)
}

// LayerNormBackward: with x̂ = (x − mean)·rstd and g = dy·gain,
// dx = rstd·(g − mean(g) − x̂·mean(g·x̂)), dGain += Σ_r dy·x̂, dBias += Σ_r dy.
func (e *Engine) LayerNormBackward(a engine.LayerNormBackwardArgs) {
	a.Check()
	dy, x, gain := e.load(a.DY), e.load(a.X), e.load(a.Gain)
	mean, rstd := e.load(a.Mean), e.load(a.RStd)
	rows, d := a.X.Rows(), a.X.Cols()
	dx, dgain, dbias := make([]float64, rows*d), make([]float64, d), make([]float64, d)
	for r := range rows {
		meanG, meanGX := 0.0, 0.0
		for j := range d {
			xhat, g := (x[r*d+j]-mean[r])*rstd[r], dy[r*d+j]*gain[j]
			meanG += g / float64(d)
			meanGX += g * xhat / float64(d)
			dgain[j] += dy[r*d+j] * xhat
			dbias[j] += dy[r*d+j]
		}
		for j := range d {
			xhat, g := (x[r*d+j]-mean[r])*rstd[r], dy[r*d+j]*gain[j]
			dx[r*d+j] = rstd[r] * (g - meanG - xhat*meanGX)
		}
	}
	e.put(a.DX, dx, a.Mode)
	e.add(a.DGain, dgain)
	e.add(a.DBias, dbias)
}

// BatchNorm: y = (x − mean)·rstd·gain + bias by columns, then GELU if asked. In
// training the moments are the batch's, and
// run = (1 − Momentum)·run + Momentum·batch, with the unbiased variance.
func (e *Engine) BatchNorm(a engine.BatchNormArgs) {
	a.Check()
	x, gain, bias := e.load(a.X), e.load(a.Gain), e.load(a.Bias)
	runMean, runVar := e.load(a.RunMean), e.load(a.RunVar)
	rows, c := a.X.Rows(), a.X.Cols()
	mean, variance := runMean, runVar
	if a.Train {
		mean, variance = columnMoments(x, rows, c)
	}
	if a.Train && a.Group != nil {
		mean, variance = e.groupMoments(a, x, mean)
		rows *= a.Group.Size()
	}
	rstd := make([]float64, c)
	for j := range c {
		rstd[j] = 1 / math.Sqrt(variance[j]+a.Eps)
	}
	if a.Train {
		unbiased := float64(rows) / float64(rows-1)
		for j := range c {
			runMean[j] = (1-a.Momentum)*runMean[j] + a.Momentum*mean[j]
			runVar[j] = (1-a.Momentum)*runVar[j] + a.Momentum*variance[j]*unbiased
		}
		e.store(a.RunMean, runMean)
		e.store(a.RunVar, runVar)
		e.store(a.Mean, mean)
		e.store(a.RStd, rstd)
	}
	pre, y := make([]float64, len(x)), make([]float64, len(x))
	for i, v := range x {
		j := i % c
		pre[i] = (v-mean[j])*rstd[j]*gain[j] + bias[j]
		y[i] = pre[i]
		if a.GELU {
			y[i] = gelu(pre[i])
		}
	}
	e.store(a.Pre, pre)
	e.store(a.Y, y)
}

// groupMoments returns mean and biased variance of the columns over all processes
// of the group, from the values and the means of this one.
func (e *Engine) groupMoments(a engine.BatchNormArgs, x, mine []float64) (mean, variance []float64) {
	e.store(a.Mean, mine)
	a.Group.Average(a.Mean)
	a.Group.Wait()
	mean = e.load(a.Mean)
	rows, c := a.X.Rows(), a.X.Cols()
	variance = make([]float64, c)
	for i, v := range x {
		variance[i%c] += (v - mean[i%c]) * (v - mean[i%c]) / float64(rows)
	}
	e.store(a.RStd, variance)
	a.Group.Average(a.RStd)
	a.Group.Wait()
	return mean, e.load(a.RStd)
}

// BatchNormBackward: with x̂ = (x − mean)·rstd,
// dx = gain·rstd·(dy − mean(dy) − x̂·mean(dy·x̂)), dGain += Σ dy·x̂, dBias += Σ dy.
func (e *Engine) BatchNormBackward(a engine.BatchNormBackwardArgs) {
	a.Check()
	dy, x, gain := e.load(a.DY), e.load(a.X), e.load(a.Gain)
	mean, rstd := e.load(a.Mean), e.load(a.RStd)
	rows, c := float64(a.X.Rows()), a.X.Cols()
	dx, dgain, dbias := make([]float64, len(x)), make([]float64, c), make([]float64, c)
	for i := range x {
		j := i % c
		dgain[j] += dy[i] * (x[i] - mean[j]) * rstd[j]
		dbias[j] += dy[i]
	}
	means := make([]float64, 2*c) // of dy, and of dy·x̂
	for j := range c {
		means[j], means[c+j] = dbias[j]/rows, dgain[j]/rows
	}
	if a.Group != nil {
		e.store(a.Means, means)
		a.Group.Average(a.Means)
		a.Group.Wait()
		means = e.load(a.Means)
	}
	for i := range x {
		j := i % c
		xhat := (x[i] - mean[j]) * rstd[j]
		dx[i] = gain[j] * rstd[j] * (dy[i] - means[j] - xhat*means[c+j])
	}
	e.store(a.DX, dx)
	e.add(a.DGain, dgain)
	e.add(a.DBias, dbias)
}
