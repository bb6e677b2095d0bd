package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"avjepa/internal/checkpoint"
	"avjepa/internal/dataset/datasettest"
	"avjepa/internal/durable"
	"avjepa/internal/engine/cpu"
	"avjepa/internal/jepa"
	"avjepa/internal/media"
	"avjepa/internal/optim"
)

// wantError fails unless err is sentinel and its text has all words.
func wantError(t *testing.T, err, sentinel error, words ...string) {
	t.Helper()
	if !errors.Is(err, sentinel) {
		t.Errorf("error %v, want %v", err, sentinel)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}

// TestDiverged raises the learning rate until the loss is not finite: the run
// stops, names the checkpoint that is kept, and that one loads.
func TestDiverged(t *testing.T) {
	r := newTrial(t)
	cfg := tinyConfig(20)
	cfg.StopAfter = 5
	r.mustRun(cfg)
	good := r.last()
	cfg.StopAfter, cfg.Resume, cfg.CheckpointEvery = 0, true, 0
	cfg.Schedule.Base, cfg.Schedule.Warmup = 1e30, 0
	res, err := r.run(context.Background(), cfg)
	wantError(t, err, ErrNotFinite, "step-00000005.safetensors is kept", "train.lr", "1e+30")
	if res.Checkpoint == "" || res.Steps < 6 {
		t.Errorf("%d steps, checkpoint %q", res.Steps, res.Checkpoint)
	}
	for _, m := range r.metrics() {
		if sum := m.Total + m.GradNorm; sum-sum != 0 {
			t.Errorf("step %d is logged with loss %v", m.Step, m.Total)
		}
	}
	if string(r.last()) != string(good) {
		t.Error("the good checkpoint has changed")
	}
	cfg = tinyConfig(8)
	cfg.Resume = true
	if res := r.mustRun(cfg); res.First != 5 {
		t.Errorf("resumed at %d, want 5", res.First)
	}
}

// lateCancel is a context that is cancelled when Err is called for the nth time.
type lateCancel struct {
	context.Context
	n int
}

func (c *lateCancel) Err() error {
	if c.n--; c.n > 0 {
		return nil
	}
	return context.Canceled
}

// TestDivergedWhenInterrupted cancels a run in the step that diverges: that is an
// error, and nothing is saved.
func TestDivergedWhenInterrupted(t *testing.T) {
	r := newTrial(t)
	cfg := tinyConfig(20)
	cfg.Schedule.Base, cfg.Schedule.Warmup = 1e30, 0
	cfg.CheckpointEvery = 0
	res, err := r.run(context.Background(), cfg)
	wantError(t, err, ErrNotFinite, "none has been saved yet")
	_, err = r.run(&lateCancel{context.Background(), res.Steps}, cfg)
	wantError(t, err, ErrNotFinite, "lower train.lr")
	if path, err := Latest(r.dir); !errors.Is(err, ErrNoCheckpoint) {
		t.Errorf("%s was saved", path)
	}
}

// TestSaveRefusesNaN keeps values that are not finite out of checkpoints.
func TestSaveRefusesNaN(t *testing.T) {
	r := newTrial(t)
	e, model := r.open(tinyConfig(1))
	defer e.Close()
	p := model.Params.List()[3]
	e.Fill(p.Value, float32(math.Inf(1)))
	path := filepath.Join(t.TempDir(), "broken.safetensors")
	err := Save(path, model, nil, State{Step: 3})
	wantError(t, err, ErrNotFinite, "step 3", p.Name)
	if _, err := os.Stat(path); err == nil {
		t.Error("broken values were saved")
	}
}

func TestFolderIsLocked(t *testing.T) {
	r := newTrial(t)
	first, err := Open(r.dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(r.dir)
	wantError(t, err, durable.ErrLocked, r.dir, "--name")
	first.Close()
	again, err := Open(r.dir)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

func TestRefusesToOverwrite(t *testing.T) {
	r := newTrial(t)
	r.mustRun(tinyConfig(3))
	good := r.last()
	cfg := tinyConfig(3)
	cfg.TOML = "seed = 8\n"
	_, err := r.run(context.Background(), cfg)
	wantError(t, err, ErrHasRun, "step-00000003.safetensors", "--resume", "--name")
	if string(r.last()) != string(good) || len(r.metrics()) != 3 {
		t.Error("the run has changed")
	}
	text, err := os.ReadFile(filepath.Join(r.dir, "config.toml"))
	if err != nil || string(text) != "seed = 7\n" {
		t.Errorf("config.toml is %q, %v", text, err)
	}
}

func TestOtherModel(t *testing.T) {
	r := newTrial(t)
	r.mustRun(tinyConfig(3))
	good := r.last()
	r.model.Encoder.Width = 32
	cfg := tinyConfig(6)
	cfg.Resume = true
	_, err := r.run(context.Background(), cfg)
	wantError(t, err, ErrMismatch, "encoder.embedding.cls_token", "16", "32")
	if string(r.last()) != string(good) {
		t.Error("the checkpoint has changed")
	}

	// A model that a checkpoint does not fit is left as it was, whatever is wrong.
	r.model = tinyModel()
	e, model := r.open(cfg)
	defer e.Close()
	opt, err := optim.New(e, model.Params, cfg.Optim)
	if err != nil {
		t.Fatal(err)
	}
	bare := filepath.Join(t.TempDir(), "bare.safetensors")
	if err := Save(bare, model, nil, State{Step: 3}); err != nil {
		t.Fatal(err)
	}
	model.Params.Init(99)
	before := snapshot(model)
	path, err := Latest(r.dir)
	if err != nil {
		t.Fatal(err)
	}
	r.model.Hidden = 25
	e2, other := r.open(cfg)
	defer e2.Close()
	wide := filepath.Join(t.TempDir(), "wide.safetensors")
	if err := Save(wide, other, nil, State{Step: 3}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, word string }{
		{bare, "adamw.m.encoder"}, {wide, "projector.net.0.weight"},
	} {
		_, f, err := ReadState(c.path)
		if err != nil {
			t.Fatal(err)
		}
		wantError(t, Load(f, model, opt, 3), ErrMismatch, c.word)
		if got := snapshot(model); got != before {
			t.Errorf("%s: the model has changed", c.path)
		}
	}
	_, f, err := ReadState(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := Load(f, model, opt, 3); err != nil || snapshot(model) == before || opt.Taken != 3 {
		t.Errorf("the right checkpoint: %v, %d steps taken", err, opt.Taken)
	}
}

// snapshot returns a number that a change of any value changes.
func snapshot(m *jepa.Model) float64 {
	sum, k := 0., 0.
	for _, p := range m.Params.List() {
		for _, v := range m.Params.Export()[p.Name].Data {
			k++
			sum += float64(v) * math.Sqrt(k)
		}
	}
	return sum
}

func TestOtherData(t *testing.T) {
	r := newTrial(t)
	r.mustRun(tinyConfig(3))
	cfg := tinyConfig(6)
	cfg.Resume = true
	fewer := *r
	fewer.set = datasettest.Make(t, datasettest.Config{Clips: 9})
	_, err := fewer.run(context.Background(), cfg)
	wantError(t, err, ErrMismatch, "10 clips", "9 clips")
	cfg.Seed = 8
	_, err = r.run(context.Background(), cfg)
	wantError(t, err, ErrMismatch, "seed 7", "seed 8")
	cfg = tinyConfig(6)
	cfg.Resume = true
	before := cfg.BatchSize
	cfg.BatchSize++
	_, err = r.run(context.Background(), cfg)
	wantError(t, err, ErrMismatch, fmt.Sprintf("batches of %d", before),
		fmt.Sprintf("batches of %d", before+1))
}

// TestDamagedCheckpoint names the file, and goes on from the one before it when it
// has been removed.
func TestDamagedCheckpoint(t *testing.T) {
	r := newTrial(t)
	cfg := tinyConfig(4)
	cfg.CheckpointEvery = 2
	r.mustRun(cfg)
	newest, err := Latest(r.dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(newest, 1000); err != nil {
		t.Fatal(err)
	}
	cfg.Resume = true
	_, err = r.run(context.Background(), cfg)
	wantError(t, err, ErrMismatch, newest, "remove it")
	if err := os.Remove(newest); err != nil {
		t.Fatal(err)
	}
	if res, err := r.run(context.Background(), cfg); err != nil || res.First != 2 || res.Steps != 4 {
		t.Errorf("went from step %d to %d: %v", res.First, res.Steps, err)
	}
}

func TestNotACheckpoint(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	w := checkpoint.New(map[string]string{"format": "pt"})
	w.AddFloat32("x", []int{1}, []float32{1})
	if err := w.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReadState(path); err == nil || !strings.Contains(err.Error(), `"pt"`) {
		t.Errorf("another program's file: %v", err)
	}
	if _, err := Latest(t.TempDir()); err == nil || !strings.Contains(err.Error(), "run folder") {
		t.Errorf("no run folder: %v", err)
	}
}

func TestPrune(t *testing.T) {
	for _, keep := range []int{0, 1, 3} {
		r := newTrial(t)
		cfg := tinyConfig(7)
		cfg.CheckpointEvery, cfg.Keep = 2, keep
		res := r.mustRun(cfg)
		paths, err := Checkpoints(r.dir)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, p := range paths {
			names = append(names, strings.TrimLeft(filepath.Base(p), "step-0"))
		}
		want := []string{"4.safetensors", "6.safetensors", "7.safetensors"}
		want = want[3-max(keep, 1):]
		if strings.Join(names, " ") != strings.Join(want, " ") || res.Checkpoint != paths[len(paths)-1] {
			t.Errorf("keep %d: %v, last %s", keep, names, res.Checkpoint)
		}
	}
}

// TestBrokenClips trains on what is left, and says what is not.
func TestBrokenClips(t *testing.T) {
	r := newTrial(t)
	r.set = datasettest.Make(t, datasettest.Config{Clips: 10, Alter: func(i int, c *media.Clip) {
		if i == 3 {
			c.Frames[0] = []byte("not a picture")
		}
	}})
	res := r.mustRun(tinyConfig(5))
	if len(res.Skipped) != 1 || res.Skipped[datasettest.Key(3)] == nil || res.Steps != 5 {
		t.Errorf("%d steps, skipped %v", res.Steps, res.Skipped)
	}
}

// open returns an engine and a model as run makes them.
func (r *trial) open(cfg Config) (*cpu.Engine, *jepa.Model) {
	r.t.Helper()
	e, err := cpu.New(cpu.Config{Threads: r.threads})
	if err != nil {
		r.t.Fatal(err)
	}
	model, err := jepa.New(e, r.model, cfg.Seed, cfg.BatchSize)
	if err != nil {
		r.t.Fatal(err)
	}
	return e, model
}
