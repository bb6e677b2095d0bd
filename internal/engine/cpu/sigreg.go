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

// SIGReg sets the Epps–Pulley statistic of every view and its gradient. A
// direction is a row of 2Q numbers, C and S by turns, so both are column
// operations: the loss is Σ weight·(e − target)², the target of S being 0.
func (e *Engine) SIGReg(a engine.SIGRegArgs) {
	a.Check()
	views, dirs, q2 := a.E.Dim(0), a.E.Dim(1), 2*a.Knots.Count
	n := parts(dirs, directionsPerPart)
	s := e.floats((4 + views*n) * q2)
	t := &e.sigregTask
	*t = sigregTask{e: vec(a.E), de: vec(a.DE), dirs: dirs, target: s[:q2], weight: s[q2 : 2*q2],
		dweight: s[2*q2 : 3*q2], zeros: s[3*q2 : 4*q2], squares: s[4*q2:]}
	clear(s[:4*q2])
	for i := range q2 {
		w := a.Knots.Weight(i/2) * a.Knots.Target(i/2) * a.N / float64(dirs)
		if i%2 == 0 {
			t.target[i] = float32(a.Knots.Target(i / 2))
		}
		t.weight[i] = float32(w)
		t.dweight[i] = float32(2 * w * a.Weight / float64(views))
	}
	t.sums = e.partials(views * n)
	e.pool.Run(t, views*n)
	for v, loss := 0, vec(a.Loss); v < views; v++ {
		loss[v] = float32(sum(t.sums[v*n : (v+1)*n]))
	}
}

type sigregTask struct {
	e, de                          []float32
	dirs                           int
	target, weight, dweight, zeros []float32 // (2Q): φ and 0, N/M·w·φ, its multiple for de
	squares                        []float32 // (V·parts, 2Q)
	sums                           []float64 // (V, parts)
}

func (t *sigregTask) Run(_, i int) {
	q2 := len(t.target)
	n := parts(t.dirs, directionsPerPart)
	lo, hi := part(i%n, directionsPerPart, t.dirs)
	base := i / n * t.dirs
	squares := t.squares[i*q2:][:q2]
	clear(squares)
	kernel.AddColumnSquares(squares, t.e[(base+lo)*q2:], t.target, hi-lo, q2)
	t.sums[i] = 0
	for c, w := range t.weight {
		t.sums[i] += float64(w) * float64(squares[c])
	}
	if t.de == nil {
		return
	}
	for m := base + lo; m < base+hi; m++ {
		kernel.NormColumnsRow(t.de[m*q2:][:q2], t.e[m*q2:][:q2], t.target, t.dweight, t.zeros)
	}
}
