package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"avjepa/internal/engine"
	"avjepa/internal/view"
)

func mustNot(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.toml")
	mustNot(t, os.WriteFile(path, []byte(text), 0o644))
	return path
}

// TestOrigins lays every kind of source over the ones before it.
func TestOrigins(t *testing.T) {
	c := New()
	mustNot(t, c.ApplyPreset("tiny"))
	file := writeFile(t, "seed = 3\n[train]\nlr = 1e-4\nbatch_size = 8\nkeep = 3\n[view]\nflip = 0\n")
	mustNot(t, c.ApplyFile(file))
	mustNot(t, c.ApplyEnviron([]string{"HOME=/x", "AVJEPA_TRAIN_LR=2e-4", "AVJEPA_TRAIN_KEEP=4",
		"AVJEPA_NO_SUCH=1", "AVJEPA_MODEL_EMBED_NORM=false"}))
	mustNot(t, c.Set("train.lr", "3e-4", "flag"))
	for _, w := range []struct {
		key    string
		value  any
		origin string
	}{
		{"train.lr", 3e-4, "flag"}, {"train.keep", 4, "environment AVJEPA_TRAIN_KEEP"},
		{"model.embed_norm", false, "environment AVJEPA_MODEL_EMBED_NORM"},
		{"train.batch_size", 8, "file " + file}, {"seed", int64(3), "file " + file},
		{"view.flip", 0., "file " + file},
		{"view.side", 112, "preset tiny"}, {"model.dropout", 0., "preset recommended"},
		{"view.globals", 2, "default"}, {"train.beta1", .9, "default"},
	} {
		if got := c.Origin(w.key); got != w.origin {
			t.Errorf("%s is from %q, want %q", w.key, got, w.origin)
		}
		for _, s := range c.Settings() {
			if s.Key == w.key && (s.Value != w.value || s.Origin != w.origin) {
				t.Errorf("%s = %v from %q, want %v from %q", s.Key, s.Value, s.Origin, w.value, w.origin)
			}
		}
	}
	mustNot(t, c.Validate())
}

func TestUnknownKey(t *testing.T) {
	c := New()
	err := c.Set("train.batchsize", "3", "flag")
	if !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), "train.batch_size") {
		t.Errorf("error %v", err)
	}
	err = c.ApplyFile(writeFile(t, "[train]\nlearning_rate = 1\n[veiw]\nside = 3\n"))
	if !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), "veiw.side") ||
		!strings.Contains(err.Error(), "view.side") ||
		!strings.Contains(err.Error(), "train.learning_rate") {
		t.Errorf("both keys should be named: %v", err)
	}
	if err := c.ApplyPreset("tini"); err == nil || !strings.Contains(err.Error(), "tiny") {
		t.Errorf("unknown preset: %v", err)
	}
	for key, text := range map[string]string{"train.lr": "fast", "view.side": "1.5", "seed": "",
		"model.embed_norm": "maybe", "loss.tmax": "NaN", "train.clip": "inf", "data.dir": "a\x00b",
		"eval.split": "\xff", "data.split": strings.Repeat("x", 5000)} {
		if err := c.Set(key, text, "flag"); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s = %.20q: %v", key, text, err)
		}
	}
	if !reflect.DeepEqual(c, New()) {
		t.Error("refused values have changed something")
	}
}

func TestPresets(t *testing.T) {
	names := Presets()
	if len(names) < 5 {
		t.Errorf("presets %v", names)
	}
	for name, about := range names {
		c := New()
		mustNot(t, c.ApplyPreset(name))
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if len(about) < 20 {
			t.Errorf("%s is described as %q", name, about)
		}
		roundTrip(t, name, c)
	}
	c := New()
	mustNot(t, c.Validate())
	awkward := "C:\\data \"x\"\t\n\x7f é €#[a]"
	mustNot(t, c.Set("data.dir", awkward, "flag"))
	mustNot(t, c.Set("train.lr", "1e-300", "flag"))
	mustNot(t, c.Set("train.eps", "123456789012345680000000", "flag"))
	mustNot(t, c.Set("seed", "9223372036854775807", "flag"))
	roundTrip(t, "awkward values", c)
	if !strings.Contains(c.TOML(), "crop_max = 1.0\n") {
		t.Error("a whole number is not written as the float it is")
	}
}

// roundTrip holds TOML to what ApplyFile reads back, over other values.
func roundTrip(t *testing.T, name string, c *Config) {
	t.Helper()
	back := New()
	mustNot(t, back.Set("view.side", "1", "flag"))
	mustNot(t, back.Set("data.dir", "other", "flag"))
	if err := back.ApplyFile(writeFile(t, c.TOML())); err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	back.origins = c.origins
	if !reflect.DeepEqual(back, c) {
		t.Errorf("%s does not come back:\n%s", name, c.TOML())
	}
}

// TestValidate gives every field a value that cannot be used, and wants each named.
func TestValidate(t *testing.T) {
	c := New()
	bad := map[string]string{
		"seed": "-1", "engine.name": "gpu", "engine.threads": "-1", "engine.group_timeout": "0", "data.cache_mb": "-1",
		"engine.device": "cuda:-1", "engine.precision": "f16",
		"data.order": "random", "data.lanes": "-1", "data.shuffle_mb": "0", "data.sampling": "even",
		"data.workers": "5000", "view.side": "225", "view.windows": "some", "view.flip": "2",
		"view.seconds": "0", "view.crop_min": "0.9", "view.crop_max": "0.5", "view.mel_std": "0",
		"view.box_left": "0.7", "view.box_right": "0.3", "mask.drop_p": "7",
		"augment.jitter": "2", "augment.gain_db": "-1",
		"model.size": "huge", "model.width": "-4", "model.depth": "-1", "model.dropout": "1",
		"model.init_std": "0", "model.absent": "keep", "model.encoder": "three", "model.mlp_ratio": "0",
		"projector.hidden": "0", "projector.out": "0",
		"loss.lambda": "1.5", "loss.invariance": "max", "loss.sigreg": "none",
		"loss.directions": "0", "train.batch_size": "1", "train.epochs": "0", "train.lr": "0",
		"train.warmup": "2", "train.beta1": "1", "train.eps": "0", "train.weight_decay": "-1",
		"train.decay": "some", "train.clip": "-1", "train.keep": "0",
		"train.checkpoint_every": "-1", "probe.online": "true", "probe.lr": "0", "probe.every": "-1",
		"probe.clips": "-1", "train.micro_batch": "2", "eval.windows": "0", "eval.embedding": "tokens",
	}
	for k, v := range bad {
		mustNot(t, c.Set(k, v, "flag"))
	}
	err := c.Validate()
	if err == nil {
		t.Fatal("all is accepted")
	}
	for _, w := range []string{
		"seed = -1", `engine.name = "gpu"`, "engine.threads = -1", "engine.group_timeout = 0", "data.cache_mb = -1",
		`engine.device = "cuda:-1"`, `engine.precision = "f16"`,
		`data.order = "random"`, "data.lanes = -1", "data.shuffle_mb = 0", `data.sampling = "even"`,
		"data.workers = 5000", "225", `"some"`, "flip probability 2", "seconds 0", "crop scale",
		"mel std 0", "box", "mask.drop_p = 7", "jitter 2", "gain -1 dB", `"huge"`, "model.width = -4", "model.depth = -1",
		"dropout 1", "initial deviation 0", `model.absent = "keep"`, `model.encoder = "three"`, "model.mlp_ratio = 0",
		"projector.hidden = 0", "projector.out = 0", "lambda 1.5", `loss.invariance = "max"`,
		`loss.sigreg = "none"`, "loss.directions = 0", "train.batch_size = 1",
		"train.epochs = 0", "train.lr = 0", "train.warmup = 2", "beta 1", "eps 0",
		"weight decay -1", `decay "some"`, "clip norm -1", "train.keep = 0",
		"train.checkpoint_every = -1", "probe.lr = 0: must", "probe.lr = 0: below", "probe.every = -1",
		"probe.clips = -1", "probe.attentive = false", "eval.windows = 0", `eval.embedding = "tokens"`,
	} {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("not reported: %s", w)
		}
	}
	if t.Failed() {
		t.Logf("reported:\n%v", err)
	}
}

// Devices belong to engines: the CPU's has no GPU.
func TestEngineKeys(t *testing.T) {
	for _, o := range []struct {
		name, device, precision string
		ok                      bool
		compute                 engine.DType
	}{
		{"cpu", "", "f32", true, engine.F32}, {"cpu", "auto", "f32", true, engine.F32},
		{"cpu", "cuda", "f32", false, engine.F32}, {"cpu", "cuda:0", "f32", false, engine.F32},
		{"torch", "", "f32", true, engine.F32}, {"torch", "cuda:12", "bf16", true, engine.BF16},
		{"torch", "cuda", "bf16", true, engine.BF16}, {"torch", "auto", "f32", true, engine.F32},
		{"torch", "cuda:", "f32", false, engine.F32}, {"torch", "gpu", "f32", false, engine.F32},
	} {
		c := New()
		c.Engine.Name, c.Engine.Device, c.Engine.Precision = o.name, o.device, o.precision
		if err := c.Validate(); (err == nil) != o.ok {
			t.Errorf("%v: %v", o, err)
		}
		if j, err := c.JEPAConfig(); err != nil || j.Compute != o.compute {
			t.Errorf("%v: computes in %v, %v", o, j.Compute, err)
		}
	}
}

// TestExtremes gives every number the largest and smallest values there are: errors
// or not, never a panic, neither here nor in what is built from a config.
func TestExtremes(t *testing.T) {
	for _, f := range New().fields() {
		for _, text := range []string{"9223372036854775807", "-9223372036854775808", "1e308",
			"-1e308", "5e-324", "0", "", "x"} {
			c := New()
			if c.Set(f.key, text, "flag") != nil {
				continue
			}
			for _, masks := range []bool{false, true} {
				c.Mask.Enabled = masks
				if err := c.Validate(); err != nil {
					continue
				}
				if tc := c.TrainConfig(1 << 30); tc.Schedule.Steps < 1 {
					t.Errorf("%s = %s: %d steps", f.key, text, tc.Schedule.Steps)
				}
			}
		}
	}
}

// TestAugment sets every alteration of views and looks for it where it is used.
func TestAugment(t *testing.T) {
	if v := New().ViewConfig(); v.Augment != (view.Augment{}) || v.EvalSquash {
		t.Errorf("altered by default: %+v", v)
	}
	c := New()
	mustNot(t, c.ApplyText("[augment]\njitter = 0.1\ngrey = 0.2\nblur = 0.3\nsolarise = 0.4\n"+
		"gain_db = 6\nnoise = 0.5\n[eval]\nsquash = true\n", "file x"))
	mustNot(t, c.Validate())
	v := c.ViewConfig()
	want := view.Augment{Jitter: .1, Grey: .2, Blur: .3, Solarise: .4, GainDB: 6, Noise: .5}
	if v.Augment != want || !v.EvalSquash {
		t.Errorf("views %+v, squash %v; want %+v", v.Augment, v.EvalSquash, want)
	}
}

func TestGeometry(t *testing.T) {
	c := New()
	mustNot(t, c.ApplyPreset("demo"))
	mustNot(t, c.Set("mask.enabled", "true", "flag"))
	mustNot(t, c.Set("view.box_left", "0.25", "flag"))
	mustNot(t, c.Validate())
	j, err := c.JEPAConfig()
	mustNot(t, err)
	v := c.ViewConfig()
	if j.Encoder.Width != 96 || j.Encoder.Depth != 3 || j.Encoder.Heads != 3 ||
		j.Encoder.MelFrames != v.MelFrames() || !j.LocalsBoth {
		t.Errorf("model %+v", j)
	}
	if v.Box != [4]float64{.25, 0, 1, 1} || v.Masking.TubePatch != 16 || !v.FloatVideo() {
		t.Errorf("views %+v", v)
	}
	tc := c.TrainConfig(640)
	if tc.Schedule.Steps != 320 || tc.Schedule.Warmup != 32 || tc.CheckpointEvery != 10 {
		t.Errorf("schedule %+v, a checkpoint every %d", tc.Schedule, tc.CheckpointEvery)
	}
}

// TestHostileText refuses texts that no honest file looks like, quickly.
func TestHostileText(t *testing.T) {
	many := new(strings.Builder)
	for i := range 4000 {
		fmt.Fprintf(many, "key%d = 1\n", i)
	}
	for name, text := range map[string]string{
		"deep tables": "[" + strings.Repeat("a.", 20000) + "a]\nb = 1\n",
		"deep keys":   strings.Repeat("a.", 20000) + "a = 1\n",
		"deep arrays": "a = " + strings.Repeat("[", 30000) + strings.Repeat("]", 30000),
		"deep inline": "a = " + strings.Repeat("{a = ", 12000) + "1" + strings.Repeat("}", 12000),
		"array":       "[view]\nside = [1, 2]\n", "date": "seed = 2020-01-01\n",
		"tables": "[[view]]\nside = 3\n", "scalar": "view = 3\n",
		"long key": strings.Repeat("a", 60000) + " = 1\n", "many keys": many.String(),
		"huge":    "# " + strings.Repeat("x", 1<<20),
		"integer": "seed = 99999999999999999999\n", "nan": "[train]\nlr = nan\n",
		"no text": "\x00\x01\x02", "not UTF-8": "[data]\ndir = \"\xff\"\n",
		"twice": "seed = 1\nseed = 2\n", "extends": "extends = 5\n", "unfinished": "[view\n",
		"no preset": "extends = \"../presets/demo\"\n",
	} {
		start := time.Now()
		err := New().ApplyText(text, "file x")
		if err == nil {
			t.Errorf("%s is accepted", name)
			continue
		}
		if took := time.Since(start); took > 2*time.Second || len(err.Error()) > 64<<10 {
			t.Errorf("%s: %v for an error of %d bytes", name, took, len(err.Error()))
		}
	}
	for _, path := range []string{filepath.Join(t.TempDir(), "none"), t.TempDir()} {
		if err := New().ApplyFile(path); err == nil {
			t.Errorf("%s is read", path)
		}
	}
}

func FuzzApplyText(f *testing.F) {
	f.Add(New().TOML())
	f.Add("extends = \"demo\"\n[view]\nside = 16\n")
	f.Fuzz(func(t *testing.T, text string) {
		c := New()
		if err := c.ApplyText(text, "fuzz"); err != nil {
			if !strings.Contains(err.Error(), "fuzz") && !strings.Contains(err.Error(), "preset") ||
				len(err.Error()) > 1<<14 {
				t.Fatalf("error %v", err)
			}
			return
		}
		_ = c.Validate()
		back := New()
		if err := back.ApplyText(c.TOML(), "again"); err != nil {
			t.Fatalf("what was read is not read back: %v\n%s", err, c.TOML())
		}
	})
}
