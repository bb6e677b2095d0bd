package exchange

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"avjepa/internal/checkpoint"
	"avjepa/internal/config"
	"avjepa/internal/engine"
	"avjepa/internal/engine/cpu"
	"avjepa/internal/jepa"
	"avjepa/internal/rng"
	"avjepa/internal/tensor"
	"avjepa/internal/vit"
)

const officialPath = "../../testdata/golden/official.ckpt"

// needs skips a test without a tool, or fails it when AVJEPA_REQUIRE lists the tool.
func needs(t *testing.T, tool, lacks string) {
	t.Helper()
	switch {
	case lacks == "":
	case slices.Contains(strings.Split(os.Getenv("AVJEPA_REQUIRE"), ","), tool):
		t.Fatalf("AVJEPA_REQUIRE has %s: %s", tool, lacks)
	default:
		t.Skip(lacks)
	}
}

func newEngine(t *testing.T) engine.Engine {
	t.Helper()
	e, err := cpu.New(cpu.Config{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// tiny is a model whose sizes all differ, so that a mix-up of two shows.
func tiny() jepa.Config {
	return jepa.Config{
		Encoder: vit.Config{Width: 24, Depth: 3, Heads: 4, MLPRatio: 3,
			Frames: 6, Side: 12, PatchT: 3, Patch: 4,
			MelBands: 10, MelFrames: 23, PatchMel: 5, PatchMelT: 7,
			EmbedNorm: true, InitStd: .3},
		Hidden: 20, Proj: 9, Globals: 2, Locals: 2,
		Lambda: .05, Directions: 16, Knots: engine.Knots{Max: 5, Count: 17},
	}
}

// random returns an embedder of random values, running statistics included.
func random(t *testing.T, e engine.Engine, cfg jepa.Config, views int) *jepa.Model {
	t.Helper()
	m, err := jepa.NewEmbedder(e, cfg, 5, views)
	if err != nil {
		t.Fatal(err)
	}
	arrays := m.Params.Export()
	for name, a := range arrays {
		switch r := rng.New(7, "exchange", name); {
		case strings.HasSuffix(name, "num_batches_tracked"):
			a.Data[0] = 37
		case strings.HasSuffix(name, ".running_var"):
			r.FillUniform(a.Data, .5, 2)
		case strings.Contains(name, "weight") && a.Shape.Rank() > 1:
			r.FillNormal(a.Data, .3)
		default: // gains and biases that are not 1 and 0
			r.FillNormal(a.Data, .5)
		}
	}
	if err := m.Params.Import(arrays); err != nil {
		t.Fatal(err)
	}
	return m
}

// checkpointOf returns the model's checkpoint, with a moment and a head in it.
func checkpointOf(t *testing.T, m *jepa.Model) *checkpoint.File {
	t.Helper()
	w := checkpoint.New(map[string]string{"format": "avjepa-1"})
	for _, s := range m.Params.Stored() {
		w.AddRead(s.Name, s.Shape.Dims(), func(dst []float32) error { s.Read(dst); return nil })
	}
	w.AddFloat32("adamw.m.encoder.embedding.cls_token", []int{1}, []float32{1})
	w.AddFloat32("head.weight", []int{2, 3}, []float32{1, 2, 3, 4, 5, 6})
	var b bytes.Buffer
	if _, err := w.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	f, err := checkpoint.Parse(&b, int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// trained returns a model as export reads it.
func trained(t *testing.T, m *jepa.Model) *Trained {
	t.Helper()
	out, err := Of(checkpointOf(t, m), m.Config, About{Step: 12, Seed: 3, Config: "seed = 3\n",
		Classes: []string{"a", "ü"}, View: config.New().ViewConfig()})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// inputs are views of noise.
type inputs struct {
	views        int
	video, audio []float32 // (views, 3, T, H, W), (views, F, M); nil when absent
}

func noise(c vit.Config, views int, modality string) inputs {
	in := inputs{views: views}
	r := rng.New(11, "noise")
	if modality != Audio {
		in.video = make([]float32, views*3*c.Frames*c.Side*c.Side)
		r.FillNormal(in.video, 1)
	}
	if modality != Video {
		in.audio = make([]float32, views*c.MelBands*c.MelFrames)
		r.FillNormal(in.audio, 1)
	}
	return in
}

// result is what a model makes of views, by the names of the graph's outputs; mean
// is that of the tokens of the present modalities.
type result struct{ cls, projection, mean []float32 }

// run gives the views to our own model.
func (in inputs) run(t *testing.T, e engine.Engine, m *jepa.Model) result {
	t.Helper()
	c, g := m.Config.Encoder, vit.Group{Views: in.views}
	if in.video != nil {
		g.Video = upload(t, e, in.video, in.views, 3, c.Frames, c.Side, c.Side)
	}
	if in.audio != nil {
		g.Audio = upload(t, e, in.audio, in.views, c.MelBands, c.MelFrames)
	}
	out := m.Embed(g)
	down := func(x engine.Tensor) []float32 {
		host := make([]float32, x.Elems())
		e.Download(host, x)
		return host
	}
	return result{down(out.CLS), down(out.Projected), down(out.Patches)}
}

func upload(t *testing.T, e engine.Engine, data []float32, dims ...int) engine.Tensor {
	t.Helper()
	buf, err := e.NewBuffer(engine.F32, len(data))
	if err != nil {
		t.Fatal(err)
	}
	x := engine.NewTensor(buf, 0, tensor.Of(dims...))
	e.Upload(x, data)
	return x
}

// meanTokens returns the mean over the tokens (views, N, D) of the modalities that in
// has, as vit.Group.Patches bounds them.
func (in inputs) meanTokens(c vit.Config, tokens []float32) []float32 {
	g := vit.Group{Views: in.views}
	one := engine.NewTensor(&hostless{}, 0, tensor.Of(1))
	if in.video != nil {
		g.Video = one
	}
	if in.audio != nil {
		g.Audio = one
	}
	lo, hi := g.Patches(c)
	n, d := len(tokens)/in.views/c.Width, c.Width
	out := make([]float32, in.views*d)
	for i := range out {
		sum := 0.0
		for k := lo; k < hi; k++ {
			sum += float64(tokens[(i/d*n+k)*d+i%d])
		}
		out[i] = float32(sum / float64(hi-lo))
	}
	return out
}

// hostless is a buffer that nobody looks into.
type hostless struct{}

func (hostless) DType() engine.DType { return engine.F32 }
func (hostless) Elems() int          { return 1 }
func (hostless) Free()               {}

// near fails unless got is want, each to within tol.
func near(t *testing.T, what string, got, want []float32, tol float64) {
	t.Helper()
	if len(got) != len(want) || len(want) == 0 {
		t.Errorf("%s: %d values, want %d", what, len(got), len(want))
		return
	}
	worst := 0.0
	for i := range want {
		diff := float64(got[i]) - float64(want[i])
		if !(max(diff, -diff) <= tol) {
			t.Errorf("%s [%d] = %g, want %g", what, i, got[i], want[i])
			return
		}
		worst = max(worst, diff, -diff)
	}
	t.Logf("%s: max error %.1e", what, worst)
}

func scratch(t *testing.T, name string) string { return filepath.Join(t.TempDir(), name) }
