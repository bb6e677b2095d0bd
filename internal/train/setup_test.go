package train

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"avjepa/internal/dataset"
	"avjepa/internal/dataset/datasettest"
	"avjepa/internal/engine"
	"avjepa/internal/engine/cpu"
	"avjepa/internal/jepa"
	"avjepa/internal/loader"
	"avjepa/internal/optim"
	"avjepa/internal/view"
	"avjepa/internal/vit"
)

// skip skips the test, or fails it when AVJEPA_REQUIRE lists what is missing.
func skip(t testing.TB, thing, reason string) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("AVJEPA_REQUIRE"), ","), thing) {
		t.Fatalf("AVJEPA_REQUIRE=%s: %s", thing, reason)
	}
	t.Skip(reason)
}

// tinyView and tinyModel are the smallest geometry with all parts: several
// tubelets and audio patches, both kinds of locals.
func tinyView() view.Config {
	c := view.Default()
	c.Seconds, c.Frames, c.Side, c.Resize, c.Bands = .64, 4, 16, 18, 16
	return c
}

func tinyModel() jepa.Config {
	v := tinyView()
	return jepa.Config{
		Encoder: vit.Config{Width: 16, Depth: 2, Heads: 2, MLPRatio: 2,
			Frames: v.Frames, Side: v.Side, PatchT: 2, Patch: 8,
			MelBands: v.Bands, MelFrames: v.MelFrames(), PatchMel: 8, PatchMelT: 16,
			EmbedNorm: true, InitStd: .05},
		Hidden: 24, Proj: 8, Globals: v.Globals, Locals: v.Locals,
		Lambda: .05, Directions: 16, Knots: engine.Knots{Max: 5, Count: 17},
	}
}

const tinyBatch = 4

func tinyConfig(steps int) Config {
	return Config{Seed: 7, BatchSize: tinyBatch, Workers: 2, Keep: 2, CheckpointEvery: 5,
		Schedule: optim.Schedule{Base: 3e-3, Start: .1, Min: 1e-5, Warmup: 3, Steps: steps},
		Optim:    optim.Default(), TOML: "seed = 7\n"}
}

// trial is what a run of Pretrain needs.
type trial struct {
	t       testing.TB
	dir     string
	set     *dataset.Set
	threads int
	wrap    func(engine.Engine) engine.Engine // what the run sees of its engine; nil for all of it
	model   jepa.Config
	cache   int64
	observe func(Metrics)
	probes  *Probes // beside the encoder, evaluated on the clips trained on; nil for none
}

// newTrial has 10 clips: two steps of 4 an epoch, two clips left over.
func newTrial(t testing.TB) *trial {
	return &trial{t: t, dir: filepath.Join(t.TempDir(), "run"), threads: 1, cache: 1 << 30,
		set: datasettest.Make(t, datasettest.Config{Clips: 10}), model: tinyModel()}
}

// run trains with an engine, a model and clips of its own, as a new process would.
func (r *trial) run(ctx context.Context, cfg Config) (Result, error) {
	r.t.Helper()
	own, err := cpu.New(cpu.Config{Threads: r.threads})
	if err != nil {
		r.t.Fatal(err)
	}
	defer own.Close()
	var e engine.Engine = own
	if r.wrap != nil {
		e = r.wrap(own)
	}
	model, err := jepa.New(e, r.model, cfg.Seed, cfg.BatchSize)
	if err != nil {
		r.t.Fatal(err)
	}
	folder, err := Open(r.dir)
	if err != nil {
		r.t.Fatal(err)
	}
	defer folder.Close()
	cfg.Probes = r.heldOut()
	return Pretrain(ctx, folder, e, model, r.clips(), cfg, r.observe)
}

// heldOut returns the trial's probes with clips of their own.
func (r *trial) heldOut() *Probes {
	if r.probes == nil {
		return nil
	}
	p := *r.probes
	p.HeldOut = r.clips()
	return &p
}

func (r *trial) clips() *loader.Clips {
	r.t.Helper()
	maker, err := view.NewMaker(tinyView())
	if err != nil {
		r.t.Fatal(err)
	}
	return loader.NewClips(r.set, maker, r.cache)
}

// mustRun is run without an error.
func (r *trial) mustRun(cfg Config) Result {
	r.t.Helper()
	res, err := r.run(context.Background(), cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	return res
}

// in is a trial of the same clips in another folder.
func (r *trial) in(name string) *trial {
	other := *r
	other.dir = filepath.Join(r.t.TempDir(), name)
	return &other
}

// last returns the newest checkpoint's bytes.
func (r *trial) last() []byte {
	r.t.Helper()
	path, err := Latest(r.dir)
	if err != nil {
		r.t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

// metrics returns the log without what a clock measured.
func (r *trial) metrics() []Metrics {
	r.t.Helper()
	log, err := ReadMetrics(r.dir)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := range log {
		m := &log[i]
		if !(m.Seconds > 0 && m.ClipsPerS > 0 && m.GFLOPS > 0 && m.WaitShare >= 0) {
			r.t.Errorf("step %d: times %+v", m.Step, m)
		}
		m.Seconds, m.ClipsPerS, m.GFLOPS, m.WaitShare = 0, 0, 0, 0
	}
	return log
}

// same fails unless both runs ended in the same checkpoint and metrics.
func (r *trial) same(other *trial, what string) {
	r.t.Helper()
	if !bytes.Equal(r.last(), other.last()) {
		r.t.Errorf("%s: the checkpoints differ", what)
	}
	a, b := r.metrics(), other.metrics()
	if !slices.Equal(a, b) {
		x, _ := json.Marshal(a)
		y, _ := json.Marshal(b)
		r.t.Errorf("%s: the metrics differ:\n%s\n%s", what, x, y)
	}
}
