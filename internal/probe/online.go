package probe

import (
	"errors"
	"fmt"

	"avjepa/internal/engine"
	"avjepa/internal/jepa"
	"avjepa/internal/nn"
	"avjepa/internal/optim"
	"avjepa/internal/tensor"
)

// OnlineConfig describes the probes that are trained beside an encoder, on
// detached features.
type OnlineConfig struct {
	Classes   int
	Attentive bool // with an attentive head; the model must keep its tokens

	// MultiLabel is for clips that have any number of classes each: the loss is then
	// the binary cross-entropy, mean over clips and classes, without smoothing.
	MultiLabel bool

	// Unimodal trains the linear head further on the CLS of the audio-only locals
	// and of the video-only locals, half a cross-entropy each.
	Unimodal bool

	LinearSmoothing    float64 // of labels, also for Unimodal
	AttentiveSmoothing float64
}

// targets returns how many labels a clip has: its class, or whether it has each.
func (c OnlineConfig) targets() int {
	if c.MultiLabel {
		return c.Classes
	}
	return 1
}

// OnlineLR is the peak learning rate of online probes; it follows the schedule
// of the encoder's.
const OnlineLR = 1e-3

// DefaultOnline is what the published code trains. Differs from the paper, which
// smooths the labels of both heads by 0.1 and does not mention Unimodal.
func DefaultOnline(classes int) OnlineConfig {
	return OnlineConfig{Classes: classes, Attentive: true, Unimodal: true,
		AttentiveSmoothing: 0.1}
}

// OnlineOptim is the optimiser of online probes: no decay, and no clipping but
// by a norm that is shared with the encoder.
func OnlineOptim() optim.Config {
	c := optim.Default()
	c.WeightDecay, c.Clip = 0, 0
	return c
}

// Validate returns every fault of the configuration for probes of such a model,
// joined.
func (c OnlineConfig) Validate(model jepa.Config) error {
	var errs []error
	if c.Classes < 2 {
		errs = append(errs, fmt.Errorf("probe: %d classes, at least 2 needed", c.Classes))
	}
	if c.Attentive && !model.KeepTokens {
		errs = append(errs, errors.New("probe: an attentive probe needs a model with KeepTokens"))
	}
	if a, v := model.AudioLocals(), model.VideoLocals(); c.Unimodal && (a == 0 || v == 0) {
		errs = append(errs, fmt.Errorf("probe: unimodal training needs an audio-only and a "+
			"video-only local view, the model has %d and %d", a, v))
	}
	for _, s := range [2]float64{c.LinearSmoothing, c.AttentiveSmoothing} {
		if !(s >= 0 && s < 1) {
			errs = append(errs, fmt.Errorf("probe: label smoothing %g is not in [0, 1)", s))
		}
	}
	return errors.Join(errs...)
}

// Online is a linear and an attentive head with the memory to train them on the
// features of a jepa.Model's steps. It reads the model and changes nothing of it.
//
//	o, err := probe.NewOnline(e, probe.DefaultOnline(classes), cfg, seed, batch)
//	opt, err := optim.New(e, o.Params, probe.OnlineOptim())
//	model.Step(batch, step)
//	o.Step(model.Features(), labels)
//	opt.Step(lr, engine.Tensor{})
type Online struct {
	OnlineConfig
	Params    *nn.Params
	Linear    *LinearHead    // probe_norm.*, probe_head.*
	Attentive *AttentiveHead // att_probe.*; nil without

	model  jepa.Config
	engine engine.Engine
	batch  int
	cx     nn.Context
	labels engine.Tensor // (B) classes, or with MultiLabel (B·C) of 0 and 1
	report onlineReport

	hostLabels []float32
}

// onlineReport is what a step reports, one element each of a tensor.
type onlineReport struct {
	all                            engine.Tensor // (5)
	linear, audio, video, attended engine.Tensor // (1) losses
	square                         engine.Tensor // (1) of the gradients' norm
	joint                          engine.Tensor // (1) with the encoder's; not reported
	host                           [5]float32
}

// NewOnline returns heads for a model's features, with initial values from the
// seed, that train on steps of batch clips. All memory of a step is allocated
// here.
func NewOnline(e engine.Engine, cfg OnlineConfig, model jepa.Config, seed uint64,
	batch int) (*Online, error) {
	planned, err := newOnline(engine.NewCounting(), cfg, model, batch, boundless)
	if err != nil {
		return nil, err
	}
	planned.rehearse()
	o, err := newOnline(e, cfg, model, batch, planned.cx.Arena.Peak())
	if err != nil {
		return nil, err
	}
	o.Params.Init(seed)
	return o, nil
}

// boundless is the size of an arena that is measured, not allocated.
var boundless = engine.ArenaSize{F32: 1 << 40}

// PlanOnline returns the bytes that NewOnline and the moments of an optimiser take,
// counted by running the heads on an engine without memory.
func PlanOnline(cfg OnlineConfig, model jepa.Config, batch int) (int64, error) {
	e := engine.NewCounting()
	o, err := newOnline(e, cfg, model, batch, boundless)
	if err != nil {
		return 0, err
	}
	fixed := e.Counts.TotalBytes() - boundless.Bytes()
	o.rehearse()
	return fixed + o.cx.Arena.Peak().Bytes() + 2*4*int64(o.Params.Values.Elems()), nil
}

func newOnline(e engine.Engine, cfg OnlineConfig, model jepa.Config, batch int,
	arena engine.ArenaSize) (*Online, error) {
	if err := cfg.Validate(model); err != nil {
		return nil, err
	}
	o := &Online{OnlineConfig: cfg, Params: nn.NewParams(), model: model, engine: e,
		batch: batch, hostLabels: make([]float32, batch*cfg.targets())}
	d := model.Encoder.Width
	o.Linear = NewLinearHead(o.Params, "probe_norm", "probe_head", d, cfg.Classes)
	if cfg.Attentive {
		o.Attentive = NewAttentiveHead(o.Params, "att_probe", d, model.Encoder.Heads, cfg.Classes)
	}
	if err := o.Params.Build(e, nn.WithGradients); err != nil {
		return nil, err
	}
	a, err := engine.NewArena(e, engine.F32, arena)
	if err != nil {
		return nil, fmt.Errorf("probe: activations: %w", err)
	}
	o.cx = nn.Context{Engine: e, Arena: a, Train: true}
	n := 6 + len(o.hostLabels)
	buf, err := e.NewBuffer(engine.F32, n)
	if err != nil {
		return nil, fmt.Errorf("probe: report: %w", err)
	}
	all := engine.NewTensor(buf, 0, tensor.Of(n))
	r := &o.report
	r.all, r.joint, o.labels = all.Slice(0, 5), all.Slice(5, 6), all.Slice(6, n)
	for i, t := range []*engine.Tensor{&r.linear, &r.audio, &r.video, &r.attended, &r.square} {
		*t = all.Slice(i, i+1)
	}
	return o, nil
}

// rehearse runs what needs most memory, on an engine without any.
func (o *Online) rehearse() {
	a, c := o.cx.Arena, o.model.Encoder
	outside, err := engine.NewArena(o.engine, engine.F32, boundless)
	if err != nil {
		panic("probe: " + err.Error()) // the counting engine has room for all
	}
	tokens := func(views int) []jepa.Tokens {
		return []jepa.Tokens{{All: outside.New(views*o.batch, c.Tokens(), c.Width), Lo: 1, Hi: c.Tokens()}}
	}
	o.train(outside.New(o.model.Views()*o.batch, c.Width), tokens(o.model.Globals))
	a.Release(engine.Mark{})
	o.classify(outside.New(o.batch, c.Width), tokens(1))
}

// Free gives the memory of parameters and activations back to the engine.
func (o *Online) Free() {
	o.cx.Arena.Free()
	o.Params.Free()
}
