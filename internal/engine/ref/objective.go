package ref

import (
	"fmt"
	"math"

	"avjepa/internal/engine"
)

// Center: c = (1/g)·Σ_{v<g} z_v.
func (e *Engine) Center(c, z engine.Tensor, g int) {
	engine.CheckCenter(c, z, g)
	views, mean := e.load(z), make([]float64, c.Elems())
	for v := range g {
		axpy(mean, 1/float64(g), views[v*len(mean):])
	}
	e.store(c, mean)
}

// PredictionLoss: loss = s·Σ_{v,b,k} (c − z_v)² with s = 1/(V·B·K), or 1/(V·B)
// with Sum. As c is the mean of the first G views, with r_v = c − z_v
//
//	dz_u = 2s·(−r_u + [u < G]·(1/G)·Σ_v r_v)
func (e *Engine) PredictionLoss(a engine.PredictionLossArgs) {
	a.Check()
	z, c := e.load(a.Z), e.load(a.C)
	views, n := a.Z.Dim(0), a.C.Elems()
	s := 1 / float64(a.Z.Rows())
	if !a.Sum {
		s /= float64(a.Z.Cols())
	}
	loss, total := 0.0, make([]float64, n) // total = Σ_v r_v
	for v := range views {
		for i := range n {
			r := c[i] - z[v*n+i]
			loss += s * r * r
			total[i] += r
		}
	}
	e.store(a.Loss, []float64{loss})
	dz := make([]float64, views*n)
	for v := range views {
		for i := range n {
			g := z[v*n+i] - c[i]
			if v < a.G {
				g += total[i] / float64(a.G)
			}
			dz[v*n+i] = a.Weight * 2 * s * g
		}
	}
	e.add(a.DZ, dz)
}

// ECF: C = (1/B)·Σ_b cos(t·p), S = (1/B)·Σ_b sin(t·p).
func (e *Engine) ECF(a engine.ECFArgs) {
	a.Check()
	p, out := e.load(a.P), make([]float64, a.E.Elems())
	views, rows, dirs, knots := a.P.Dim(0), a.P.Dim(1), a.P.Dim(2), a.Knots.Count
	for v := range views {
		for b := range rows {
			for m := range dirs {
				x := p[(v*rows+b)*dirs+m]
				for q := range knots {
					sin, cos := math.Sincos(a.Knots.At(q) * x)
					at := ((v*dirs+m)*knots + q) * 2
					out[at] += cos / float64(rows)
					out[at+1] += sin / float64(rows)
				}
			}
		}
	}
	e.store(a.E, out)
}

// ECFBackward: dp = (1/B)·Σ_q t·(−sin(t·p)·dC + cos(t·p)·dS).
func (e *Engine) ECFBackward(a engine.ECFBackwardArgs) {
	a.Check()
	p, de, dp := e.load(a.P), e.load(a.DE), make([]float64, a.P.Elems())
	rows, dirs, knots := a.P.Dim(1), a.P.Dim(2), a.Knots.Count
	for i, x := range p { // i counts (v, b, m)
		v, m := i/(rows*dirs), i%dirs
		for q := range knots {
			t := a.Knots.At(q)
			sin, cos := math.Sincos(t * x)
			at := ((v*dirs+m)*knots + q) * 2
			dp[i] += t * (cos*de[at+1] - sin*de[at]) / float64(rows)
		}
	}
	e.store(a.DP, dp)
}

// SIGReg: loss_v = (N/M)·Σ_{m,q} w·φ·((C − φ)² + S²), w the trapezoid weight of
// the knot; dC = Weight·(N/(V·M))·w·φ·2(C − φ), dS likewise with 2S.
func (e *Engine) SIGReg(a engine.SIGRegArgs) {
	a.Check()
	ecf, de := e.load(a.E), make([]float64, a.E.Elems())
	views, dirs, knots := a.E.Dim(0), a.E.Dim(1), a.Knots.Count
	loss := make([]float64, views)
	for i := range len(ecf) / 2 { // i counts (v, m, q)
		v, q := i/(dirs*knots), i%knots
		phi := a.Knots.Target(q)
		w := a.N / float64(dirs) * a.Knots.Weight(q) * phi
		c, s := ecf[2*i]-phi, ecf[2*i+1]
		loss[v] += w * (c*c + s*s)
		de[2*i] = a.Weight / float64(views) * w * 2 * c
		de[2*i+1] = a.Weight / float64(views) * w * 2 * s
	}
	e.store(a.Loss, loss)
	e.store(a.DE, de)
}

// CrossEntropy: with the target t = (1−ε)·onehot + ε/C,
// loss = −(1/R)·Σ t·log p, dlogits = Weight·(p − t)/R.
func (e *Engine) CrossEntropy(a engine.CrossEntropyArgs) {
	a.Check()
	logits, labels := e.load(a.Logits), e.load(a.Labels)
	rows, c := a.Logits.Rows(), a.Logits.Cols()
	loss, d := 0.0, make([]float64, len(logits))
	for r := range rows {
		row := logits[r*c : (r+1)*c]
		if !(labels[r] >= 0 && int(labels[r]) < c) {
			panic(fmt.Sprintf("ref: CrossEntropy: label %v of row %d, %d classes", labels[r], r, c))
		}
		lse := logSumExp(row)
		for j, x := range row {
			target := a.Smoothing / float64(c)
			if j == int(labels[r]) {
				target += 1 - a.Smoothing
			}
			if target != 0 {
				loss -= target * (x - lse) / float64(rows)
			}
			d[r*c+j] = a.Weight * (math.Exp(x-lse) - target) / float64(rows)
		}
	}
	e.store(a.Loss, []float64{loss})
	e.store(a.DLogits, d)
}
