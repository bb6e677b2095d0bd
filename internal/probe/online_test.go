package probe

import (
	"math"
	"strings"
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/engine/ref"
	"avjepa/internal/golden"
	"avjepa/internal/jepa"
	"avjepa/internal/rng"
	"avjepa/internal/vit"
)

func TestOnlineValidateListsEveryFault(t *testing.T) {
	model := goldenConfig()
	model.KeepTokens, model.Locals = false, 1
	c := OnlineConfig{Classes: 1, Attentive: true, Unimodal: true,
		LinearSmoothing: math.NaN(), AttentiveSmoothing: 1}
	err := c.Validate(model)
	if err == nil || strings.Count(err.Error(), "\n")+1 != 5 {
		t.Errorf("want 5 faults: %v", err)
	}
	if _, err := NewOnline(ref.New(), c, model, 1, 2); err == nil {
		t.Error("NewOnline accepted them")
	}
	if err := DefaultOnline(golden.Classes).Validate(goldenConfig()); err != nil {
		t.Error(err)
	}
}

func TestOnlineRefusesLabels(t *testing.T) {
	e := ref.New()
	m, o := goldenModel(t, e), goldenOnline(t, e, DefaultOnline(golden.Classes))
	b, labels := goldenBatch(golden.Open(t, "loss.safetensors"), e)
	m.Step(b, 0)
	for _, bad := range []int{-1, golden.Classes} {
		labels[3] = bad
		if err := o.Step(m.Features(), labels); err == nil ||
			!strings.Contains(err.Error(), "clip 3") {
			t.Errorf("label %d: %v", bad, err)
		}
	}
}

// TestOnlineFillsItsArena: the memory planned is what a step and a score use, to
// the last element, and both work with every choice of heads and views.
func TestOnlineFillsItsArena(t *testing.T) {
	for _, c := range []struct {
		globals, locals     int
		attentive, unimodal bool
	}{{2, 2, true, true}, {1, 2, true, false}, {2, 5, false, true}, {3, 0, false, false}} {
		cfg := goldenConfig()
		cfg.Globals, cfg.Locals, cfg.KeepTokens = c.globals, c.locals, c.attentive
		online := DefaultOnline(golden.Classes)
		online.Attentive, online.Unimodal = c.attentive, c.unimodal
		m, b, o := drawn(t, cfg, online)
		m.Step(b, 0)
		if err := o.Step(m.Features(), []int{0, 6}); err != nil {
			t.Fatal(err)
		}
		l := o.Losses()
		if !(l.Linear > 0 && l.GradNorm > 0 && l.GradNorm < math.Inf(1)) ||
			l.Attentive > 0 != c.attentive || l.Unimodal > 0 != c.unimodal {
			t.Errorf("%+v: %+v", c, l)
		}
		linear, attentive := o.Score(m, vit.Group{Views: 2,
			Video: b.GlobalVideo.Slice(0, 2), Audio: b.GlobalAudio.Slice(0, 2)})
		if len(linear) != 2*golden.Classes || (len(attentive) == len(linear)) != c.attentive {
			t.Errorf("%+v: %d and %d logits", c, len(linear), len(attentive))
		}
		planned, err := newOnline(engine.NewCounting(), online, cfg, 2, boundless)
		if err != nil {
			t.Fatal(err)
		}
		planned.rehearse()
		if p := planned.cx.Arena.Peak(); p != o.cx.Arena.Peak() {
			t.Errorf("%+v: planned %+v elements, used %+v", c, p, o.cx.Arena.Peak())
		}
		o.Free()
	}
}

// drawn returns a model for steps of two clips, a batch of noise, and probes.
func drawn(t *testing.T, cfg jepa.Config, online OnlineConfig) (*jepa.Model, *jepa.Batch, *Online) {
	t.Helper()
	e := ref.New()
	m, err := jepa.New(e, cfg, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	b, err := m.NewBatch(engine.F32)
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range []engine.Tensor{b.GlobalVideo, b.GlobalAudio, b.LocalVideo, b.LocalAudio} {
		if !x.Nil() {
			host := make([]float32, x.Elems())
			rng.New(4, i).FillNormal(host, 1)
			e.Upload(x, host)
		}
	}
	o, err := NewOnline(e, online, cfg, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	return m, b, o
}

// TestStepAllocatesNothing in the steady state.
func TestStepAllocatesNothing(t *testing.T) {
	m, b, o := drawn(t, goldenConfig(), DefaultOnline(golden.Classes))
	m.Step(b, 0)
	c, err := newOnline(engine.NewCounting(), o.OnlineConfig, o.model, 2, boundless)
	if err != nil {
		t.Fatal(err)
	}
	cls, tokens := m.Features().CLS, m.Features().Tokens
	if n := testing.AllocsPerRun(5, func() { c.train(cls, tokens); c.Losses() }); n != 0 {
		t.Errorf("%g allocations in a step", n)
	}
}
