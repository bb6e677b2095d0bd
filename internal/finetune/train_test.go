package finetune

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"avjepa/internal/dataset/datasettest"
	"avjepa/internal/engine"
	"avjepa/internal/engine/cpu"
	"avjepa/internal/loader"
	"avjepa/internal/media"
	"avjepa/internal/optim"
	"avjepa/internal/train"
	"avjepa/internal/view"
	"avjepa/internal/vit"
)

// smallView makes views for smallModel.
func smallView() view.Config {
	v := view.Default()
	v.Seconds, v.Frames, v.Side, v.Resize, v.Bands = .6, 4, 16, 18, 16
	v.Globals, v.Locals, v.LocalCrop = 1, 0, false
	return v
}

func smallModel(v view.Config) Model {
	enc := vit.Default()
	enc.Width, enc.Depth, enc.Heads, enc.MLPRatio, enc.InitStd = 16, 2, 2, 2, .2
	enc.Frames, enc.Side, enc.PatchT, enc.Patch = v.Frames, v.Side, 2, 8
	enc.MelBands, enc.MelFrames, enc.PatchMel, enc.PatchMelT = v.Bands, v.MelFrames(), 8, 20
	enc.Dropout = .1
	return Model{Encoder: enc, Classes: 3, Attentive: true}
}

func smallConfig() Config {
	o := optim.Config{Beta1: .9, Beta2: .999, Eps: 1e-8, Decay: optim.DecayAll, Clip: 1}
	b := o
	b.WeightDecay = .05
	return Config{Seed: 1, BatchSize: 4, Epochs: 5, Head: optim.Schedule{Base: 3e-3, Start: .1, Min: 1e-7},
		Backbone: optim.Schedule{Base: 3e-4, Start: .1, Min: 1e-7}, WarmupShare: .1, HeadOptim: o,
		BackboneOptim: b, Smoothing: .1, Windows: 1, Select: SelectAttentive, Workers: 2,
		KeepBytes: 1 << 30, SpillBytes: 1 << 30}
}

// smallData is 17 clips to train on and 6 to judge by, of which alter may break some.
func smallData(t *testing.T, v view.Config, alter func(clip int, c *media.Clip)) Data {
	t.Helper()
	maker, err := view.NewMaker(v)
	if err != nil {
		t.Fatal(err)
	}
	keep := []media.Outcome{media.NoVideo}
	a := datasettest.Make(t, datasettest.Config{Clips: 17, Alter: alter, Keep: keep})
	b := datasettest.Make(t, datasettest.Config{Clips: 6, Alter: alter, Keep: keep, Split: "val"})
	return Data{Train: loader.NewClips(a, maker, 1<<30), Val: loader.NewClips(b, maker, 1<<30),
		Labels: LabelsOf(a)}
}

func newEngine(t *testing.T) engine.Engine {
	t.Helper()
	e, err := cpu.New(cpu.Config{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// trainSmall trains in dir, as far as StopAfter, and returns how that ended.
func trainSmall(t *testing.T, dir string, m Model, data Data, cfg Config, see Observer) (Outcome, error) {
	t.Helper()
	run, err := train.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	e := newEngine(t)
	n, err := New(e, m, 3, Training)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Free()
	n.Backbone.Init(7)
	return Train(context.Background(), run, e, n, data, cfg, see)
}

func mustTrain(t *testing.T, dir string, m Model, data Data, cfg Config) Outcome {
	t.Helper()
	res, err := trainSmall(t, dir, m, data, cfg, Observer{})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func read(t *testing.T, parts ...string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// sameRun compares what two runs have learned: the last checkpoint, the best one and
// the log of epochs.
func sameRun(t *testing.T, a, b string) {
	t.Helper()
	for _, name := range []string{"checkpoints/step-00000020.safetensors", train.BestName, epochsName} {
		if !bytes.Equal(read(t, a, name), read(t, b, name)) {
			t.Errorf("%s differs", name)
		}
	}
}

// TestResume: 3 + 5 + 9 + 3 steps are 20, bit for bit, however the run was stopped and
// whatever was altered of the views.
func TestResume(t *testing.T) {
	for name, alter := range map[string]func(m *Model, c *Config){
		"fine-tuned": func(*Model, *Config) {},
		"frozen":     func(m *Model, c *Config) { m.Frozen, c.EvalViews = true, true },
		"augmented": func(_ *Model, c *Config) {
			c.Augment = Augment{Mixup: .5, MixupAlpha: 10, FreqBands: 6, TimeFrames: 20}
			c.Balanced = true
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := smallView()
			m, cfg := smallModel(v), smallConfig()
			alter(&m, &cfg)
			data := smallData(t, v, nil)
			whole, parts := t.TempDir(), t.TempDir()
			if res := mustTrain(t, whole, m, data, cfg); res.Steps != 20 || res.Best.Epoch == 0 ||
				res.Last.Epoch != 5 {
				t.Fatalf("ended as %+v", res)
			}
			for _, n := range []int{3, 5, 9, 0} { // the second one ends with an epoch
				cfg.StopAfter = n
				mustTrain(t, parts, m, data, cfg)
				cfg.Resume = true
			}
			sameRun(t, whole, parts)
			cfg.Resume = false
			if _, err := trainSmall(t, parts, m, data, cfg, Observer{}); !errors.Is(err, train.ErrHasRun) {
				t.Errorf("begun again: %v", err)
			}
			cfg.Resume, cfg.Seed = true, 2
			if _, err := trainSmall(t, parts, m, data, cfg, Observer{}); !errors.Is(err, train.ErrMismatch) {
				t.Errorf("another seed: %v", err)
			}
		})
	}
}

// TestKeptFeaturesChangeNothing: in memory, in a file and made anew in each epoch they
// give the same run, broken clips included, and the file is gone afterwards.
func TestKeptFeaturesChangeNothing(t *testing.T) {
	v := smallView()
	m, cfg := smallModel(v), smallConfig()
	m.Frozen, cfg.EvalViews = true, true
	broken := func(clip int, c *media.Clip) {
		if clip == 2 || clip == 3 || clip == 16 { // the last one's place takes the first
			c.Frames[1] = c.Frames[1][:40]
		}
	}
	data := smallData(t, v, broken)
	dirs := map[string]string{}
	for _, where := range []string{KeptMemory, KeptFile, KeptNot} {
		dirs[where] = t.TempDir()
		cfg.KeepBytes, cfg.SpillBytes = 0, 0
		switch where {
		case KeptMemory:
			cfg.KeepBytes = 1 << 30
		case KeptFile:
			cfg.SpillBytes = 1 << 30
		}
		res := mustTrain(t, dirs[where], m, data, cfg)
		if res.Kept != where || res.Steps != 20 {
			t.Errorf("%s: ended as %+v", where, res)
		}
		if len(res.Skipped) != 3 {
			t.Errorf("%s: skipped %v, want 3 clips", where, res.Skipped)
		}
		left, err := filepath.Glob(filepath.Join(dirs[where], ".features*"))
		if err != nil || len(left) > 0 {
			t.Errorf("%s: left %v, %v", where, left, err)
		}
	}
	for _, where := range []string{KeptFile, KeptNot} {
		sameRun(t, dirs[KeptMemory], dirs[where])
	}
}

// TestLearns: the loss falls, and the best epoch's file is that of the best epoch.
func TestLearns(t *testing.T) {
	v := smallView()
	m, cfg := smallModel(v), smallConfig()
	m.Encoder.Dropout = 0
	cfg.Epochs, cfg.Backbone.Base = 12, 3e-3
	data := smallData(t, v, nil)
	dir := t.TempDir()
	res := mustTrain(t, dir, m, data, cfg)
	all, err := ReadEpochs(dir)
	if err != nil || len(all) != 12 {
		t.Fatalf("%d epochs, %v", len(all), err)
	}
	if !(all[11].Loss < .8*all[0].Loss) {
		t.Errorf("loss %v after %v", all[11].Loss, all[0].Loss)
	}
	s, f, err := train.ReadState(filepath.Join(dir, train.BestName))
	if err != nil {
		t.Fatal(err)
	}
	if s.Step != res.Best.Step || len(s.Classes) != 3 || !f.Has("probe_head.weight") ||
		!f.Has("att_probe.query") || !f.Has("encoder.embedding.cls_token") {
		t.Errorf("best: %+v, %v", s, f.Names())
	}
	for i := range all {
		if all[i].Best && *all[i].Scores[0].Top1 > *res.Best.Scores[0].Top1 {
			t.Errorf("epoch %d is better than the best: %+v", i+1, all[i])
		}
	}
}

// TestSoundAlone: clips without frames are trained on and judged by their sound.
func TestSoundAlone(t *testing.T) {
	v := smallView()
	v.Modality = view.AudioOnly
	m, cfg := smallModel(smallView()), smallConfig()
	cfg.Modality = vit.AudioOnly
	data := smallData(t, v, func(_ int, c *media.Clip) {
		c.Frames, c.FPS, c.Width, c.Height = nil, 0, 0, 0
		c.Outcome = media.NoVideo
	})
	res := mustTrain(t, t.TempDir(), m, data, cfg)
	if len(res.Best.Scores) != 2 || res.Best.Scores[0].Input != "audio" || len(res.Skipped) > 0 {
		t.Errorf("ended as %+v", res)
	}
}

// TestInterrupted: a cancelled run saves, says why it ended, and goes on to the same end.
func TestInterrupted(t *testing.T) {
	v := smallView()
	m, cfg := smallModel(v), smallConfig()
	data := smallData(t, v, nil)
	whole, parts := t.TempDir(), t.TempDir()
	mustTrain(t, whole, m, data, cfg)
	run, err := train.Open(parts)
	if err != nil {
		t.Fatal(err)
	}
	e := newEngine(t)
	n, err := New(e, m, 3, Training)
	if err != nil {
		t.Fatal(err)
	}
	n.Backbone.Init(7)
	why := errors.New("no more of this")
	ctx, cancel := context.WithCancelCause(context.Background())
	res, err := Train(ctx, run, e, n, data, cfg, Observer{Step: func(m StepMetrics) {
		if m.Step == 8 { // the last of an epoch: it is judged after the interrupt
			cancel(why)
		}
	}})
	run.Close()
	if !errors.Is(err, why) || res.Steps != 8 || !strings.HasSuffix(res.Checkpoint, "step-00000008.safetensors") {
		t.Fatalf("ended as %+v, %v", res, err)
	}
	cfg.Resume = true
	mustTrain(t, parts, m, data, cfg)
	sameRun(t, whole, parts)
}

// TestNotFinite: a diverged run says so and leaves no checkpoint of it.
func TestNotFinite(t *testing.T) {
	v := smallView()
	m, cfg := smallModel(v), smallConfig()
	m.Encoder.Dropout = 0
	cfg.Head.Base, cfg.Backbone.Base, cfg.HeadOptim.Clip, cfg.BackboneOptim.Clip = 1e30, 1e30, 0, 0
	dir := t.TempDir()
	_, err := trainSmall(t, dir, m, smallData(t, v, nil), cfg, Observer{})
	if !errors.Is(err, train.ErrNotFinite) {
		t.Errorf("ended with %v", err)
	}
}

func TestConfigListsEveryFault(t *testing.T) {
	v := smallView()
	m := smallModel(v)
	m.Attentive = false
	c := Config{Smoothing: 1, Augment: Augment{Mixup: 2, FreqBands: -1}, Select: SelectAttentive}
	_, err := trainSmall(t, t.TempDir(), m, Data{}, c, Observer{})
	for _, want := range []string{"batch of 0", "0 epochs", "smoothing 1", "mixup 2", "-1 bands", "attentive",
		"alpha"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
}
