package finetune

import (
	"errors"
	"fmt"

	"avjepa/internal/engine"
	"avjepa/internal/jepa"
	"avjepa/internal/nn"
	"avjepa/internal/probe"
	"avjepa/internal/tensor"
	"avjepa/internal/vit"
)

// Model says what is trained.
type Model struct {
	Encoder   vit.Config // both modalities'; with Dual of each, whose share it takes
	Dual      bool       // an encoder for each modality: jepa.Config.Dual
	Classes   int
	Attentive bool         // besides the linear head one on the patch tokens
	Compute   engine.DType // F32, or BF16 where the engine has it

	Frozen    bool // the encoder has no gradients
	Recompute bool // see jepa.Config
}

// Validate returns every fault, joined.
func (m Model) Validate() error {
	errs := []error{m.Encoder.Validate()}
	if m.Encoder.Modality != vit.Both {
		errs = append(errs, errors.New("finetune: the encoder is described for both modalities"))
	}
	if m.Classes < 2 {
		errs = append(errs, fmt.Errorf("finetune: %d classes, at least 2 needed", m.Classes))
	}
	return errors.Join(errs...)
}

// Purpose says what memory a Network has.
type Purpose bool

const (
	Training Purpose = true  // gradients, and activations for a backward
	Scoring  Purpose = false // outputs alone
)

// Network is one encoder, or one for each modality, with two heads.
type Network struct {
	Model
	Backbone *nn.Params // encoder.*, as in checkpoints of pretraining
	Heads    *nn.Params // probe_norm.*, probe_head.*, att_probe.*

	linear    *probe.LinearHead
	attentive *probe.AttentiveHead
	towers    []*tower
	engine    engine.Engine
	purpose   Purpose
	views     int // at once
	cx        nn.Context

	video, audio engine.Tensor // (Views, …) inputs on the device
	square       engine.Tensor // (2) squared norms of gradients: of all, of the encoder's

	features       features
	linearCache    probe.LinearCache
	attentiveCache probe.AttentiveCache
	hostLinear     []float32 // (Views, C) logits, then their gradients
	hostAttentive  []float32
}

// tower is an encoder with what it takes.
type tower struct {
	encoder      *vit.Encoder
	audio, video bool
	cache        vit.Cache
	groups       []vit.Group // one, or none when there is nothing for it
}

// features are what the encoder makes of views, in the arena.
type features struct {
	cls    engine.Tensor // (n, D)
	tokens engine.Tensor // (n, N, D) patches of the modalities there are; nil without attentive head
}

// New returns a network for views views at once, with initial values of the heads
// from Init and of the encoder from Import. All memory is allocated here.
func New(e engine.Engine, m Model, views int, p Purpose) (*Network, error) {
	planned, err := newNetwork(engine.NewCounting(), m, views, p, boundless(m))
	if err != nil {
		return nil, err
	}
	planned.rehearse()
	return newNetwork(e, m, views, p, planned.cx.Arena.Peak())
}

// boundless is the size of an arena that is measured, not allocated.
func boundless(m Model) engine.ArenaSize {
	s := engine.ArenaSize{F32: 1 << 48}
	if m.Compute == engine.BF16 {
		s.BF16 = s.F32
	}
	return s
}

func newNetwork(e engine.Engine, m Model, views int, p Purpose,
	arena engine.ArenaSize) (*Network, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	if views < 1 {
		return nil, fmt.Errorf("finetune: %d views at once, at least 1 needed", views)
	}
	n := &Network{Model: m, Backbone: nn.NewParams(), Heads: nn.NewParams(), engine: e, purpose: p,
		views: views, hostLinear: make([]float32, views*m.Classes)}
	if err := n.addTowers(); err != nil {
		return nil, err
	}
	d := m.Encoder.Width
	n.linear = probe.NewLinearHead(n.Heads, "probe_norm", "probe_head", d, m.Classes)
	if m.Attentive {
		n.attentive = probe.NewAttentiveHead(n.Heads, "att_probe", d, m.Encoder.Heads, m.Classes)
		n.hostAttentive = make([]float32, views*m.Classes)
	}
	if err := n.Backbone.Build(e, nn.Gradients(p == Training && !m.Frozen)); err != nil {
		return nil, err
	}
	if err := n.Heads.Build(e, nn.Gradients(p == Training)); err != nil {
		return nil, err
	}
	a, err := engine.NewArena(e, m.Compute, arena)
	if err != nil {
		return nil, fmt.Errorf("finetune: activations: %w, or take fewer clips at once with "+
			"finetune.micro_batch (%d at once now)", err, views)
	}
	n.cx = nn.Context{Engine: e, Arena: a}
	return n, n.allocateInputs()
}

// addTowers registers the encoders in the names of pretraining.
func (n *Network) addTowers() error {
	modalities := []vit.Modality{vit.Both}
	if n.Dual {
		modalities = []vit.Modality{vit.AudioOnly, vit.VideoOnly}
	}
	for _, modality := range modalities {
		cfg := n.Encoder
		cfg.Modality = modality
		encoder, err := vit.New(n.Backbone, "encoder", cfg)
		if err != nil {
			return err
		}
		n.towers = append(n.towers, &tower{encoder: encoder, audio: modality != vit.VideoOnly,
			video: modality != vit.AudioOnly})
	}
	return nil
}

func (n *Network) allocateInputs() error {
	c := n.Encoder
	for _, t := range []struct {
		to *engine.Tensor
		dt engine.DType
		s  tensor.Shape
	}{
		{&n.video, engine.U8, tensor.Of(n.views, c.Frames, c.Side, c.Side, 3)},
		{&n.audio, engine.F32, tensor.Of(n.views, c.MelBands, c.MelFrames)},
		{&n.square, engine.F32, tensor.Of(2)},
	} {
		buf, err := n.engine.NewBuffer(t.dt, t.s.Elems())
		if err != nil {
			return fmt.Errorf("finetune: inputs: %w", err)
		}
		*t.to = engine.NewTensor(buf, 0, t.s)
	}
	return nil
}

// rehearse runs what needs most memory, on an engine without any.
func (n *Network) rehearse() {
	g := n.group(n.views, vit.Both)
	if n.purpose == Training {
		targets := make([]float32, n.views*n.Classes)
		n.begin(0)
		n.encodeStep(g, targets, &Objective{}, 1)
		n.cx.Arena.Release(engine.Mark{})
		n.features = features{cls: n.cx.Arena.New(n.views, n.Encoder.Width)}
		if n.Attentive {
			n.features.tokens = n.cx.Arena.New(n.views, n.patches(vit.Both), n.Encoder.Width)
		}
		n.headsStep(targets, &Objective{}, 1, false)
	}
	n.classify(g)
}

// Free gives the memory back to the engine; the network must not be used any more.
func (n *Network) Free() {
	n.cx.Arena.Free()
	n.Backbone.Free()
	n.Heads.Free()
	for _, t := range []engine.Tensor{n.video, n.audio, n.square} {
		t.Buffer().Free()
	}
}

// Init sets the heads to their initial values, from the seed and their names alone.
func (n *Network) Init(seed uint64) {
	n.Heads.Init(seed)
	n.cx.Seed = seed
}

// Import sets the encoder to a checkpoint's, which may have seen views of another
// geometry: see jepa.ImportEncoders, whose errors it returns.
func (n *Network) Import(arrays map[string]tensor.Array) (jepa.Fit, error) {
	encoders := make([]*vit.Encoder, len(n.towers))
	for i, t := range n.towers {
		encoders[i] = t.encoder
	}
	return jepa.ImportEncoders(n.Backbone, encoders, arrays)
}

// ImportHeads sets the heads to a checkpoint's. On an error, which lists what does not
// fit, nothing is changed.
func (n *Network) ImportHeads(arrays map[string]tensor.Array) error {
	return n.Heads.Import(arrays)
}

// Stored returns encoder and heads.
func (n *Network) Stored() []nn.Stored { return append(n.Backbone.Stored(), n.Heads.Stored()...) }

// Views returns how many views the network takes at once.
func (n *Network) Views() int { return n.views }

// patches returns the number of patch tokens of a modality.
func (n *Network) patches(m vit.Modality) int {
	c := n.Encoder
	switch m {
	case vit.AudioOnly:
		return c.AudioTokens()
	case vit.VideoOnly:
		return c.VideoTokens()
	}
	return c.AudioTokens() + c.VideoTokens()
}

// group returns the first rows of the inputs, of a modality.
func (n *Network) group(rows int, m vit.Modality) vit.Group {
	g := vit.Group{Views: rows}
	if m != vit.AudioOnly {
		g.Video = n.video.Slice(0, rows)
	}
	if m != vit.VideoOnly {
		g.Audio = n.audio.Slice(0, rows)
	}
	return g
}

// upload sets the first rows of the inputs: video (rows, T, S, S, 3), audio (rows, F, M).
// What is empty is left as it is.
func (n *Network) upload(rows int, video []byte, audio []float32) {
	if len(video) > 0 {
		n.engine.UploadBytes(n.video.Slice(0, rows), video)
	}
	if len(audio) > 0 {
		n.engine.Upload(n.audio.Slice(0, rows), audio)
	}
}
