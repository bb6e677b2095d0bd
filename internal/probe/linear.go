package probe

import (
	"fmt"
	"math"

	"avjepa/internal/engine"
	"avjepa/internal/rng"
	"avjepa/internal/tensor"
)

// Config says how a linear probe is fitted.
type Config struct {
	Steps       int     // full-batch steps; cosine from LR to 0
	LR          float64 // peak
	WeightDecay float64
	Smoothing   float64 // of labels
	Seed        uint64
}

// Default fits a thousand features in a second.
func Default() Config { return Config{Steps: 300, LR: 0.05, WeightDecay: 1e-3} }

// Linear is a fitted probe: standardisation by the training features, then one
// linear layer.
type Linear struct {
	classes    int
	mean, rstd []float32 // (D) of the training features
	w, b       []float32 // (classes, D), (classes)
}

// Fit fits a probe on features x (R, D) with labels in [0, classes).
func Fit(e engine.Engine, cfg Config, x tensor.Array, labels []int, classes int) (*Linear, error) {
	r := x.Shape.Dim(0)
	if r != len(labels) || r < 2 || classes < 2 {
		return nil, fmt.Errorf("probe: %d features for %d labels of %d classes; need two of each",
			r, len(labels), classes)
	}
	want := make([]float32, r)
	for i, l := range labels {
		if l < 0 || l >= classes {
			return nil, fmt.Errorf("probe: label %d of row %d is outside 0 to %d", l, i, classes-1)
		}
		want[i] = float32(l)
	}
	p := &Linear{classes: classes}
	p.standardise(x)
	if err := p.train(e, cfg, p.scaled(x), want); err != nil {
		return nil, err
	}
	return p, nil
}

// train sets w and b by full-batch AdamW on standardised features x (R, D) with
// labels (R).
func (p *Linear) train(e engine.Engine, cfg Config, x, labels []float32) error {
	r, d, classes := len(labels), len(p.mean), p.classes
	params := classes * (d + 1)
	arena, err := engine.NewArena(e, engine.F32,
		engine.ArenaSize{F32: r*(d+2*classes+1) + 4*(params+32) + 1024})
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	defer arena.Free()
	xs, labelsT := arena.New(r, d), arena.New(r)
	e.Upload(xs, x)
	e.Upload(labelsT, labels)
	value, grad := arena.New(params), arena.New(params)
	m, v := arena.New(params), arena.New(params)
	start := make([]float32, params)
	rng.New(cfg.Seed, "probe").FillNormal(start[:classes*d], 0.01)
	e.Upload(value, start)
	e.Fill(m, 0)
	e.Fill(v, 0)
	w, b := value.Slice(0, classes*d).Reshape(classes, d), value.Slice(classes*d, params)
	dw, db := grad.Slice(0, classes*d).Reshape(classes, d), grad.Slice(classes*d, params)
	logits, dlogits, loss := arena.New(r, classes), arena.New(r, classes), arena.New(1)
	for step := 0; step < cfg.Steps; step++ {
		e.Linear(engine.LinearArgs{Y: logits, X: xs, W: w, Bias: b})
		e.CrossEntropy(engine.CrossEntropyArgs{Loss: loss, DLogits: dlogits, Logits: logits,
			Labels: labelsT, Smoothing: cfg.Smoothing, Weight: 1})
		e.Fill(grad, 0)
		e.LinearWeight(engine.LinearWeightArgs{DW: dw, DBias: db, DY: dlogits, X: xs})
		lr := cfg.LR * (1 + math.Cos(math.Pi*float64(step)/float64(cfg.Steps))) / 2
		e.AdamW(engine.AdamWArgs{Param: value, Grad: grad, M: m, V: v, LR: lr,
			Beta1: 0.9, Beta2: 0.999, Eps: 1e-8,
			WeightDecay: cfg.WeightDecay, Step: step + 1})
	}
	out := make([]float32, params)
	e.Download(out, value)
	if err := e.Sync(); err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	p.w, p.b = out[:classes*d], out[classes*d:]
	return nil
}

// standardise keeps mean and 1/std of the columns of x. A column that does not
// vary in training has nothing to teach: it is taken as 0 everywhere.
func (p *Linear) standardise(x tensor.Array) {
	r, d := x.Shape.Dim(0), x.Shape.Dim(1)
	p.mean, p.rstd = make([]float32, d), make([]float32, d)
	for j := 0; j < d; j++ {
		var sum, sq float64
		for i := 0; i < r; i++ {
			sum += float64(x.Data[i*d+j])
		}
		mean := sum / float64(r)
		for i := 0; i < r; i++ {
			c := float64(x.Data[i*d+j]) - mean
			sq += c * c
		}
		p.mean[j] = float32(mean)
		if sq/float64(r) > 1e-12*mean*mean { // else constant up to rounding
			p.rstd[j] = float32(1 / math.Sqrt(sq/float64(r)+1e-6))
		}
	}
}

// scaled returns x standardised by the training features.
func (p *Linear) scaled(x tensor.Array) []float32 {
	d := len(p.mean)
	out := make([]float32, len(x.Data))
	for i, v := range x.Data {
		out[i] = (v - p.mean[i%d]) * p.rstd[i%d]
	}
	return out
}

// Scores returns the logits (R, classes) of features x (R, D).
func (p *Linear) Scores(x tensor.Array) []float32 {
	r, d := x.Shape.Dim(0), len(p.mean)
	if x.Shape.Dim(1) != d {
		panic(fmt.Sprintf("probe: features %v for a probe of width %d", x.Shape, d))
	}
	xs := p.scaled(x)
	out := make([]float32, r*p.classes)
	for i := 0; i < r; i++ {
		for c := 0; c < p.classes; c++ {
			sum := p.b[c]
			for j, wj := range p.w[c*d : (c+1)*d] {
				sum += wj * xs[i*d+j]
			}
			out[i*p.classes+c] = sum
		}
	}
	return out
}
