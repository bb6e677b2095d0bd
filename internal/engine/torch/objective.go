package torch

import (
	"unsafe"

	"avjepa/internal/engine"
)

type centerArgs struct {
	c, z tensorArg
	g    int64
}

// Center: c = (1/g)·Σ_{v<g} z_v.
func (e *Engine) Center(c, z engine.Tensor, g int) {
	engine.CheckCenter(c, z, g)
	a := &e.args.center
	*a = centerArgs{c: e.arg(c), z: e.arg(z), g: int64(g)}
	e.do("Center", e.lib.center, uintptr(unsafe.Pointer(a)), unsafe.Sizeof(*a))
}

type predictionLossArgs struct {
	loss, dz, z, c tensorArg
	g, sum         int64
	weight         float64
}

// PredictionLoss: see engine.PredictionLossArgs.
func (e *Engine) PredictionLoss(a engine.PredictionLossArgs) {
	a.Check()
	c := &e.args.prediction
	*c = predictionLossArgs{loss: e.arg(a.Loss), dz: e.arg(a.DZ), z: e.arg(a.Z), c: e.arg(a.C),
		g: int64(a.G), sum: flag(a.Sum), weight: a.Weight}
	e.do("PredictionLoss", e.lib.predictionLoss, uintptr(unsafe.Pointer(c)), unsafe.Sizeof(*c))
}

// knotsArg is avj_knots.
type knotsArg struct {
	max         float64
	count, half int64
}

func knotsOf(k engine.Knots) knotsArg { return knotsArg{k.Max, int64(k.Count), flag(k.Half)} }

type ecfArgs struct {
	out, p tensorArg
	knots  knotsArg
}

// ECF: C = (1/B)·Σ_b cos(t·p), S = (1/B)·Σ_b sin(t·p).
func (e *Engine) ECF(a engine.ECFArgs) {
	a.Check()
	c := &e.args.ecf
	*c = ecfArgs{out: e.arg(a.E), p: e.arg(a.P), knots: knotsOf(a.Knots)}
	e.do("ECF", e.lib.ecf, uintptr(unsafe.Pointer(c)), unsafe.Sizeof(*c))
}

type sigregArgs struct {
	loss, de, e tensorArg
	knots       knotsArg
	n, weight   float64
}

// SIGReg: see engine.SIGRegArgs.
func (e *Engine) SIGReg(a engine.SIGRegArgs) {
	a.Check()
	c := &e.args.sigreg
	*c = sigregArgs{loss: e.arg(a.Loss), de: e.arg(a.DE), e: e.arg(a.E), knots: knotsOf(a.Knots),
		n: a.N, weight: a.Weight}
	e.do("SIGReg", e.lib.sigreg, uintptr(unsafe.Pointer(c)), unsafe.Sizeof(*c))
}

type ecfBackwardArgs struct {
	dp, p, de tensorArg
	knots     knotsArg
}

// ECFBackward: dp = (1/B)·Σ_q t·(−sin(t·p)·dC + cos(t·p)·dS).
func (e *Engine) ECFBackward(a engine.ECFBackwardArgs) {
	a.Check()
	c := &e.args.ecfBackward
	*c = ecfBackwardArgs{dp: e.arg(a.DP), p: e.arg(a.P), de: e.arg(a.DE), knots: knotsOf(a.Knots)}
	e.do("ECFBackward", e.lib.ecfBackward, uintptr(unsafe.Pointer(c)), unsafe.Sizeof(*c))
}

type crossEntropyArgs struct {
	loss, dlogits, logits, labels tensorArg
	smoothing, weight             float64
}

// CrossEntropy: see engine.CrossEntropyArgs. A label that is no class makes the loss
// and the row's gradient NaN: it lies in the device's memory, which is not looked at.
func (e *Engine) CrossEntropy(a engine.CrossEntropyArgs) {
	a.Check()
	c := &e.args.crossEntropy
	*c = crossEntropyArgs{loss: e.arg(a.Loss), dlogits: e.arg(a.DLogits), logits: e.arg(a.Logits),
		labels: e.arg(a.Labels), smoothing: a.Smoothing, weight: a.Weight}
	e.do("CrossEntropy", e.lib.crossEntropy, uintptr(unsafe.Pointer(c)), unsafe.Sizeof(*c))
}
