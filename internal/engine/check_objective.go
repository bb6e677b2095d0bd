package engine

import "avjepa/internal/tensor"

// CheckCenter panics unless c is (B, K), z is (V, B, K) and 1 ≤ g ≤ V.
func CheckCenter(c, z Tensor, g int) {
	op("Center").center(c, z, g)
	op("Center").apart("c", c, "z", z)
}

func (o op) center(c, z Tensor, g int) {
	o.float32s("C", c)
	o.float32s("Z", z)
	o.rank("Z", z, 3)
	o.agree(c.Rows(), z.Dim(1), "C", c, "Z", z, "clips")
	o.agree(c.Cols(), z.Dim(2), "C", c, "Z", z, "widths")
	if g < 1 || g > z.Dim(0) {
		o.fail("Z is %v: the center cannot be the mean of %d views", z.shape, g)
	}
}

// Check panics unless the operands fit.
func (a PredictionLossArgs) Check() {
	o := op("PredictionLoss")
	o.center(a.C, a.Z, a.G)
	o.scalar("Loss", a.Loss)
	if !a.DZ.Nil() {
		o.float32s("DZ", a.DZ)
		o.sameShape("DZ", a.DZ, "Z", a.Z)
	}
	o.apart("Loss", a.Loss, "DZ", a.DZ)
	for _, out := range [...]Tensor{a.Loss, a.DZ} {
		o.apart("output", out, "Z", a.Z)
		o.apart("output", out, "C", a.C)
	}
}

// knots requires two knots or more on an interval of positive length.
func (o op) knots(k Knots) {
	if k.Count < 2 || !(k.Max > 0) {
		o.fail("%d knots up to %v: want two or more on a positive interval", k.Count, k.Max)
	}
}

// ecf requires p (V, B, M) and e (V, M, Q, 2).
func (o op) ecf(p, e Tensor, k Knots) {
	o.float32s("P", p)
	o.float32s("E", e)
	o.rank("P", p, 3)
	if e.shape != tensor.Of(p.Dim(0), p.Dim(2), k.Count, 2) {
		o.fail("P is %v but E is %v with %d knots", p.shape, e.shape, k.Count)
	}
	o.knots(k)
}

// Check panics unless the operands fit.
func (a ECFArgs) Check() {
	o := op("ECF")
	o.ecf(a.P, a.E, a.Knots)
	o.apart("E", a.E, "P", a.P)
}

// Check panics unless the operands fit.
func (a ECFBackwardArgs) Check() {
	o := op("ECFBackward")
	o.ecf(a.P, a.DE, a.Knots)
	o.float32s("DP", a.DP)
	o.sameShape("DP", a.DP, "P", a.P)
	o.apart("DP", a.DP, "P", a.P)
	o.apart("DP", a.DP, "DE", a.DE)
}

// Check panics unless the operands fit.
func (a SIGRegArgs) Check() {
	o := op("SIGReg")
	o.float32s("E", a.E)
	o.rank("E", a.E, 4)
	o.knots(a.Knots)
	if a.E.Dim(2) != a.Knots.Count || a.E.Dim(3) != 2 {
		o.fail("E is %v, want V×M×%d×2", a.E.shape, a.Knots.Count)
	}
	o.float32s("Loss", a.Loss)
	o.vector("Loss", a.Loss, a.E.Dim(0), "E", a.E)
	if !a.DE.Nil() {
		o.float32s("DE", a.DE)
		o.sameShape("DE", a.DE, "E", a.E)
	}
	o.apart("Loss", a.Loss, "E", a.E)
	o.apart("Loss", a.Loss, "DE", a.DE)
	o.apart("DE", a.DE, "E", a.E)
}

// Check panics unless the operands fit. Labels are not looked at: they lie in
// the engine's memory.
func (a CrossEntropyArgs) Check() {
	o := op("CrossEntropy")
	o.scalar("Loss", a.Loss)
	o.float32s("Logits", a.Logits)
	o.float32s("Labels", a.Labels)
	o.vector("Labels", a.Labels, a.Logits.Rows(), "Logits", a.Logits)
	if !a.DLogits.Nil() {
		o.float32s("DLogits", a.DLogits)
		o.alike("DLogits", a.DLogits, "Logits", a.Logits)
	}
	if !(a.Smoothing >= 0 && a.Smoothing <= 1) {
		o.fail("Smoothing is %v, want a share in [0, 1]", a.Smoothing)
	}
	o.apart("Loss", a.Loss, "DLogits", a.DLogits)
	for _, out := range [...]Tensor{a.Loss, a.DLogits} {
		o.apart("output", out, "Logits", a.Logits)
		o.apart("output", out, "Labels", a.Labels)
	}
}

// CheckSquaredNorm panics unless out has one element.
func CheckSquaredNorm(out, x Tensor) {
	o := op("SquaredNorm")
	o.scalar("out", out)
	o.float32s("x", x)
	o.apart("out", out, "x", x)
}

// CheckClipScale panics unless both have one element and lie apart.
func CheckClipScale(scale, sq Tensor) {
	o := op("ClipScale")
	o.scalar("scale", scale)
	o.scalar("sq", sq)
	o.apart("scale", scale, "sq", sq)
}

// Check panics unless the operands fit.
func (a AdamWArgs) Check() {
	o := op("AdamW")
	n := a.Param.Elems()
	o.float32s("Param", a.Param)
	o.float32s("Grad", a.Grad)
	o.float32s("M", a.M)
	o.float32s("V", a.V)
	o.vector("Grad", a.Grad, n, "Param", a.Param)
	o.vector("M", a.M, n, "Param", a.Param)
	o.vector("V", a.V, n, "Param", a.Param)
	if !a.Scale.Nil() {
		o.scalar("Scale", a.Scale)
	}
	o.atLeast("Step", float64(a.Step), 1)
	o.apart("Param", a.Param, "M", a.M)
	o.apart("Param", a.Param, "V", a.V)
	o.apart("M", a.M, "V", a.V)
	for _, out := range [...]Tensor{a.Param, a.M, a.V} {
		o.apart("output", out, "Grad", a.Grad)
		o.apart("output", out, "Scale", a.Scale)
	}
}
