package cpu

import (
	"fmt"
	"math"

	"avjepa/internal/engine"
	"avjepa/internal/kernel"
)

// Center sets c to the mean of the first g views of z.
func (e *Engine) Center(c, z engine.Tensor, g int) {
	engine.CheckCenter(c, z, g)
	t := &e.centerTask
	*t = centerTask{c: vec(c), z: vec(z), g: g}
	e.pool.Run(t, parts(len(t.c), blockElems))
}

type centerTask struct {
	c, z []float32
	g    int
}

func (t *centerTask) Run(_, i int) {
	lo, hi := part(i, blockElems, len(t.c))
	copy(t.c[lo:hi], t.z[lo:hi])
	for v := 1; v < t.g; v++ {
		kernel.Axpy(t.c[lo:hi], t.z[v*len(t.c)+lo:v*len(t.c)+hi], 1)
	}
	kernel.ScaleRow(t.c[lo:hi], 1/float32(t.g))
}

// PredictionLoss sets the mean squared distance of z from the center and adds
// its gradient to dz. A part is one clip.
func (e *Engine) PredictionLoss(a engine.PredictionLossArgs) {
	a.Check()
	v, b, k := a.Z.Dim(0), a.Z.Dim(1), a.Z.Dim(2)
	n := float64(v * b)
	if !a.Sum {
		n *= float64(k)
	}
	t := &e.predictionTask
	work := e.floats((3 + 2*b) * k)
	*t = predictionTask{z: mat(a.Z), c: mat(a.C), dz: mat(a.DZ), views: v, clips: b, g: a.G,
		share: -1 / float32(a.G), sums: e.partials(b), zeros: work[:k], ones: work[k : 2*k],
		scale: work[2*k : 3*k], work: work[3*k:]}
	clear(t.zeros)
	fill(t.ones, 1)
	fill(t.scale, float32(2*a.Weight/n))
	e.pool.Run(t, b)
	vec(a.Loss)[0] = float32(sum(t.sums) / n)
}

type predictionTask struct {
	z, c, dz           matrix
	views, clips, g    int
	share              float32   // −1/G
	sums               []float64 // (B): squared distances
	zeros, ones, scale []float32 // (K) each; scale 2·weight/n
	work               []float32 // (B, 2, K)
}

// Run adds for clip i, with n the divisor of the mean,
//
//	dz_v += 2·weight/n · [z_v − c − (v < G)·Σ_u(z_u − c)/G]
func (t *predictionTask) Run(_, i int) {
	c := t.c.row(i)
	k := len(c)
	away, d := t.work[2*i*k:][:k], t.work[(2*i+1)*k:][:k] // Σ_u (z_u − c); one z_v − c
	clear(away)
	t.sums[i] = 0
	for v := range t.views {
		kernel.NormColumnsRow(d, t.z.row(v*t.clips+i), c, t.ones, t.zeros)
		kernel.Axpy(away, d, 1)
		t.sums[i] += kernel.SumSquares(d)
	}
	if t.dz.data == nil {
		return
	}
	// From here on away is scale·share·Σ_u (z_u − c).
	kernel.NormColumnsRow(away, away, t.zeros, t.scale, t.zeros)
	kernel.ScaleRow(away, t.share)
	for v := range t.views {
		shift := away
		if v >= t.g {
			shift = t.zeros
		}
		kernel.NormColumnsRow(d, t.z.row(v*t.clips+i), c, t.scale, shift)
		kernel.Axpy(t.dz.row(v*t.clips+i), d, 1)
	}
}

// CrossEntropy sets the mean loss over rows and its gradient. It panics when a
// label is no class.
func (e *Engine) CrossEntropy(a engine.CrossEntropyArgs) {
	a.Check()
	t := &e.crossEntropyTask
	*t = crossEntropyTask{logits: mat(a.Logits), dlogits: mat(a.DLogits), labels: vec(a.Labels),
		smoothing: a.Smoothing, scale: a.Weight / float64(a.Logits.Rows())}
	rows, classes := t.logits.rows, t.logits.cols
	n := parts(rows, rowsPerPart(classes))
	t.sums = e.partials(n)
	t.work = e.floats(n * classes)
	e.pool.Run(t, n)
	vec(a.Loss)[0] = float32(sum(t.sums) / float64(rows))
}

type crossEntropyTask struct {
	logits, dlogits  matrix
	labels           []float32
	smoothing, scale float64
	sums             []float64 // (parts)
	work             []float32 // (parts, classes)
}

func (t *crossEntropyTask) Run(_, i int) {
	lo, hi := part(i, rowsPerPart(t.logits.cols), t.logits.rows)
	var total float64
	for r := lo; r < hi; r++ {
		p := t.work[i*t.logits.cols:][:t.logits.cols]
		if t.dlogits.data != nil {
			p = t.dlogits.row(r)
		}
		total += t.row(p, t.logits.row(r), t.labels[r])
	}
	t.sums[i] = total
}

// row returns the loss of one row and leaves its gradient in p.
func (t *crossEntropyTask) row(p, x []float32, label float32) float64 {
	if !(label >= 0 && label < float32(len(x))) {
		panic(fmt.Sprintf("cpu: CrossEntropy: label %v with %d classes", label, len(x)))
	}
	top, total := x[0], 0.0
	for _, v := range x {
		top = max(top, v)
		total += float64(v)
	}
	y := int(label)
	classes := float64(len(x))
	terms := softmaxTerms(p, x, top)
	lse := float64(top) + math.Log(terms)
	loss := (1-t.smoothing)*(lse-float64(x[y])) + t.smoothing*(lse-total/classes)
	norm, floor := float32(t.scale/terms), float32(t.scale*t.smoothing/classes)
	for c := range p {
		p[c] = p[c]*norm - floor
	}
	p[y] -= float32(t.scale * (1 - t.smoothing))
	return loss
}

// softmaxTerms sets y = exp(x − top) and returns the sum of it. y may be x.
func softmaxTerms(y, x []float32, top float32) float64 {
	for j, v := range x {
		y[j] = v - top
	}
	kernel.ExpRow(y, y)
	var s float64
	for _, v := range y {
		s += float64(v)
	}
	return s
}
