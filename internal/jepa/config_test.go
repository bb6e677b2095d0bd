package jepa

import (
	"math"
	"slices"
	"strings"
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/engine/cpu"
	"avjepa/internal/engine/ref"
	"avjepa/internal/golden"
	"avjepa/internal/optim"
	"avjepa/internal/rng"
	"avjepa/internal/tensor"
	"avjepa/internal/vit"
)

func TestValidateListsEveryFault(t *testing.T) {
	c := Config{Encoder: vit.Default(), Lambda: math.NaN(), Locals: -1, ProjectorInitStd: -1}
	c.Encoder.Side = 225
	err := c.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	// Image height; directions, knots twice; width, dimension, globals, locals,
	// views, lambda, deviation.
	if n := strings.Count(err.Error(), "\n") + 1; n != 11 {
		t.Errorf("%d faults, want 11:\n%v", n, err)
	}
	for globals, locals := range map[int]int{1: 2, 2: 1} {
		one := goldenConfig()
		one.Globals, one.Locals = globals, locals
		if _, err := New(ref.New(), one, 1, 1); err == nil {
			t.Errorf("one clip of %d global and %d local views was accepted", globals, locals)
		}
	}
}

// TestOneClip: a clip of two views a kind is a batch that BatchNorm can take; its
// deviation is 0.
func TestOneClip(t *testing.T) {
	e := ref.New()
	m, err := New(e, goldenConfig(), 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	b, err := m.NewBatch(engine.F32)
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range []engine.Tensor{b.GlobalVideo, b.GlobalAudio, b.LocalVideo, b.LocalAudio} {
		host := make([]float32, x.Elems())
		rng.New(1, "one clip", i).FillNormal(host, 1)
		e.Upload(x, host)
	}
	m.Step(b, 0)
	if l := m.Losses(); !(l.Total > 0 && l.GradNorm > 0 && l.EmbedStd == 0) {
		t.Errorf("losses of one clip: %+v", l)
	}
}

// TestPlanIsWhatIsUsed: the arena of a plan is filled to the last element, and
// the paper's step takes the work the paper implies.
func TestPlanIsWhatIsUsed(t *testing.T) {
	var p Plan
	for _, dual := range []bool{false, true} {
		cfg := goldenConfig()
		cfg.Dual = dual
		m, err := New(ref.New(), cfg, 1, 3)
		if err != nil {
			t.Fatal(err)
		}
		b, err := m.NewBatch(engine.U8)
		if err != nil {
			t.Fatal(err)
		}
		m.Step(b, 0)
		if p, err = PlanTraining(cfg, 3); err != nil {
			t.Fatal(err)
		}
		if p.arena != m.arena.Peak() || p.Activations != m.arena.Peak().Bytes() {
			t.Errorf("dual %v: planned %+v elements, used %+v", dual, p.arena, m.arena.Peak())
		}
	}
	for _, c := range []struct {
		keepTokens bool
		want       float64 // FLOPs per clip
	}{{true, 5.77e12}, {false, 5.33e12}} {
		paper := Default()
		paper.KeepTokens = c.keepTokens
		var err error
		if p, err = PlanTraining(paper, 2); err != nil {
			t.Fatal(err)
		}
		if got := float64(p.StepFLOPs) / 2; !(math.Abs(got-c.want) <= 0.03e12) {
			t.Errorf("tokens %v: %.4g FLOPs per clip, want %g", c.keepTokens, got, c.want)
		}
	}
	if p.Parameters != 86_637_312+6_041_728 {
		t.Errorf("%d parameters", p.Parameters)
	}
	if want := int64(2 * 2 * 2 * (16*224*224*3 + 128*801*4) * 3 / 4); p.Inputs != want {
		t.Errorf("inputs of %d bytes, want %d", p.Inputs, want)
	}
}

// TestSteadyStepAllocatesNothing checks the model's own share, and that of the
// engine people run.
func TestSteadyStepAllocatesNothing(t *testing.T) {
	cpuEngine, err := cpu.New(cpu.Config{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer cpuEngine.Close()
	for i, e := range []engine.Engine{engine.NewCounting(), cpuEngine, engine.NewCounting(), cpuEngine} {
		cfg := goldenConfig()
		cfg.Dual = i >= 2
		cfg.Encoder.Dropout, cfg.Encoder.AttentionDropout = 0.1, 0.1
		cfg.Encoder.DropAbsent, cfg.Encoder.FinalNorm = true, true
		m, err := New(e, cfg, 1, golden.Clips)
		if err != nil {
			t.Fatal(err)
		}
		b, err := m.NewBatch(engine.U8)
		if err != nil {
			t.Fatal(err)
		}
		o, err := optim.New(e, m.Params, optim.Default())
		if err != nil {
			t.Fatal(err)
		}
		step := func() {
			m.Step(b, 1)
			o.Step(1e-3, m.GradSquare())
			m.Losses()
		}
		if n := testing.AllocsPerRun(5, step); n != 0 {
			t.Errorf("%s: %g allocations in a step", e.Info().Name, n)
		}
	}
}

// TestLayouts runs numbers of views and modalities beyond the paper's, whose
// gradients must be finite and of both groups.
func TestLayouts(t *testing.T) {
	for _, c := range []struct {
		locals     int
		both, dual bool
	}{{0, false, false}, {1, false, false}, {5, false, false}, {2, true, false},
		{0, false, true}, {1, false, true}, {5, false, true}, {2, true, true}} {
		cfg := goldenConfig()
		cfg.Locals, cfg.LocalsBoth, cfg.Dual = c.locals, c.both, c.dual
		cfg.Encoder.DropAbsent, cfg.Sum, cfg.PooledSIGReg = true, true, true
		m, err := New(ref.New(), cfg, 1, 2)
		if err != nil {
			t.Fatal(err)
		}
		b, err := m.NewBatch(engine.F32)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range []engine.Tensor{b.GlobalVideo, b.GlobalAudio, b.LocalVideo, b.LocalAudio} {
			if !x.Nil() {
				host := make([]float32, x.Elems())
				rng.New(4, x.Elems()).FillNormal(host, 1)
				m.engine.Upload(x, host)
			}
		}
		m.Step(b, 0)
		l := m.Losses()
		if !(l.GradNorm > 0 && l.GradNorm < math.Inf(1)) || !(l.Total > 0) {
			t.Errorf("%+v: %+v", c, l)
		}
		if got := m.Features().CLS.Dim(0); got != 2*(2+c.locals) {
			t.Errorf("%+v: %d rows", c, got)
		}
	}
}

// TestEmbedOfOnePatch: the mean of a modality's only token is that token.
func TestEmbedOfOnePatch(t *testing.T) {
	cfg := goldenConfig()
	cfg.Encoder.MelBands, cfg.Encoder.MelFrames = 16, 16
	m, err := NewEmbedder(ref.New(), cfg, 1, 3)
	if err != nil {
		t.Fatal(err)
	}
	mel := tensor.New(3, 16, 16)
	rng.New(6).FillNormal(mel.Data, 1)
	group := vit.Group{Views: 3, Audio: golden.Upload(t, m.engine, mel.Data, 3, 16, 16)}
	got := golden.Download(m.engine, m.Embed(group).Patches)
	tokens := m.Towers[0].cache.Tokens(0)
	want := golden.Download(m.engine, tokens.Token(tokens.Dim(1)-1))
	if !slices.Equal(got, want) || slices.Equal(got[:48], got[48:96]) {
		t.Error("the mean is not the token of its view")
	}
}

// TestEmbedderAgreesWithTrainer: the same values give the same embeddings, and
// the trainer's memory suffices.
func TestEmbedderAgreesWithTrainer(t *testing.T) {
	g := golden.Open(t, "encoder.safetensors")
	m := goldenModel(t, ref.New(), false)
	em, err := NewEmbedder(ref.New(), goldenConfig(), 2, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := em.Params.Import(m.Params.Export()); err != nil {
		t.Fatal(err)
	}
	var out [2][]float32
	for i, m := range []*Model{m, em} {
		out[i] = golden.Download(m.engine, m.Embed(vit.Group{Views: 2,
			Video: golden.Upload(t, m.engine, g.Array("video").Data, 2, 3, 4, 32, 32),
			Audio: golden.Upload(t, m.engine, g.Array("audio").Data, 2, 32, 48)}).Projected)
	}
	for i := range out[0] {
		if out[0][i] != out[1][i] {
			t.Fatalf("projection [%d] is %g and %g", i, out[0][i], out[1][i])
		}
	}
}
