package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// TestResume holds 10 + 10 steps to 20 in one go, bit for bit: parameters,
// running statistics and moments are all in the checkpoint.
func TestResume(t *testing.T) {
	for _, threads := range []int{1, 2} {
		for _, dropout := range []float64{0, .2} {
			t.Run(fmt.Sprintf("threads=%d,dropout=%v", threads, dropout), func(t *testing.T) {
				whole := newTrial(t)
				whole.threads = threads
				whole.model.Encoder.Dropout = dropout
				whole.model.Encoder.AttentionDropout = dropout
				parts := whole.in("parts")
				if res := whole.mustRun(tinyConfig(20)); res.First != 0 || res.Steps != 20 {
					t.Fatalf("steps %d to %d", res.First, res.Steps)
				}
				cfg := tinyConfig(20)
				cfg.StopAfter, cfg.Resume = 10, true
				parts.mustRun(cfg)
				if res := parts.mustRun(cfg); res.First != 10 || res.Steps != 20 {
					t.Fatalf("resumed: steps %d to %d", res.First, res.Steps)
				}
				parts.same(whole, "10 + 10 and 20 steps")
			})
		}
	}
}

// TestResumeInParts is TestResume with the encoder taking 3 and 1 of 4 clips and
// running blocks again, with dropout; the run is that of all clips at once, but
// for rounding. Settings of memory may change when a run is resumed.
func TestResumeInParts(t *testing.T) {
	plain := newTrial(t)
	plain.model.Encoder.Dropout, plain.model.Encoder.AttentionDropout = .2, .1
	whole, cfg := plain.in("whole"), tinyConfig(20)
	whole.model.MicroBatch, whole.model.Recompute = 3, true
	whole.mustRun(cfg)
	plain.mustRun(cfg)
	for i, m := range whole.metrics() {
		if want := plain.metrics()[i].Total; !(math.Abs(m.Total-want) <= 1e-3*want) {
			t.Errorf("step %d: loss %g, %g for all clips at once", m.Step, m.Total, want)
		}
	}
	parts := whole.in("parts")
	cfg.StopAfter, cfg.Resume = 10, true
	parts.mustRun(cfg)
	parts.mustRun(cfg)
	parts.same(whole, "10 + 10 and 20 steps in parts")

	changed := plain.in("changed")
	changed.mustRun(cfg)
	changed.model.Recompute = true
	changed.mustRun(cfg)
	changed.same(plain, "recomputation from step 11 on")
}

// TestThreadsDoNotMatter holds a run on two threads, with two workers for views
// and no cache, to one on one thread.
func TestThreadsDoNotMatter(t *testing.T) {
	one := newTrial(t)
	one.mustRun(tinyConfig(6))
	two := one.in("two")
	two.threads, two.cache = 2, 0
	cfg := tinyConfig(6)
	cfg.Workers = 3
	two.mustRun(cfg)
	two.same(one, "1 and 2 threads")
	seed := one.in("seed")
	cfg.Seed++
	seed.mustRun(cfg)
	if seed.metrics()[0].Total == one.metrics()[0].Total {
		t.Error("another seed gives the same loss")
	}
}

// TestResumeAfterCrash resumes a run whose log is ahead of its checkpoint and ends
// in the middle of a line, with the remains of a checkpoint half written.
func TestResumeAfterCrash(t *testing.T) {
	whole := newTrial(t)
	whole.mustRun(tinyConfig(12))
	crashed := whole.in("crashed")
	cfg := tinyConfig(12)
	cfg.StopAfter, cfg.Resume = 8, true
	crashed.mustRun(cfg) // saves at 5 and 8
	paths, err := Checkpoints(crashed.dir)
	if err != nil || len(paths) != 2 {
		t.Fatalf("checkpoints %v, %v", paths, err)
	}
	if err := os.Remove(paths[1]); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(crashed.dir, metricsName)
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(log, append(text, `{"step":9,"epoch":4.`...), 0o644); err != nil {
		t.Fatal(err)
	}
	if m := crashed.metrics(); len(m) != 8 {
		t.Fatalf("%d lines of a torn log are read, want 8", len(m))
	}
	torn := filepath.Join(crashed.dir, "checkpoints", ".step-00000009.safetensors.tmp-123")
	if err := os.WriteFile(torn, []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg.StopAfter = 0
	if res := crashed.mustRun(cfg); res.First != 5 {
		t.Fatalf("resumed at %d, want 5", res.First)
	}
	crashed.same(whole, "after a crash")
	if _, err := os.Stat(torn); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the half-written checkpoint is still there: %v", err)
	}
}

// TestBrokenLog refuses a log with a broken line that is not the last.
func TestBrokenLog(t *testing.T) {
	dir := t.TempDir()
	text := "{\"step\":1}\n{\"ste\n{\"step\":3}\n"
	if err := os.WriteFile(filepath.Join(dir, metricsName), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if m, err := ReadMetrics(dir); err == nil {
		t.Errorf("read as %v", m)
	}
}

// TestInterrupt cancels a run: the step under way is saved, the error is the
// cause, and resuming gives the run that was never interrupted.
func TestInterrupt(t *testing.T) {
	whole := newTrial(t)
	whole.mustRun(tinyConfig(9))
	cut := whole.in("cut")
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	cut.observe = func(m Metrics) {
		if m.Step == 4 {
			cancel(why)
		}
	}
	cfg := tinyConfig(9)
	cfg.Resume = true
	res, err := cut.run(ctx, cfg)
	if !errors.Is(err, why) {
		t.Fatalf("error %v, want the cause", err)
	}
	if res.Steps != 4 || res.Checkpoint != filepath.Join(cut.dir, "checkpoints",
		"step-00000004.safetensors") {
		t.Errorf("stopped after %d steps with checkpoint %q", res.Steps, res.Checkpoint)
	}
	if _, err := os.Stat(res.Checkpoint); err != nil {
		t.Error(err)
	}
	cut.observe = nil
	cut.mustRun(cfg)
	cut.same(whole, "after an interrupt")

	before := whole.in("before")
	if res, err := before.run(ctx, cfg); !errors.Is(err, why) || res.Steps != 0 {
		t.Errorf("cancelled before the first step: %d steps, %v", res.Steps, err)
	}
	if _, err := Latest(before.dir); !errors.Is(err, ErrNoCheckpoint) {
		t.Errorf("a checkpoint of no step: %v", err)
	}
}
