package probe

import (
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/golden"
	"avjepa/internal/jepa"
	"avjepa/internal/vit"
)

// TestGoldenDual trains the heads beside two encoders: linear on the mean of their
// CLS, attentive on the patches of both.
func TestGoldenDual(t *testing.T) {
	golden.OnEngines(t, func(t *testing.T, e engine.Engine) {
		g, clips := golden.Open(t, "dual.safetensors"), golden.Open(t, "loss.safetensors")
		cfg := goldenConfig()
		cfg.Dual = true
		m, err := jepa.New(e, cfg, 1, golden.Clips)
		if err != nil {
			t.Fatal(err)
		}
		o, err := NewOnline(e, DefaultOnline(golden.Classes), cfg, 1, golden.Clips)
		if err != nil {
			t.Fatal(err)
		}
		weights := golden.DualWeights(t)
		if err := m.Params.Import(weights); err != nil {
			t.Fatal(err)
		}
		if err := o.Params.Import(weights); err != nil {
			t.Fatal(err)
		}
		b, labels := goldenBatch(clips, e)
		setDirections(m, clips.Array("directions").Data)
		m.StepDrawn(b, 0)
		if err := o.Step(m.Features(), labels); err != nil {
			t.Fatal(err)
		}
		l := o.Losses()
		g.Check("losses", "probe_loss", float32(l.Linear))
		g.Check("losses", "att_probe_loss", float32(l.Attentive))
		g.Check("losses", "probe_audio_loss", golden.Download(e, o.report.audio)...)
		g.Check("losses", "probe_video_loss", golden.Download(e, o.report.video)...)
		g.Check("losses", "joint_total_official",
			float32(m.Losses().Total+l.Linear+l.Unimodal+l.Attentive))
		const n = golden.Clips
		linear, attentive := o.Score(m, vit.Group{Views: n,
			Video: b.GlobalVideo.Slice(0, n), Audio: b.GlobalAudio.Slice(0, n)})
		heard, _ := o.Score(m, vit.Group{Views: n, Audio: b.GlobalAudio.Slice(0, n)})
		if len(linear) != n*golden.Classes || len(attentive) != len(linear) || heard[0] == linear[0] {
			t.Errorf("%d and %d logits", len(linear), len(attentive))
		}
		g.Table("losses")
	})
}
