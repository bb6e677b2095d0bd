package jepa

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/engine/ref"
	"avjepa/internal/engine/timed"
	"avjepa/internal/golden"
	"avjepa/internal/optim"
	"avjepa/internal/vit"
)

// bf16Model returns the golden model with products of the given type, on the
// reference engine, and its batch.
func bf16Model(t *testing.T, compute engine.DType) (*Model, *Batch) {
	t.Helper()
	cfg, e := goldenConfig(), ref.New()
	cfg.Compute = compute
	m, err := New(e, cfg, 1, golden.Clips)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Params.Import(golden.Weights(t)); err != nil {
		t.Fatal(err)
	}
	g := golden.Open(t, "loss.safetensors")
	m.SetDirections(golden.Rows(g.Array("directions").Data))
	return m, goldenBatch(g, e)
}

// TestBF16Gradients: losses move by less than 1 % and the gradient of every
// parameter keeps its direction, but of those whose true gradient is 0.
func TestBF16Gradients(t *testing.T) {
	f, batch := bf16Model(t, engine.F32)
	f.StepDrawn(batch, 1)
	h, batch := bf16Model(t, engine.BF16)
	h.StepDrawn(batch, 1)
	want, got := f.Losses(), h.Losses()
	for name, v := range map[string][2]float64{
		"invariance":    {got.Invariance, want.Invariance},
		"SIGReg":        {got.SIGReg, want.SIGReg},
		"deviation":     {got.EmbedStd, want.EmbedStd},
		"gradient norm": {got.GradNorm, want.GradNorm},
	} {
		if !(math.Abs(v[0]/v[1]-1) < 0.01) {
			t.Errorf("%s %g, in f32 %g", name, v[0], v[1])
		}
		if v[0] == v[1] {
			t.Errorf("%s is the same in f32: nothing was rounded", name)
		}
	}
	for i, p := range f.Params.List() {
		a := golden.Download(f.engine, p.Grad)
		b := golden.Download(h.engine, h.Params.List()[i].Grad)
		if math.Sqrt(dot(a, a)) < 1e-9 {
			continue
		}
		if c := dot(a, b) / math.Sqrt(dot(a, a)*dot(b, b)); !(c > 0.995) {
			t.Errorf("%s: cosine %g to the gradient in f32", p.Name, c)
		}
	}
}

func dot(a, b []float32) float64 {
	s := 0.0
	for i, v := range a {
		s += float64(v) * float64(b[i])
	}
	return s
}

// TestBF16Trains: the loss of a fixed batch falls as it does in F32.
func TestBF16Trains(t *testing.T) {
	run := func(compute engine.DType) (totals []float64) {
		m, batch := bf16Model(t, compute)
		opt, err := optim.New(m.engine, m.Params, optim.Default())
		if err != nil {
			t.Fatal(err)
		}
		for step := range 30 {
			m.StepDrawn(batch, step)
			opt.Step(goldenRate, m.GradSquare())
			totals = append(totals, m.Losses().Total)
		}
		return totals
	}
	want, got := run(engine.F32), run(engine.BF16)
	for i := range want {
		if !(math.Abs(got[i]/want[i]-1) < 0.02) {
			t.Errorf("step %d: loss %g, in f32 %g", i, got[i], want[i])
		}
	}
	if first, last := got[0], got[len(got)-1]; !(last < first/8) {
		t.Errorf("loss %g after 30 steps, %g before", last, first)
	}
}

// TestBF16Parts: with operands in BF16 too, recomputation gives the same bits and
// micro-batches the same but for the order of sums.
func TestBF16Parts(t *testing.T) {
	cfg := goldenConfig()
	cfg.Compute = engine.BF16
	cfg.Encoder.Dropout, cfg.Encoder.AttentionDropout = 0.2, 0.1
	whole, losses, cls, _ := step(t, ref.New(), cfg)
	cfg.Recompute = true
	again, l, _, _ := step(t, ref.New(), cfg)
	if !slices.Equal(again, whole) || l != losses {
		t.Error("recomputation: gradients or losses differ")
	}
	for _, recompute := range []bool{false, true} {
		cfg.Recompute, cfg.MicroBatch = recompute, 2
		parts, l, partCLS, _ := step(t, ref.New(), cfg)
		l.GradNorm = losses.GradNorm
		if l != losses || !slices.Equal(partCLS, cls) {
			t.Errorf("recompute %v, in parts: losses %+v, want %+v", recompute, l, losses)
		}
		diff := make([]float32, len(whole))
		for i := range whole {
			diff[i] = parts[i] - whole[i]
		}
		if ratio := math.Sqrt(dot(diff, diff) / dot(whole, whole)); !(ratio <= 1e-7) {
			t.Errorf("recompute %v, in parts: gradients differ by %.2g of their norm", recompute, ratio)
		}
	}
}

// TestBF16Embeds: embeddings and attention weights are F32's, rounded.
func TestBF16Embeds(t *testing.T) {
	run := func(compute engine.DType) [4][]float32 {
		m, batch := bf16Model(t, compute)
		m.Globals, m.Locals = 1, 0
		at := m.Towers[0]
		at.layOut(m, batch, 0, golden.Clips)
		g := at.groups[0]
		g.Video, g.Audio = g.Video.Slice(0, g.Views), g.Audio.Slice(0, g.Views)
		out := m.Embed(g)
		all := [4][]float32{golden.Download(m.engine, out.CLS),
			golden.Download(m.engine, out.Projected), golden.Download(m.engine, out.Patches)}
		m.arena.Release(engine.Mark{})
		at.Encoder.Forward(&m.cx, &at.cache, at.groups, vit.Keep)
		all[3] = golden.Download(m.engine, at.Encoder.AttentionWeights(&m.cx, &at.cache, 0))
		return all
	}
	want, got := run(engine.F32), run(engine.BF16)
	for i, name := range [4]string{"CLS", "projections", "patches", "attention weights"} {
		a, b := want[i], got[i]
		if c := dot(a, b) / math.Sqrt(dot(a, a)*dot(b, b)); !(c > 0.9999) || slices.Equal(a, b) {
			t.Errorf("%s: cosine %g to those in f32", name, c)
		}
	}
}

// TestBF16Timed: measuring an engine hands BF16 operands on as they are.
func TestBF16Timed(t *testing.T) {
	cfg := goldenConfig()
	cfg.Compute = engine.BF16
	want, _, _, _ := step(t, ref.New(), cfg)
	if got, _, _, _ := step(t, timed.New(ref.New()), cfg); !slices.Equal(got, want) {
		t.Error("gradients differ when measured")
	}
}

// TestPlanBF16: the plan counts both types as they are used; and the figures of 40
// clips at the paper's geometry.
func TestPlanBF16(t *testing.T) {
	for i := range 4 {
		cfg, recompute := goldenConfig(), i&1 != 0
		cfg.Compute, cfg.Recompute, cfg.Dual = engine.BF16, recompute, i&2 != 0
		p, err := PlanTraining(cfg, golden.Clips)
		if err != nil {
			t.Fatal(err)
		}
		m, err := New(ref.New(), cfg, 1, golden.Clips)
		if err != nil {
			t.Fatal(err)
		}
		m.Step(goldenBatch(golden.Open(t, "loss.safetensors"), m.engine), 0)
		if used := m.arena.Peak(); used != p.arena || used.BF16 == 0 ||
			p.Activations != int64(4*used.F32+2*used.BF16) {
			t.Errorf("recompute %v: planned %+v in %d bytes, used %+v", recompute, p.arena,
				p.Activations, used)
		}
		e := engine.NewCounting()
		if m, err = New(e, cfg, 1, golden.Clips); err != nil {
			t.Fatal(err)
		}
		if got := e.Counts.Bytes[engine.BF16]; got != int64(2*p.arena.BF16) {
			t.Errorf("recompute %v: %d bytes of BF16 in buffers, planned %d", recompute, got,
				2*p.arena.BF16)
		}
		m.Free()
		if got := e.Counts.Bytes[engine.BF16]; got != 0 {
			t.Errorf("recompute %v: %d bytes of BF16 left", recompute, got)
		}
	}
	for recompute, want := range map[bool]string{false: "66.0", true: "19.9"} {
		paper := Default()
		paper.Compute, paper.Recompute = engine.BF16, recompute
		p, err := PlanTraining(paper, 40)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%.1f", float64(p.Activations)/(1<<30)); got != want {
			t.Errorf("40 clips, recompute %v: %s GiB of activations, want %s", recompute, got, want)
		}
	}
}
