package jepa

import (
	"math"
	"strings"
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/golden"
	"avjepa/internal/vit"
)

// dualConfig is the model that made dual.safetensors.
func dualConfig() Config {
	cfg := goldenConfig()
	cfg.Dual = true
	return cfg
}

// dualModel returns a model with the golden weights of two encoders, its batch and
// its directions set.
func dualModel(t *testing.T, e engine.Engine, cfg Config) (*Model, *Batch) {
	t.Helper()
	m, err := New(e, cfg, 1, golden.Clips)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Params.Import(golden.DualWeights(t)); err != nil {
		t.Fatal(err)
	}
	g := golden.Open(t, "loss.safetensors") // the same clips and directions
	m.SetDirections(golden.Rows(g.Array("directions").Data))
	return m, goldenBatch(g, e)
}

// TestGoldenDual holds CLS, projections, losses, every gradient and BatchNorm's state
// of the dual encoder to the published code's.
func TestGoldenDual(t *testing.T) {
	golden.OnEngines(t, func(t *testing.T, e engine.Engine) {
		for _, keepTokens := range []bool{true, false} {
			cfg := dualConfig()
			cfg.KeepTokens = keepTokens
			g := golden.Open(t, "dual.safetensors")
			m, b := dualModel(t, e, cfg)
			m.StepDrawn(b, 1)
			goldenDualParts(g, m)
			l := m.Losses()
			for name, v := range map[string]float64{"total": l.Total, "invariance": l.Invariance,
				"sigreg": l.SIGReg, "embed_std": l.EmbedStd, "grad_norm": l.GradNorm} {
				g.Check("losses", name, float32(v))
			}
			g.Check("losses", "sigreg_per_view", m.report.host[3:m.report.deviationAt]...)
			for _, p := range m.Params.List() {
				level := "gradients of the encoders"
				if strings.HasPrefix(p.Name, "projector") {
					level = "gradients of the projector"
				}
				g.Check(level, "grad."+p.Name, golden.Download(e, p.Grad)...)
			}
			goldenRunning(g, m)
			g.Table("CLS", "projections", "losses", "gradients of the projector",
				"gradients of the encoders", "BatchNorm statistics")
		}
	})
}

// goldenDualParts checks what the last step left of its views.
func goldenDualParts(g *golden.File, m *Model) {
	const n = golden.Clips
	e, cls := m.engine, m.cls
	z := m.arena.New(m.encoded, n, m.Proj)
	before := m.Params.Export()
	m.project(&m.cx, z, cls) // moves the running statistics once more
	if err := m.Params.Import(before); err != nil {
		g.T.Fatal(err)
	}
	at := 0
	for _, c := range []struct {
		name  string
		views int
	}{{"audio%sglobal", 2}, {"audio%slocal", 1}, {"video%sglobal", 2}, {"video%slocal", 1}} {
		rows := golden.Download(e, cls.Slice(at*n, (at+c.views)*n))
		name := strings.Replace(c.name, "%s", "_cls_", 1)
		g.CheckTo("CLS", name, rows, golden.ViewMajor(g.Array(name).Data, c.views))
		name = "z_" + strings.Replace(c.name, "%s", "_", 1)
		g.CheckTo("projections", name, golden.Download(e, z.Slice(at, at+c.views)),
			golden.ViewMajor(g.Array(name).Data, c.views))
		at += c.views
	}
	clips := golden.Download(e, m.Features().CLS)
	d := m.Config.Encoder.Width
	g.CheckTo("CLS", "clip_cls_global", clips[:2*n*d],
		golden.ViewMajor(g.Array("clip_cls_global").Data, 2))
	g.Check("CLS", "audio_cls_local", clips[2*n*d:3*n*d]...)
	g.Check("CLS", "video_cls_local", clips[3*n*d:]...)
}

// TestDualEmbeds: the embedding of both is the mean of both CLS, that of one modality
// its encoder's alone; and patches are those of what is there, every one counting
// alike.
func TestDualEmbeds(t *testing.T) {
	golden.OnEngines(t, func(t *testing.T, e engine.Engine) {
		m, b := dualModel(t, e, dualConfig())
		g := golden.Open(t, "dual.safetensors")
		const n, d = golden.Clips, 48
		group := vit.Group{Views: n, Video: b.GlobalVideo.Slice(0, n), Audio: b.GlobalAudio.Slice(0, n)}
		first := func(name string) []float32 { return golden.ViewMajor(g.Array(name).Data, 2)[:n*d] }
		patches := map[string][]float32{}
		for _, c := range []struct {
			name, cls string
			group     vit.Group
		}{{"audio", "audio_cls_global", vit.Group{Views: n, Audio: group.Audio}},
			{"video", "video_cls_global", vit.Group{Views: n, Video: group.Video}},
			{"both", "clip_cls_global", group}} {
			out := m.Embed(c.group)
			for i, v := range golden.Download(e, out.CLS) {
				if want := first(c.cls)[i]; !(math.Abs(float64(v-want)) <= 2e-5) {
					t.Fatalf("%s: CLS[%d] = %g, want %g", c.name, i, v, want)
				}
			}
			patches[c.name] = golden.Download(e, out.Patches)
			if out.Projected.Dim(0) != n || out.Projected.Dim(1) != golden.Proj {
				t.Errorf("%s: projected %v", c.name, out.Projected.Shape())
			}
		}
		video, audio := float64(m.Config.Encoder.VideoTokens()), float64(m.Config.Encoder.AudioTokens())
		for i, v := range patches["both"] {
			want := (video*float64(patches["video"][i]) + audio*float64(patches["audio"][i])) /
				(video + audio)
			if !(math.Abs(float64(v)-want) <= 1e-5) {
				t.Fatalf("mean of patches [%d] = %g, want %g", i, v, want)
			}
		}
	})
}
