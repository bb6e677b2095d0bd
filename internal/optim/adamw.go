// Package optim steps parameters: AdamW over the blocks of nn.Params, on the
// device, with weight decay groups, clipping by the global norm and the
// learning-rate schedule.
//
//	opt, err := optim.New(e, params, optim.Default())
//	opt.Step(schedule.At(step), engine.Tensor{})
package optim

import (
	"errors"
	"fmt"

	"avjepa/internal/engine"
	"avjepa/internal/nn"
	"avjepa/internal/tensor"
)

// Decay says which parameters weight decay pulls on.
type Decay string

const (
	DecayAll     Decay = "all"     // every parameter, as in the published code
	DecayWeights Decay = "weights" // none on biases, norms, positions, CLS, types
)

// Config describes an optimiser.
type Config struct {
	Beta1, Beta2, Eps float64
	WeightDecay       float64
	Decay             Decay
	Clip              float64 // bound on the gradient's norm; 0 for none
}

// Default returns the paper's optimiser for pretraining.
func Default() Config {
	return Config{Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 0.05,
		Decay: DecayAll, Clip: 5}
}

// Validate returns every fault of the configuration, joined.
func (c Config) Validate() error {
	var errs []error
	for _, b := range [2]float64{c.Beta1, c.Beta2} {
		if !(b >= 0 && b < 1) {
			errs = append(errs, fmt.Errorf("optim: beta %g is not in [0, 1)", b))
		}
	}
	if !(c.Eps > 0) {
		errs = append(errs, fmt.Errorf("optim: eps %g must be above 0", c.Eps))
	}
	if !(c.WeightDecay >= 0) {
		errs = append(errs, fmt.Errorf("optim: weight decay %g must not be negative", c.WeightDecay))
	}
	if !(c.Clip >= 0) {
		errs = append(errs, fmt.Errorf("optim: clip norm %g must not be negative", c.Clip))
	}
	if c.Decay != DecayAll && c.Decay != DecayWeights {
		errs = append(errs, fmt.Errorf("optim: decay %q is neither %q nor %q",
			c.Decay, DecayAll, DecayWeights))
	}
	return errors.Join(errs...)
}

// AdamW holds the moments of a register of parameters.
type AdamW struct {
	Config
	Taken int // steps taken

	engine engine.Engine
	params *nn.Params
	m, v   engine.Tensor // like params.Values
	square engine.Tensor // (1) of the gradient's norm
	scale  engine.Tensor // (1)
}

// New allocates the moments of built parameters, zero.
func New(e engine.Engine, params *nn.Params, cfg Config) (*AdamW, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	o := &AdamW{Config: cfg, engine: e, params: params}
	for _, t := range []struct {
		to *engine.Tensor
		n  int
	}{{&o.m, params.Values.Elems()}, {&o.v, params.Values.Elems()}, {&o.square, 1}, {&o.scale, 1}} {
		buf, err := e.NewBuffer(engine.F32, t.n)
		if err != nil {
			return nil, fmt.Errorf("optim: moments: %w", err)
		}
		*t.to = engine.NewTensor(buf, 0, tensor.Of(t.n))
	}
	return o, nil
}

// Step clips the gradients and takes one step. square (1) is the squared norm
// to clip by, perhaps of more gradients than these; when it is nil, that of the
// parameters' own gradients is computed. The gradients are left as they were.
func (o *AdamW) Step(lr float64, square engine.Tensor) {
	if square.Nil() {
		square = o.square
		o.engine.SquaredNorm(square, o.params.Grads)
	}
	o.engine.ClipScale(o.scale, square, o.Clip)
	o.Taken++
	n, spared := o.params.Decayed, o.WeightDecay
	if o.Decay == DecayWeights {
		spared = 0
	}
	o.update(0, n, lr, o.WeightDecay)
	o.update(n, o.m.Elems(), lr, spared)
}

func (o *AdamW) update(lo, hi int, lr, decay float64) {
	if lo == hi {
		return
	}
	o.engine.AdamW(engine.AdamWArgs{
		Param: o.params.Values.Slice(lo, hi), Grad: o.params.Grads.Slice(lo, hi),
		M: o.m.Slice(lo, hi), V: o.v.Slice(lo, hi), Scale: o.scale, LR: lr,
		Beta1: o.Beta1, Beta2: o.Beta2, Eps: o.Eps, WeightDecay: decay, Step: o.Taken})
}

// Names of the moments in a checkpoint, before a parameter's name.
const (
	prefixM = "adamw.m."
	prefixV = "adamw.v."
)

// Stored returns both moments. Taken is the caller's to save.
func (o *AdamW) Stored() []nn.Stored {
	return append(o.params.StoredBlock(o.m, prefixM), o.params.StoredBlock(o.v, prefixV)...)
}

// Broadcast replaces both moments by process 0's. Taken is the caller's to send.
func (o *AdamW) Broadcast(g engine.Group) {
	g.Broadcast(o.m)
	g.Broadcast(o.v)
}

// Fits returns an error that lists every moment that is not there in the shape of
// its parameter.
func (o *AdamW) Fits(arrays map[string]tensor.Array) error {
	return errors.Join(o.params.Fits(prefixM, arrays), o.params.Fits(prefixV, arrays))
}

// Import sets both moments, and the number of steps taken. On an error, that of
// Fits, nothing is changed.
func (o *AdamW) Import(arrays map[string]tensor.Array, taken int) error {
	if err := o.Fits(arrays); err != nil {
		return err
	}
	if err := o.params.ImportBlock(o.m, prefixM, arrays); err != nil {
		return err
	}
	if err := o.params.ImportBlock(o.v, prefixV, arrays); err != nil {
		return err
	}
	o.Taken = taken
	return nil
}
