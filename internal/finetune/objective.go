package finetune

import (
	"fmt"
	"math"
)

// Objective is the loss of a head. It is computed on the host: logits are few, and so
// targets may be anything that mixup makes of them, the same on every engine.
type Objective struct {
	// Multi is binary cross-entropy, the mean over classes: a clip may have any number
	// of them. Else it is cross-entropy: targets of a row sum to 1.
	Multi bool

	Smoothing float64   // of the targets of a cross-entropy, towards 1/C
	PosWeight []float32 // (C) factors of positives in a binary cross-entropy; nil for 1
}

// Loss returns the mean loss of rows, and sets the gradient of scale times their sum.
//
//	dlogits  (R, C)  set; may be logits; nil for the loss alone
//	logits   (R, C)
//	targets  (R, C)  shares in [0, 1]
//
// Cross-entropy is −Σ_c q_c·log p_c, q = (1−ε)·target + ε/C; its gradient p − q. Binary
// cross-entropy is −mean_c [w·y·log σ(x) + (1−y)·log(1−σ(x))].
func (o *Objective) Loss(dlogits, logits, targets []float32, classes int, scale float64) float64 {
	if len(logits) != len(targets) || len(logits)%classes != 0 ||
		dlogits != nil && len(dlogits) != len(logits) {
		panic(fmt.Sprintf("finetune: %d logits, %d targets, %d gradients of %d classes",
			len(logits), len(targets), len(dlogits), classes))
	}
	rows, sum := len(logits)/classes, 0.0
	for r := range rows {
		at := r * classes
		var d []float32
		if dlogits != nil {
			d = dlogits[at : at+classes]
		}
		if o.Multi {
			sum += o.binary(d, logits[at:at+classes], targets[at:at+classes], scale)
		} else {
			sum += o.softmax(d, logits[at:at+classes], targets[at:at+classes], scale)
		}
	}
	return sum / float64(rows)
}

// softmax is Loss of one row, as a cross-entropy.
func (o *Objective) softmax(d, x, y []float32, scale float64) float64 {
	top := math.Inf(-1)
	for _, v := range x {
		top = max(top, float64(v)) // NaN stays
	}
	total := 0.0
	for _, v := range x {
		total += math.Exp(float64(v) - top)
	}
	lse, share := top+math.Log(total), o.Smoothing/float64(len(x))
	loss := 0.0
	for i, v := range x {
		q := (1-o.Smoothing)*float64(y[i]) + share
		logp := float64(v) - lse
		if q != 0 {
			loss -= q * logp
		}
		if d != nil {
			d[i] = float32(scale * (math.Exp(logp) - q))
		}
	}
	return loss
}

// binary is Loss of one row, as a binary cross-entropy.
func (o *Objective) binary(d, x, y []float32, scale float64) float64 {
	loss, n := 0.0, float64(len(x))
	for i, v := range x {
		w, t, z := 1.0, float64(y[i]), float64(v)
		if o.PosWeight != nil {
			w = float64(o.PosWeight[i])
		}
		// log(1+e^−|z|) is of both logarithms the part that does not overflow.
		tail := math.Log1p(math.Exp(-math.Abs(z)))
		loss += w*t*(tail+max(-z, 0)) + (1-t)*(tail+max(z, 0))
		if d != nil {
			p := 1 / (1 + math.Exp(-z))
			d[i] = float32(scale * (p*(1-t) - w*t*(1-p)) / n)
		}
	}
	return loss / n
}

// PosWeights returns negatives over positives of every class, from the number of clips
// that have it: (n − p)/p, and n for a class that no clip has.
//
// Source: the published code's fine-tuning on AudioSet.
func PosWeights(positives []int, clips int) []float32 {
	w := make([]float32, len(positives))
	for c, p := range positives {
		w[c] = float32(clips-p) / float32(max(p, 1))
	}
	return w
}
