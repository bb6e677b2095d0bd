package finetune

import (
	"fmt"
	"math"
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/engine/cpu"
	"avjepa/internal/engine/ref"
	"avjepa/internal/nn"
	"avjepa/internal/rng"
	"avjepa/internal/vit"
)

// tinyModel has two blocks, 8 tokens of video and 4 of audio.
func tinyModel() Model {
	enc := vit.Default()
	enc.Width, enc.Depth, enc.Heads, enc.MLPRatio = 8, 2, 2, 2
	enc.Frames, enc.Side, enc.PatchT, enc.Patch = 4, 8, 2, 4
	enc.MelBands, enc.MelFrames, enc.PatchMel, enc.PatchMelT = 8, 9, 4, 4
	enc.InitStd = 0.3
	return Model{Encoder: enc, Classes: 3, Attentive: true}
}

func newTiny(t testing.TB, e engine.Engine, m Model, views int, p Purpose) *Network {
	t.Helper()
	n, err := New(e, m, views, p)
	if err != nil {
		t.Fatal(err)
	}
	n.Backbone.Init(3)
	n.Init(3)
	return n
}

// inputs are rows of noise, and targets that sum to 1.
func inputs(m Model, rows int) (video []byte, audio, targets []float32) {
	c, r := m.Encoder, rng.New(9)
	video = make([]byte, rows*c.Frames*c.Side*c.Side*3)
	for i := range video {
		video[i] = byte(r.IntN(256))
	}
	audio = make([]float32, rows*c.MelBands*c.MelFrames)
	r.FillNormal(audio, 1)
	targets = make([]float32, rows*m.Classes)
	for i := range rows {
		targets[i*m.Classes+r.IntN(m.Classes)] += .75
		targets[i*m.Classes+r.IntN(m.Classes)] += .25
	}
	return video, audio, targets
}

// TestGradients holds the gradient of every parameter, through heads and encoder, to
// differences of the loss.
func TestGradients(t *testing.T) {
	const rows, h = 2, 2e-3
	for name, alter := range map[string]func(m *Model, o *Objective, mod *vit.Modality){
		"shared":      func(*Model, *Objective, *vit.Modality) {},
		"linear head": func(m *Model, _ *Objective, _ *vit.Modality) { m.Attentive = false },
		"audio alone": func(_ *Model, _ *Objective, mod *vit.Modality) { *mod = vit.AudioOnly },
		"dropped": func(m *Model, _ *Objective, mod *vit.Modality) {
			m.Encoder.DropAbsent, m.Encoder.FinalNorm, *mod = true, true, vit.VideoOnly
		},
		"dual": func(m *Model, _ *Objective, _ *vit.Modality) { m.Dual = true },
		"dual, video": func(m *Model, _ *Objective, mod *vit.Modality) {
			m.Dual, *mod = true, vit.VideoOnly
		},
		"binary": func(_ *Model, o *Objective, _ *vit.Modality) {
			*o = Objective{Multi: true, PosWeight: []float32{1, 3, .5}}
		},
		"recomputed in parts": func(m *Model, _ *Objective, _ *vit.Modality) { m.Recompute = true },
	} {
		t.Run(name, func(t *testing.T) {
			m, o, modality := tinyModel(), Objective{Smoothing: .1}, vit.Both
			alter(&m, &o, &modality)
			video, audio, targets := inputs(m, rows)
			views := rows
			if m.Recompute {
				views = 1
			}
			e := ref.New()
			n := newTiny(t, e, m, views, Training)
			loss := func() float64 {
				return n.Step(video, audio, targets, modality, &o, 4).Total()
			}
			if l := loss(); !(l > 0) {
				t.Fatalf("loss %v", l)
			}
			r, checked := rng.New(5), 0
			for _, ps := range []*nn.Params{n.Backbone, n.Heads} {
				for _, p := range ps.List() {
					loss()
					grad := make([]float32, p.Shape.Elems())
					e.Download(grad, p.Grad)
					value := make([]float32, len(grad))
					e.Download(value, p.Value)
					for range 2 {
						i := r.IntN(len(value))
						at := func(d float32) float64 {
							old := value[i]
							value[i] += d
							e.Upload(p.Value, value)
							value[i] = old
							return loss()
						}
						want := (at(h) - at(-h)) / (2 * h)
						e.Upload(p.Value, value)
						if diff := math.Abs(float64(grad[i]) - want); !(diff <= 2e-3*(.05+math.Abs(want))) {
							t.Errorf("%s[%d]: gradient %g, differences %g", p.Name, i, grad[i], want)
						}
						if want != 0 {
							checked++
						}
					}
				}
			}
			if checked < 20 {
				t.Errorf("only %d gradients are not 0", checked)
			}
		})
	}
}

// TestPartsAreOneBatch: gradients of a batch in parts are those of it at once, dropout
// included.
func TestPartsAreOneBatch(t *testing.T) {
	m := tinyModel()
	m.Encoder.Dropout, m.Encoder.AttentionDropout = .2, .2
	video, audio, targets := inputs(m, 5)
	var want []float32
	for _, views := range []int{5, 2, 1} {
		e, err := cpu.New(cpu.Config{Threads: 2})
		if err != nil {
			t.Fatal(err)
		}
		n := newTiny(t, e, m, views, Training)
		l := n.Step(video, audio, targets, vit.Both, &Objective{Smoothing: .1}, 7)
		grads := make([]float32, n.Backbone.Grads.Elems())
		e.Download(grads, n.Backbone.Grads)
		grads = append(grads, float32(l.Linear), float32(l.Attentive))
		if want == nil {
			want = grads
		}
		for i := range grads {
			if diff := math.Abs(float64(grads[i] - want[i])); !(diff <= 2e-6) {
				t.Fatalf("%d at once: gradient %d is %g, of 5 at once %g", views, i, grads[i], want[i])
			}
		}
		n.Free()
		e.Close()
	}
}

// TestFrozenLeavesTheEncoder: gradients of the heads alone, the same ones whether the
// features are made in the step or come from the host.
func TestFrozenLeavesTheEncoder(t *testing.T) {
	m := tinyModel()
	m.Frozen = true
	video, audio, targets := inputs(m, 3)
	e := ref.New()
	n := newTiny(t, e, m, 3, Training)
	o := Objective{Smoothing: .1}
	l := n.Step(video, audio, targets, vit.Both, &o, 0)
	grads := make([]float32, n.Heads.Grads.Elems())
	e.Download(grads, n.Heads.Grads)
	if !n.Backbone.Grads.Nil() {
		t.Error("a frozen encoder has gradients")
	}
	d, tokens := m.Encoder.Width, m.Encoder.Tokens()-1
	cls, patches := make([]float32, 3*d), make([]float32, 3*tokens*d)
	n.readFeatures(cls, patches, 3, vit.Both)
	n.begin(0)
	n.useFeatures(cls, patches, 3)
	_, _, again := n.headsStep(targets, &o, 1./3, false)
	other := make([]float32, len(grads))
	e.Download(other, n.Heads.Grads)
	for i := range grads {
		if !(math.Abs(float64(grads[i]-other[i])) <= 1e-6) {
			t.Fatalf("gradient %d is %g, from kept features %g", i, grads[i], other[i])
		}
	}
	if fmt.Sprintf("%.5f", l) != fmt.Sprintf("%.5f", again) {
		t.Errorf("losses %v and %v", l, again)
	}
}
