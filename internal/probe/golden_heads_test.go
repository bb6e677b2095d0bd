package probe

import (
	"math"
	"strings"
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/golden"
	"avjepa/internal/jepa"
	"avjepa/internal/nn"
	"avjepa/internal/vit"
)

func TestGoldenScores(t *testing.T) {
	golden.OnEngines(t, func(t *testing.T, e engine.Engine) {
		g := golden.Open(t, "encoder.safetensors")
		m, o := goldenModel(t, e), goldenOnline(t, e, DefaultOnline(golden.Classes))
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
			linear, attentive := o.Score(m, c.group)
			g.Check("logits, linear", c.name+".linear_logits", linear...)
			g.Check("logits, attentive", c.name+".att_logits", attentive...)
		}
		g.Table("logits, linear", "logits, attentive")
	})
}

// smoothed is the published configuration with other smoothing of labels.
func smoothed(linear, attentive float64, unimodal bool) OnlineConfig {
	c := DefaultOnline(golden.Classes)
	c.LinearSmoothing, c.AttentiveSmoothing, c.Unimodal = linear, attentive, unimodal
	return c
}

func TestGoldenOnlineStep(t *testing.T) {
	golden.OnEngines(t, func(t *testing.T, e engine.Engine) {
		g := golden.Open(t, "loss.safetensors")
		m := goldenModel(t, e)
		b, labels := goldenBatch(g, e)
		setDirections(m, g.Array("directions").Data)
		m.StepDrawn(b, 0)
		goldenLogits(g, m, goldenOnline(t, e, DefaultOnline(golden.Classes)))
		for _, unimodal := range []bool{true, false} {
			for smoothing, suffix := range map[float64]string{0: "ls0", 0.1: "ls01"} {
				o := goldenOnline(t, e, smoothed(smoothing, smoothing, unimodal))
				if err := o.Step(m.Features(), labels); err != nil {
					t.Fatal(err)
				}
				goldenOnlineStep(g, o, suffix)
			}
		}
		o := goldenOnline(t, e, DefaultOnline(golden.Classes))
		if err := o.Step(m.Features(), labels); err != nil {
			t.Fatal(err)
		}
		l := o.Losses()
		g.Check("joint loss", "joint_total_official",
			float32(m.Losses().Total+l.Linear+l.Unimodal+l.Attentive))
		g.Check("gradient norm", "probe_grad_norm_official", float32(l.GradNorm))
		g.Table("logits, linear", "logits, attentive", "losses", "gradients, linear",
			"gradients, attentive", "joint loss", "gradient norm")
	})
}

// goldenLogits checks the heads on the means over views of the last step.
func goldenLogits(g *golden.File, m *jepa.Model, o *Online) {
	e, cx, f := o.engine, &o.cx, m.Features()
	x, y := cx.Arena.New(golden.Clips, 48), cx.Arena.New(golden.Clips, golden.Classes)
	for _, c := range []struct {
		name   string
		lo, hi int
	}{{"linear_logits", 0, 2}, {"linear_logits_audio", 2, 3}, {"linear_logits_video", 3, 4}} {
		meanCLS(cx, x, f.CLS, c.lo, c.hi)
		o.Linear.Forward(cx, &LinearCache{}, y, x)
		g.Check("logits, linear", c.name, golden.Download(e, y)...)
	}
	tokens := cx.Arena.New(golden.Clips, 14, 48)
	meanTokens(cx, tokens, f.Tokens)
	o.Attentive.Forward(cx, &AttentiveCache{}, y, tokens)
	g.Check("logits, attentive", "att_logits", golden.Download(e, y)...)
}

// goldenOnlineStep checks losses and gradients. Those of the linear head are of
// the sum of two losses with Unimodal.
func goldenOnlineStep(g *golden.File, o *Online, suffix string) {
	l := o.Losses()
	g.Check("losses", "probe_loss.linear_"+suffix, float32(l.Linear))
	g.Check("losses", "probe_loss.att_"+suffix, float32(l.Attentive))
	if o.Unimodal {
		g.Check("losses", "probe_loss.linear_unimodal_"+suffix, float32(l.Unimodal))
	}
	for _, p := range o.Params.List() {
		got := golden.Download(o.engine, p.Grad)
		if strings.HasPrefix(p.Name, "att_probe.") {
			g.Check("gradients, attentive", "probe_grad.att_"+suffix+"."+p.Name, got...)
			continue
		}
		name := "probe_grad.linear_" + suffix + "." + p.Name
		want := append([]float32(nil), g.Array(name).Data...)
		if o.Unimodal {
			for i, v := range g.Array("probe_grad.linear_unimodal_" + suffix + "." + p.Name).Data {
				want[i] += v
			}
		}
		g.CheckTo("gradients, linear", name, got, want)
	}
}

// TestGoldenFinetune runs both heads on one global view and sends their gradients
// back through the encoder.
func TestGoldenFinetune(t *testing.T) {
	golden.OnEngines(t, func(t *testing.T, e engine.Engine) {
		g := golden.Open(t, "loss.safetensors")
		m := goldenModel(t, e)
		o := goldenOnline(t, e, smoothed(0.1, 0.1, false))
		b, labels := goldenBatch(g, e)
		arena, err := engine.NewArena(e, engine.F32, engine.ArenaSize{F32: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		o.cx = nn.Context{Engine: e, Arena: arena, Train: true}
		const n = golden.Clips
		groups := []vit.Group{{Views: n, Video: b.GlobalVideo.Slice(0, n),
			Audio: b.GlobalAudio.Slice(0, n)}}
		m.Params.ZeroGrads()
		o.Params.ZeroGrads()
		var cache vit.Cache
		m.Towers[0].Encoder.Forward(&o.cx, &cache, groups, vit.Keep)
		for i, l := range labels {
			o.hostLabels[i] = float32(l)
		}
		e.Upload(o.labels, o.hostLabels)
		dCLS, dTokens := finetuneHeads(o, &cache)
		m.Towers[0].Encoder.Backward(&o.cx, &cache, groups, dCLS, []engine.Tensor{dTokens})
		e.SquaredNorm(o.report.square, o.Params.Grads)
		l := o.Losses()
		g.Check("losses", "finetune.linear_loss", float32(l.Linear))
		g.Check("losses", "finetune.att_loss", float32(l.Attentive))
		g.Check("losses", "finetune.loss", float32(l.Linear+l.Attentive))
		for _, name := range []string{"encoder.embedding.cls_token", "att_probe.query", "head.weight"} {
			p := m.Params.Lookup(name)
			if p == nil {
				p = o.Params.Lookup(strings.Replace(name, "head.weight", "probe_head.weight", 1))
			}
			g.Check("gradients", "finetune.grad."+name, golden.Download(e, p.Grad)...)
		}
		square := arena.New(1)
		e.SquaredNorm(square, m.Params.Grads)
		g.Check("gradient norm", "finetune.grad_norm_backbone", float32(norm(e, square)))
		g.Check("gradient norm", "finetune.grad_norm_all", float32(norm(e, o.JointSquare(square))))
		g.Table("losses", "gradients", "gradient norm")
	})
}

// norm returns the root of square (1).
func norm(e engine.Engine, square engine.Tensor) float64 {
	return math.Sqrt(float64(golden.Download(e, square)[0]))
}

// finetuneHeads runs both heads on the tokens of a cache, forward and backward,
// and returns the gradients of CLS (B, D) and of all tokens (B, N, D).
func finetuneHeads(o *Online, cache *vit.Cache) (dCLS, dTokens engine.Tensor) {
	e, cx, tokens := o.engine, &o.cx, cache.Tokens(0)
	b, n, d := tokens.Dim(0), tokens.Dim(1), tokens.Dim(2)
	logits, dlogits := cx.Arena.New(b, o.Classes), cx.Arena.New(b, o.Classes)
	loss := func(to engine.Tensor) {
		e.CrossEntropy(engine.CrossEntropyArgs{Loss: to, DLogits: dlogits, Logits: logits,
			Labels: o.labels, Smoothing: 0.1, Weight: 1})
	}
	dCLS, dTokens = cx.Arena.New(b, d), cx.Arena.New(b, n, d)
	var lc LinearCache
	o.Linear.Forward(cx, &lc, logits, cache.CLS)
	loss(o.report.linear)
	o.Linear.Backward(cx, &lc, dCLS, dlogits)
	patches, dPatches := cx.Arena.New(b, n-1, d), cx.Arena.New(b, n-1, d)
	meanTokens(cx, patches, []jepa.Tokens{{All: tokens, Lo: 1, Hi: n}})
	var ac AttentiveCache
	o.Attentive.Forward(cx, &ac, logits, patches)
	loss(o.report.attended)
	o.Attentive.Backward(cx, &ac, dPatches, dlogits)
	e.Fill(dTokens, 0)
	for i := range b {
		e.Copy(sequence(dTokens, i).Slice(1, n), sequence(dPatches, i))
	}
	return dCLS, dTokens
}

func TestGoldenCrossEntropy(t *testing.T) {
	var file struct {
		S struct {
			Logits [][]float32
			Labels []float32
			Ls0    float64 `json:"cross_entropy_ls0"`
			Ls01   float64 `json:"cross_entropy_ls01"`
		} `json:"single_label"`
	}
	golden.JSON(t, "metrics.json", &file)
	s := file.S
	var flat []float32
	for _, row := range s.Logits {
		flat = append(flat, row...)
	}
	golden.OnEngines(t, func(t *testing.T, e engine.Engine) {
		logits := golden.Upload(t, e, flat, len(s.Logits), len(s.Logits[0]))
		labels, loss := golden.Upload(t, e, s.Labels, len(s.Labels)), golden.Upload(t, e, []float32{0}, 1)
		for smoothing, want := range map[float64]float64{0: s.Ls0, 0.1: s.Ls01} {
			e.CrossEntropy(engine.CrossEntropyArgs{Loss: loss, Logits: logits, Labels: labels,
				Smoothing: smoothing})
			got := float64(golden.Download(e, loss)[0])
			if !(math.Abs(got-want) <= 1e-6) {
				t.Errorf("smoothing %g: %g, want %g", smoothing, got, want)
			}
		}
	})
}
