package cpu

import (
	"avjepa/internal/engine"
	"avjepa/internal/kernel"
)

// directionsPerPart is the number of directions in a part of ECF and SIGReg.
const directionsPerPart = 64

// ECF sets the empirical characteristic function of every direction.
func (e *Engine) ECF(a engine.ECFArgs) {
	a.Check()
	e.runECF(a.P, a.E, engine.Tensor{}, a.Knots)
}

// ECFBackward sets dp from the gradient of the characteristic functions.
func (e *Engine) ECFBackward(a engine.ECFBackwardArgs) {
	a.Check()
	e.runECF(a.P, a.DE, a.DP, a.Knots)
}

func (e *Engine) runECF(p, ecf, dp engine.Tensor, k engine.Knots) {
	t := &e.ecfTask
	*t = ecfTask{plan: kernel.NewECF(k.Max, k.Count, k.Half), p: vec(p), e: vec(ecf), dp: vec(dp),
		rows: p.Dim(1), dirs: p.Dim(2), knots: k.Count}
	e.pool.Run(t, p.Dim(0)*parts(t.dirs, directionsPerPart))
}

type ecfTask struct {
	plan              kernel.ECF
	p, e, dp          []float32 // with dp backward, else forward
	rows, dirs, knots int
}

func (t *ecfTask) Run(_, i int) {
	n := parts(t.dirs, directionsPerPart)
	v := i / n
	lo, hi := part(i%n, directionsPerPart, t.dirs)
	e := t.e[(v*t.dirs+lo)*t.knots*2:]
	at := v*t.rows*t.dirs + lo
	if t.dp != nil {
		t.plan.Backward(t.dp[at:], e, t.p[at:], t.rows, hi-lo, t.dirs)
		return
	}
	t.plan.Forward(e, t.p[at:], t.rows, hi-lo, t.dirs)
}

// SIGReg sets the Epps–Pulley statistic of every view and its gradient.
func (e *Engine) SIGReg(a engine.SIGRegArgs) {
	a.Check()
	views, dirs, q := a.E.Dim(0), a.E.Dim(1), a.Knots.Count
	s := e.floats(3 * q)
	t := &e.sigregTask
	*t = sigregTask{e: vec(a.E), de: vec(a.DE), dirs: dirs, target: s[:q], weight: s[q : 2*q],
		dweight: s[2*q:]}
	for i := range q {
		w := a.Knots.Weight(i) * a.Knots.Target(i) * a.N / float64(dirs)
		t.target[i] = float32(a.Knots.Target(i))
		t.weight[i] = float32(w)
		t.dweight[i] = float32(2 * w * a.Weight / float64(views))
	}
	n := parts(dirs, directionsPerPart)
	t.sums = e.partials(views * n)
	e.pool.Run(t, views*n)
	for v, loss := 0, vec(a.Loss); v < views; v++ {
		loss[v] = float32(sum(t.sums[v*n : (v+1)*n]))
	}
}

type sigregTask struct {
	e, de                   []float32
	dirs                    int
	target, weight, dweight []float32 // (Q): φ, N/M·w·φ, and its multiple for de
	sums                    []float64 // (V, parts)
}

func (t *sigregTask) Run(_, i int) {
	q2 := 2 * len(t.target)
	n := parts(t.dirs, directionsPerPart)
	lo, hi := part(i%n, directionsPerPart, t.dirs)
	base := i / n * t.dirs
	var total float64
	for m := base + lo; m < base+hi; m++ {
		e := t.e[m*q2:][:q2]
		var s float32
		for q, w := range t.weight {
			c, sn := e[2*q]-t.target[q], e[2*q+1]
			s += w * (c*c + sn*sn)
		}
		total += float64(s)
		if t.de == nil {
			continue
		}
		de := t.de[m*q2:][:q2]
		for q, w := range t.dweight {
			de[2*q], de[2*q+1] = w*(e[2*q]-t.target[q]), w*e[2*q+1]
		}
	}
	t.sums[i] = total
}
