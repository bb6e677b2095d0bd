package jepa

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"avjepa/internal/checkpoint"
	"avjepa/internal/engine"
	"avjepa/internal/engine/cpu"
	"avjepa/internal/engine/ref"
	"avjepa/internal/sigreg"
	"avjepa/internal/tensor"
	"avjepa/internal/vit"
)

// Geometry of the golden vectors.
const (
	goldenClips = 6
	goldenViews = 4
)

func goldenConfig() Config {
	return Config{
		Encoder: vit.Config{Width: 48, Depth: 2, Heads: 3, MLPRatio: 4,
			Frames: 4, Side: 32, PatchT: 2, Patch: 16,
			MelBands: 32, MelFrames: 48, PatchMel: 16, PatchMelT: 16,
			EmbedNorm: true, InitStd: 0.02},
		Hidden: 64, Proj: 32, Globals: 2, Locals: 2, Lambda: 0.05,
		Directions: 64, Knots: sigreg.DefaultKnots,
	}
}

// golden is a file of vectors from the published code with its tolerances, and
// the largest errors seen by level.
type golden struct {
	t     *testing.T
	file  *checkpoint.File
	bound map[string]bound
	worst map[string]seen
	wrong int // vectors that differ
}

// mostWrong is how many vectors that differ are listed.
const mostWrong = 12

// bound is a tolerance: class P allows a few entries of a tensor up to Atol, and
// 1e-5 to all others.
type bound struct {
	Atol  float64 `json:"atol"`
	Class string  `json:"cls"`
}

type seen struct{ err, share float64 } // absolute, and relative to the tolerance

func openGolden(t *testing.T, name string) *golden {
	t.Helper()
	dir := filepath.Join("..", "..", "testdata", "golden")
	file, err := checkpoint.Read(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "tolerance.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]map[string]bound
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return &golden{t: t, file: file, bound: all[name], worst: map[string]seen{}}
}

func (g *golden) array(name string) tensor.Array {
	g.t.Helper()
	a, err := g.file.Float32(name)
	if err != nil {
		g.t.Fatal(err)
	}
	return a
}

// check compares got with the vector of that name under a level's heading.
func (g *golden) check(level, name string, got []float32) {
	g.t.Helper()
	g.checkTo(level, name, got, g.array(name).Data)
}

// checkTo is check with the entries of the vector in another order.
func (g *golden) checkTo(level, name string, got, want []float32) {
	g.t.Helper()
	b, ok := g.bound[name]
	if !ok || len(got) != len(want) {
		g.t.Fatalf("%s: %d values, want %d; tolerance known: %v", name, len(got), len(want), ok)
	}
	worst, at, loose := 0.0, 0, 0
	for i := range want {
		d := math.Abs(float64(got[i]) - float64(want[i]))
		if !(d <= worst) {
			worst, at = d, i
		}
		if !(d <= 1e-5) {
			loose++
		}
	}
	if !(worst <= b.Atol) {
		g.t.Errorf("%s[%d] = %g, want %g: off by %.2g, allowed %.2g",
			name, at, got[at], want[at], worst, b.Atol)
	}
	if most := max(3, len(want)/100); b.Class == "P" && loose > most {
		g.t.Errorf("%s: %d of %d entries off by more than 1e-5, allowed %d",
			name, loose, len(want), most)
	}
	if !(worst <= b.Atol) {
		if g.wrong++; g.wrong == mostWrong {
			g.t.Fatalf("%d vectors differ, the rest is not compared", mostWrong)
		}
	}
	s := g.worst[level]
	g.worst[level] = seen{max(s.err, worst), max(s.share, worst/b.Atol)}
}

// table logs the largest error of every level, for the documentation.
func (g *golden) table(levels ...string) {
	for _, l := range levels {
		g.t.Logf("%-28s max error %.1e, %3.0f %% of the tolerance",
			l, g.worst[l].err, 100*g.worst[l].share)
	}
}

// onEngines runs a test on every engine.
func onEngines(t *testing.T, run func(t *testing.T, e engine.Engine)) {
	t.Run("ref", func(t *testing.T) { run(t, ref.New()) })
	t.Run("cpu", func(t *testing.T) {
		e, err := cpu.New(cpu.Config{Threads: 2})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		run(t, e)
	})
}

// goldenModel returns a model with the golden weights.
func goldenModel(t *testing.T, e engine.Engine, keepTokens bool) *Model {
	t.Helper()
	cfg := goldenConfig()
	cfg.KeepTokens = keepTokens
	m, err := New(e, cfg, 1, goldenClips)
	if err != nil {
		t.Fatal(err)
	}
	w := openGolden(t, "weights.safetensors")
	arrays := map[string]tensor.Array{}
	for _, name := range w.file.Names() {
		if strings.HasSuffix(name, "num_batches_tracked") {
			n, err := w.file.Int64(name)
			if err != nil {
				t.Fatal(err)
			}
			arrays[name] = tensor.From([]float32{float32(n[0])})
			continue
		}
		arrays[name] = w.array(name)
	}
	if err := m.Params.Import(arrays); err != nil {
		t.Fatal(err)
	}
	return m
}

func download(e engine.Engine, x engine.Tensor) []float32 {
	out := make([]float32, x.Elems())
	e.Download(out, x)
	return out
}

func upload(t *testing.T, e engine.Engine, a tensor.Array, dims ...int) engine.Tensor {
	t.Helper()
	buf, err := e.NewBuffer(engine.F32, len(a.Data))
	if err != nil {
		t.Fatal(err)
	}
	x := engine.NewTensor(buf, 0, tensor.Of(dims...))
	e.Upload(x, a.Data)
	return x
}

// viewMajor reorders rows clip·views + view to view·B + clip.
func viewMajor(a tensor.Array, clips, views int) tensor.Array {
	out := tensor.Array{Shape: a.Shape, Data: make([]float32, len(a.Data))}
	row := len(a.Data) / (clips * views)
	for c := range clips {
		for v := range views {
			copy(out.Data[(v*clips+c)*row:][:row], a.Data[(c*views+v)*row:][:row])
		}
	}
	return out
}

func TestGoldenEncoder(t *testing.T) {
	onEngines(t, func(t *testing.T, e engine.Engine) {
		g := openGolden(t, "encoder.safetensors")
		m := goldenModel(t, e, true)
		video := upload(t, e, g.array("video"), 2, 3, 4, 32, 32)
		audio := upload(t, e, g.array("audio"), 2, 32, 48)
		for _, c := range []struct {
			name  string
			group vit.Group
		}{
			{"joint", vit.Group{Views: 2, Video: video, Audio: audio}},
			{"audio", vit.Group{Views: 2, Audio: audio}},
			{"video", vit.Group{Views: 2, Video: video}},
		} {
			goldenEncoder(g, m, c.name+".", c.group)
		}
		g.table("patches and positions", "embedding norm", "block 0", "block 1",
			"CLS", "attention weights", "projector, running stats")
	})
}

func goldenEncoder(g *golden, m *Model, name string, group vit.Group) {
	e, cx := m.engine, &m.cx
	cx.Train = false
	groups := []vit.Group{group}
	m.arena.Release(0)
	m.cache.CLSOnly = false
	m.Encoder.Forward(cx, &m.cache, groups, vit.Keep)
	before, after := m.cache.Embedded(0)
	g.check("patches and positions", name+"embed_pre_ln", download(e, before))
	g.check("embedding norm", name+"embed_post_ln", download(e, after))
	g.check("block 0", name+"block0", download(e, m.cache.Block(0, 0)))
	g.check("block 1", name+"block1", download(e, m.cache.Block(0, 1)))
	g.check("CLS", name+"cls", download(e, m.cache.CLS))
	g.check("attention weights", name+"attn_last",
		download(e, m.Encoder.AttentionWeights(cx, &m.cache, 0)))
	out := m.Embed(group)
	g.check("CLS", name+"cls", download(e, out.CLS))
	g.check("projector, running stats", name+"proj_eval", download(e, out.Projected))
	tokens := download(e, m.cache.Tokens(0))
	patches := make([]float32, 0, len(tokens))
	d, n := m.Config.Encoder.Width, m.Config.Encoder.Tokens()
	for v := range group.Views {
		patches = append(patches, tokens[(v*n+1)*d:(v+1)*n*d]...)
	}
	g.check("block 1", name+"patches", patches)
	checkMeanPatches(g.t, m, group, patches, download(e, out.Patches))
}

// checkMeanPatches holds got (views, D) to the mean of the present modalities'
// patches (views, N−1, D).
func checkMeanPatches(t *testing.T, m *Model, group vit.Group, patches, got []float32) {
	t.Helper()
	c := m.Config.Encoder
	n, d, nv := c.Tokens()-1, c.Width, c.VideoTokens()
	for i := range got {
		sum, count := 0.0, 0
		for k := range n {
			if k < nv && !group.Video.Nil() || k >= nv && !group.Audio.Nil() {
				sum += float64(patches[(i/d*n+k)*d+i%d])
				count++
			}
		}
		if diff := math.Abs(sum/float64(count) - float64(got[i])); !(diff <= 1e-5) {
			t.Fatalf("mean of patches [%d] = %g, want %g", i, got[i], sum/float64(count))
		}
	}
}

// goldenBatch returns the inputs of loss.safetensors.
func goldenBatch(g *golden, e engine.Engine) *Batch {
	const n = goldenClips
	return &Batch{
		GlobalVideo: upload(g.t, e, viewMajor(g.array("in.global_video"), n, 2), 2*n, 3, 4, 32, 32),
		GlobalAudio: upload(g.t, e, viewMajor(g.array("in.global_audio"), n, 2), 2*n, 32, 48),
		LocalVideo:  upload(g.t, e, g.array("in.local_video"), n, 3, 4, 32, 32),
		LocalAudio:  upload(g.t, e, g.array("in.local_audio"), n, 32, 48),
	}
}

// rowsOf transposes directions (K, M), as they are stored, to (M, K).
func rowsOf(columns []float32, k, m int) []float32 {
	out := make([]float32, len(columns))
	for i := range k {
		for j := range m {
			out[j*k+i] = columns[i*m+j]
		}
	}
	return out
}

func TestGoldenLoss(t *testing.T) {
	onEngines(t, func(t *testing.T, e engine.Engine) {
		g := openGolden(t, "loss.safetensors")
		m := goldenModel(t, e, false)
		b := goldenBatch(g, e)
		directions := rowsOf(g.array("directions").Data, 32, 64)
		m.SetDirections(directions)
		goldenObjective(g, m, b)
		for _, keepTokens := range []bool{true, false} {
			m := goldenModel(t, e, keepTokens)
			m.SetDirections(directions)
			m.StepDrawn(b, 1)
			goldenLosses(g, m)
			goldenGradients(g, m)
		}
		g.table("CLS", "projections", "losses", "gradient of projections", "gradient of CLS",
			"gradients of the projector", "gradients of the blocks",
			"gradients of the embedding", "BatchNorm statistics")
	})
}

// goldenGradients checks the gradient of every parameter and BatchNorm's state.
func goldenGradients(g *golden, m *Model) {
	for _, p := range m.Params.List() {
		level := "gradients of the projector"
		switch {
		case strings.HasPrefix(p.Name, "encoder.embedding"):
			level = "gradients of the embedding"
		case strings.HasPrefix(p.Name, "encoder"):
			level = "gradients of the blocks"
		}
		g.check(level, "grad."+p.Name, download(m.engine, p.Grad))
	}
	for name, a := range m.Params.Export() {
		if strings.HasSuffix(name, "num_batches_tracked") {
			want, err := g.file.Int64("bn_after." + name)
			if err != nil || float32(want[0]) != a.Data[0] {
				g.t.Errorf("%s = %g, want %d (%v)", name, a.Data[0], want, err)
			}
		} else if strings.Contains(name, ".running_") {
			g.check("BatchNorm statistics", "bn_after."+name, a.Data)
		}
	}
}

// goldenObjective checks what lies between the batch and the gradient of CLS.
func goldenObjective(g *golden, m *Model, b *Batch) {
	e, cx := m.engine, &m.cx
	cx.Train = true
	m.setGroups(b)
	m.arena.Release(0)
	m.cache.CLSOnly = true
	m.Encoder.Forward(cx, &m.cache, m.groups, vit.Keep)
	cls := m.cache.CLS
	z := cx.Arena.New(goldenViews, goldenClips, m.Proj)
	dz := cx.Arena.New(goldenViews, goldenClips, m.Proj)
	dCLS := cx.Arena.New(cls.Dim(0), cls.Dim(1))
	center := cx.Arena.New(goldenClips, m.Proj)
	m.project(cx, z, cls)
	e.Center(center, z, m.Globals)
	m.losses(cx, dz, z)
	m.projectBackward(cx, dCLS, dz)
	g.check("projections", "z_views", download(e, z))
	g.check("projections", "center", download(e, center))
	half := goldenClips * 2
	for _, c := range []struct {
		level, name string
		x           engine.Tensor
	}{
		{"CLS", "cls_", cls},
		{"projections", "z_", z.Reshape(goldenViews*goldenClips, m.Proj)},
		{"gradient of projections", "grad_z_", dz.Reshape(goldenViews*goldenClips, m.Proj)},
		{"gradient of CLS", "grad_cls_", dCLS},
	} {
		for i, part := range []string{"global", "local"} {
			want := viewMajor(g.array(c.name+part), goldenClips, 2).Data
			g.checkTo(c.level, c.name+part, download(e, c.x.Slice(i*half, (i+1)*half)), want)
		}
	}
}

func goldenLosses(g *golden, m *Model) {
	l := m.Losses()
	g.check("losses", "total", []float32{float32(l.Total)})
	g.check("losses", "invariance", []float32{float32(l.Invariance)})
	g.check("losses", "sigreg", []float32{float32(l.SIGReg)})
	g.check("losses", "embed_std", []float32{float32(l.EmbedStd)})
	g.check("losses", "grad_norm", []float32{float32(l.GradNorm)})
	g.check("losses", "sigreg_per_view", m.report.host[2:2+m.report.tests])
}
