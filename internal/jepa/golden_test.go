package jepa

import (
	"math"
	"strings"
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/golden"
	"avjepa/internal/sigreg"
	"avjepa/internal/vit"
)

// goldenConfig is the model that made the golden vectors.
func goldenConfig() Config {
	return Config{Encoder: golden.Encoder(), Hidden: golden.Hidden, Proj: golden.Proj,
		Globals: golden.Globals, Locals: golden.Locals, Lambda: 0.05,
		Directions: golden.Directions, Knots: sigreg.DefaultKnots}
}

// goldenModel returns a model with the golden weights.
func goldenModel(t *testing.T, e engine.Engine, keepTokens bool) *Model {
	t.Helper()
	cfg := goldenConfig()
	cfg.KeepTokens = keepTokens
	m, err := New(e, cfg, 1, golden.Clips)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Params.Import(golden.Weights(t)); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestGoldenEncoder(t *testing.T) {
	golden.OnEngines(t, func(t *testing.T, e engine.Engine) {
		g := golden.Open(t, "encoder.safetensors")
		m := goldenModel(t, e, true)
		video := golden.Upload(t, e, g.Array("video").Data, 2, 3, 4, 32, 32)
		audio := golden.Upload(t, e, g.Array("audio").Data, 2, 32, 48)
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
		g.Table("patches and positions", "embedding norm", "block 0", "block 1",
			"CLS", "attention weights", "projector, running stats")
	})
}

func goldenEncoder(g *golden.File, m *Model, name string, group vit.Group) {
	e, cx := m.engine, &m.cx
	cx.Train = false
	groups := []vit.Group{group}
	m.arena.Release(engine.Mark{})
	c := &m.Towers[0].cache
	c.CLSOnly = false
	m.Towers[0].Encoder.Forward(cx, c, groups, vit.Keep)
	before, after := c.Embedded(0)
	g.Check("patches and positions", name+"embed_pre_ln", golden.Download(e, before)...)
	g.Check("embedding norm", name+"embed_post_ln", golden.Download(e, after)...)
	g.Check("block 0", name+"block0", golden.Download(e, c.Block(0, 0))...)
	g.Check("block 1", name+"block1", golden.Download(e, c.Block(0, 1))...)
	g.Check("CLS", name+"cls", golden.Download(e, c.CLS)...)
	g.Check("attention weights", name+"attn_last",
		golden.Download(e, m.Towers[0].Encoder.AttentionWeights(cx, c, 0))...)
	out := m.Embed(group)
	g.Check("CLS", name+"cls", golden.Download(e, out.CLS)...)
	g.Check("projector, running stats", name+"proj_eval", golden.Download(e, out.Projected)...)
	tokens := golden.Download(e, c.Tokens(0))
	patches := make([]float32, 0, len(tokens))
	d, n := m.Config.Encoder.Width, m.Config.Encoder.Tokens()
	for v := range group.Views {
		patches = append(patches, tokens[(v*n+1)*d:(v+1)*n*d]...)
	}
	g.Check("block 1", name+"patches", patches...)
	checkMeanPatches(g.T, m, group, patches, golden.Download(e, out.Patches))
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
func goldenBatch(g *golden.File, e engine.Engine) *Batch {
	b := Batch(g.Batch(e))
	return &b
}

func TestGoldenLoss(t *testing.T) {
	golden.OnEngines(t, func(t *testing.T, e engine.Engine) {
		g := golden.Open(t, "loss.safetensors")
		m := goldenModel(t, e, false)
		b := goldenBatch(g, e)
		directions := golden.Rows(g.Array("directions").Data)
		m.SetDirections(directions)
		goldenObjective(g, m, b)
		for _, keepTokens := range []bool{true, false} {
			m := goldenModel(t, e, keepTokens)
			m.SetDirections(directions)
			m.StepDrawn(b, 1)
			goldenLosses(g, m)
			goldenGradients(g, m)
		}
		g.Table("CLS", "projections", "losses", "gradient of projections", "gradient of CLS",
			"gradients of the projector", "gradients of the blocks",
			"gradients of the embedding", "BatchNorm statistics")
	})
}

// goldenGradients checks the gradient of every parameter, and BatchNorm's state.
func goldenGradients(g *golden.File, m *Model) {
	for _, p := range m.Params.List() {
		level := "gradients of the projector"
		switch {
		case strings.HasPrefix(p.Name, "encoder.embedding"):
			level = "gradients of the embedding"
		case strings.HasPrefix(p.Name, "encoder"):
			level = "gradients of the blocks"
		}
		g.Check(level, "grad."+p.Name, golden.Download(m.engine, p.Grad)...)
	}
	goldenRunning(g, m)
}

// goldenRunning checks BatchNorm's state.
func goldenRunning(g *golden.File, m *Model) {
	for name, a := range m.Params.Export() {
		if strings.HasSuffix(name, "num_batches_tracked") {
			if want := g.Int64("bn_after." + name)[0]; float32(want) != a.Data[0] {
				g.T.Errorf("%s = %g, want %d", name, a.Data[0], want)
			}
		} else if strings.Contains(name, ".running_") {
			g.Check("BatchNorm statistics", "bn_after."+name, a.Data...)
		}
	}
}

// goldenObjective checks what lies between the batch and the gradient of CLS.
func goldenObjective(g *golden.File, m *Model, b *Batch) {
	e, cx := m.engine, &m.cx
	cx.Train = true
	t := m.Towers[0]
	t.layOut(m, b, 0, golden.Clips)
	m.arena.Release(engine.Mark{})
	t.cache.CLSOnly = true
	t.Encoder.Forward(cx, &t.cache, t.groups, vit.Keep)
	cls := t.cache.CLS
	z := cx.Arena.New(m.Views(), golden.Clips, m.Proj)
	dz := cx.Arena.New(m.Views(), golden.Clips, m.Proj)
	dCLS := cx.Arena.New(cls.Dim(0), cls.Dim(1))
	center := cx.Arena.New(golden.Clips, m.Proj)
	m.project(cx, z, cls)
	e.Center(center, z, m.Globals)
	m.losses(cx, dz, z)
	m.projectBackward(cx, dCLS, dz)
	g.Check("projections", "z_views", golden.Download(e, z)...)
	g.Check("projections", "center", golden.Download(e, center)...)
	half := golden.Clips * 2
	for _, c := range []struct {
		level, name string
		x           engine.Tensor
	}{
		{"CLS", "cls_", cls},
		{"projections", "z_", z.Reshape(m.Views()*golden.Clips, m.Proj)},
		{"gradient of projections", "grad_z_", dz.Reshape(m.Views()*golden.Clips, m.Proj)},
		{"gradient of CLS", "grad_cls_", dCLS},
	} {
		for i, part := range []string{"global", "local"} {
			want := golden.ViewMajor(g.Array(c.name+part).Data, 2)
			g.CheckTo(c.level, c.name+part, golden.Download(e, c.x.Slice(i*half, (i+1)*half)), want)
		}
	}
}

func goldenLosses(g *golden.File, m *Model) {
	l := m.Losses()
	g.Check("losses", "total", float32(l.Total))
	g.Check("losses", "invariance", float32(l.Invariance))
	g.Check("losses", "sigreg", float32(l.SIGReg))
	g.Check("losses", "embed_std", float32(l.EmbedStd))
	g.Check("losses", "grad_norm", float32(l.GradNorm))
	g.Check("losses", "sigreg_per_view", m.report.host[2:2+m.report.tests[0]]...)
}
