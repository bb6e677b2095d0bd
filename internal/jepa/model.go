package jepa

import (
	"fmt"
	"math"

	"avjepa/internal/engine"
	"avjepa/internal/nn"
	"avjepa/internal/sigreg"
	"avjepa/internal/tensor"
)

// Model is an encoder, or one for each modality, and a projector, with the memory to
// train them, or only to embed.
type Model struct {
	Config
	Params    *nn.Params
	Towers    []*Tower // one, or with Dual that of audio, then that of video
	Projector *Projector

	engine  engine.Engine
	seed    uint64
	batch   int // B, this process's clips of a step; 0 when the model only embeds
	total   int // clips of a step over all processes
	first   int // place among them of this process's first
	encoded int // E, views of a clip that towers encode: a view of both in two counts twice
	reducer *nn.Reducer
	arena   *engine.Arena
	cx      nn.Context
	cls     engine.Tensor // (E·B, D) of the last Step, tower after tower
	joint   engine.Tensor // (V·B, D) of the clips' views, where towers share them; else nil
	tokens  []Tokens      // that Features returns
	calls   []projectorCall
	regular *sigreg.Regularizer
	report  report
}

// New returns a model that trains on steps of batch clips, with initial values
// from the seed. All memory of a step is allocated here.
func New(e engine.Engine, cfg Config, seed uint64, batch int) (*Model, error) {
	return NewInGroup(e, cfg, seed, batch, nil)
}

// NewEmbedder returns a model without gradients that can Embed up to views views
// at once. Its values are initial ones until Params.Import.
func NewEmbedder(e engine.Engine, cfg Config, seed uint64, views int) (*Model, error) {
	m, err := NewUnset(e, cfg, views)
	if err != nil {
		return nil, err
	}
	m.Params.Init(seed)
	return m, nil
}

// NewUnset is NewEmbedder without initial values, which take longer to draw than to read:
// the model's are undefined until Params.Import, or an ImportFitting whose Fit leaves none.
func NewUnset(e engine.Engine, cfg Config, views int) (*Model, error) {
	plan, err := PlanEmbedding(cfg, views)
	if err != nil {
		return nil, err
	}
	return newModel(e, cfg, 0, plan.arena, nn.WithoutGradients)
}

// Layout returns the names and shapes of a model's parameters and running statistics,
// without memory for them: what a file of the model must hold.
func Layout(cfg Config) (*nn.Params, error) {
	m, err := register(cfg)
	if err != nil {
		return nil, err
	}
	return m.Params, nil
}

// register returns a model whose parameters are registered, not yet built.
func register(cfg Config) (*Model, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	m := &Model{Config: cfg, Params: nn.NewParams()}
	var err error
	if err = m.addTowers(); err != nil {
		return nil, err
	}
	m.Projector = newProjector(m.Params, "projector", cfg)
	return m, nil
}

func newModel(e engine.Engine, cfg Config, seed uint64, arena engine.ArenaSize,
	g nn.Gradients) (*Model, error) {
	m, err := register(cfg)
	if err != nil {
		return nil, err
	}
	m.engine, m.seed = e, seed
	if err := m.Params.Build(e, g); err != nil {
		return nil, err
	}
	if m.arena, err = engine.NewArena(e, cfg.Compute, arena); err != nil {
		if g == nn.WithGradients {
			err = fmt.Errorf("%w, or take fewer clips at once with train.micro_batch (%d, 0 takes all)",
				err, cfg.MicroBatch)
		}
		return nil, fmt.Errorf("jepa: activations: %w", err)
	}
	m.cx = nn.Context{Engine: e, Arena: m.arena, Seed: seed}
	return m, nil
}

// newTrainer returns a model for steps of batch clips of this process.
func newTrainer(e engine.Engine, cfg Config, seed uint64, batch int, arena engine.ArenaSize,
	g engine.Group) (*Model, error) {
	m, err := newModel(e, cfg, seed, arena, nn.WithGradients)
	if err != nil {
		return nil, err
	}
	m.batch = batch
	normed := batch
	if g != nil && cfg.GlobalNorm {
		normed *= g.Size()
	}
	for _, c := range m.calls {
		if rows := (c.hi - c.lo) * normed; rows < 2 {
			return nil, fmt.Errorf("jepa: batch of %d clips: BatchNorm sees %d of the projector's "+
				"rows at once and needs 2: take 2 clips or more in each process", batch, rows)
		}
	}
	if m.regular, err = sigreg.New(e, cfg.sigreg(), cfg.Proj); err != nil {
		return nil, err
	}
	m.report, err = m.newReport(g != nil)
	m.join(g)
	return m, err
}

// Free gives parameters and activations back to the engine; the model must not
// be used any more. Batches, directions and reported numbers stay until the
// engine is closed.
func (m *Model) Free() {
	m.arena.Free()
	m.Params.Free()
}

// Batch is one step's input on the device, view-major: row = view·B + clip, B the
// clips of this process.
//
//	GlobalVideo  (G·B, T, H, W, 3) U8, or (G·B, 3, T, H, W) F32, normalised
//	GlobalAudio  (G·B, F, S)
//	LocalVideo   (Kv·B, …)  of the video-only locals, or of all with LocalsBoth
//	LocalAudio   (Ka·B, …)  of the audio-only locals, likewise
//
// A tensor without rows is nil.
type Batch struct{ GlobalVideo, GlobalAudio, LocalVideo, LocalAudio engine.Tensor }

// NewBatch allocates the inputs of a step, with frames of the given type.
func (m *Model) NewBatch(frames engine.DType) (*Batch, error) {
	c, b := m.Config.Encoder, &Batch{}
	audio, video := m.AudioLocals(), m.VideoLocals()
	if m.LocalsBoth {
		audio, video = m.Locals, m.Locals
	}
	var err error
	alloc := func(dt engine.DType, s tensor.Shape) (t engine.Tensor) {
		if err != nil || s.Elems() == 0 {
			return t
		}
		var buf engine.Buffer
		if buf, err = m.engine.NewBuffer(dt, s.Elems()); err != nil {
			return t
		}
		return engine.NewTensor(buf, 0, s)
	}
	video5 := func(n int) engine.Tensor {
		if frames == engine.U8 {
			return alloc(frames, tensor.Of(n*m.batch, c.Frames, c.Side, c.Side, 3))
		}
		return alloc(frames, tensor.Of(n*m.batch, 3, c.Frames, c.Side, c.Side))
	}
	mel := func(n int) engine.Tensor {
		return alloc(engine.F32, tensor.Of(n*m.batch, c.MelBands, c.MelFrames))
	}
	b.GlobalVideo, b.GlobalAudio = video5(m.Globals), mel(m.Globals)
	b.LocalVideo, b.LocalAudio = video5(video), mel(audio)
	if err != nil {
		return nil, fmt.Errorf("jepa: batch: %w", err)
	}
	return b, nil
}

// Losses are the numbers of a step that are logged.
type Losses struct {
	Total      float64
	Invariance float64 // unweighted
	SIGReg     float64 // unweighted, mean over views
	EmbedStd   float64 // deviation of projections over clips, mean over views and dims; 0 of one
	GradNorm   float64 // before clipping
}

// Losses waits for the last Step and returns its numbers. In a group invariance and
// deviation are those of this process's clips: Combine gives those of all.
func (m *Model) Losses() Losses {
	host, r := m.Numbers(), &m.report
	l := Losses{Invariance: r.invarianceOf(host), SIGReg: r.sigregOf(host),
		EmbedStd: mean(host[r.deviationAt : r.deviationAt+r.stds]),
		GradNorm: math.Sqrt(float64(host[0]))}
	l.Total = (1-m.Lambda)*l.Invariance + m.Lambda*l.SIGReg
	return l
}

func mean(x []float32) float64 {
	sum := 0.0
	for _, v := range x {
		sum += float64(v)
	}
	return sum / float64(len(x))
}
