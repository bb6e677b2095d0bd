package train

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"avjepa/internal/dataset"
	"avjepa/internal/dataset/datasettest"
	"avjepa/internal/engine"
	"avjepa/internal/engine/grouptest"
	"avjepa/internal/jepa"
	"avjepa/internal/loader"
	"avjepa/internal/media"
)

// TestDisagreement: what processes were given differently is named, with the process.
func TestDisagreement(t *testing.T) {
	r := newTrial(t)
	fewer := datasettest.Make(t, datasettest.Config{Clips: 9})
	for _, c := range []struct {
		alter func(m *member)
		words []string
	}{
		{func(m *member) { m.cfg.Seed++ }, []string{"seed", "process 0 has 7", "process 2 8"}},
		{func(m *member) { m.set = fewer }, []string{"data", "10 clips", "process 2 9 clips"}},
		{func(m *member) { m.model.Hidden++ }, []string{"model", "Hidden:24", "Hidden:25"}},
		{func(m *member) { m.cfg.Schedule.Base *= 2 }, []string{"schedule", "0.003", "0.006"}},
	} {
		_, errs := r.group(4, tinyConfig(3), func(m *member) {
			if m.Rank == 2 {
				c.alter(m)
			}
		})
		for rank, err := range errs {
			if err == nil {
				t.Fatalf("process %d trains: want an error with %q", rank, c.words)
			}
			wantError(t, err, err, c.words...)
		}
		if _, err := os.Stat(filepath.Join(r.dir, "config.toml")); err == nil {
			t.Error("a refused run has written its configuration")
		}
	}
	r.mustGroup(2, tinyConfig(3), nil)
	_, errs := r.group(2, tinyConfig(3), nil)
	wantError(t, errs[0], ErrHasRun, "--resume")
	wantError(t, errs[1], errs[1], "process 0 failed", "--resume")
}

// spoilt has the clips of newTrial, none of which can be read.
func spoilt(t *testing.T) *dataset.Set {
	return datasettest.Make(t, datasettest.Config{Clips: 10, Alter: func(_ int, c *media.Clip) {
		c.Frames[0] = []byte("not a picture")
	}})
}

// TestProcessWithoutClips: when one process finds no clip to read, all end, after the
// same step and with nothing saved.
func TestProcessWithoutClips(t *testing.T) {
	r, broken := newTrial(t), spoilt(t)
	_, errs := r.group(4, tinyConfig(3), func(m *member) {
		if m.Rank == 2 {
			m.set = broken
		}
	})
	for rank, err := range errs {
		if rank == 2 {
			wantError(t, err, loader.ErrNoClip, "none of the 10 clips")
		} else {
			wantError(t, err, err, "process 2 failed", "none of the 10 clips", "none has been saved")
		}
	}
	if path, err := Latest(r.dir); !errors.Is(err, ErrNoCheckpoint) {
		t.Errorf("%s was saved", path)
	}
}

// TestProcessLost kills a process in the middle of a step, before or after gradients
// are final: the others say so and name the checkpoint there is, nothing undefined is
// saved, and one process goes on from there.
func TestProcessLost(t *testing.T) {
	// A step averages 8 moments of the projector, SIGReg's function, 4 pairs of means
	// in backward, and two stretches of gradients.
	const ofStep = 8 + 1 + 4 + 2
	for _, call := range []int{1, 9, ofStep - 1, ofStep} {
		r, cfg := exactly(t, 8)
		_, errs := r.group(4, cfg, func(m *member) {
			calls := 0
			m.group.Averaged = func(engine.Tensor) {
				if calls++; m.Rank == 1 && calls == 6*ofStep+call {
					m.Lose()
				}
			}
		})
		for _, err := range errs {
			wantError(t, err, engine.ErrLost, "step 7", "step-00000005.safetensors is kept", "--resume")
		}
		if path, err := Latest(r.dir); err != nil || filepath.Base(path) != "step-00000005.safetensors" {
			t.Errorf("newest checkpoint %s, %v", path, err)
		}
		if n := len(r.metrics()); n != 6 {
			t.Errorf("%d steps are logged, 6 were whole", n)
		}
		cfg.Resume = true
		if res := r.mustRun(cfg); res.First != 5 || res.Steps != 8 {
			t.Errorf("resumed: %+v", res)
		}
	}
}

// TestInterruptOfOne cancels one of several processes: all end after the same step,
// which is saved, and resuming gives the run that was never interrupted.
func TestInterruptOfOne(t *testing.T) {
	whole := newTrial(t)
	whole.mustGroup(2, tinyConfig(9), nil)
	why := errors.New("enough")
	for _, before := range []bool{false, true} {
		cut := whole.in(fmt.Sprint("cut", before))
		cfg := tinyConfig(9)
		cfg.Resume = true
		results, errs := cut.group(2, cfg, func(m *member) {
			if m.Rank == 0 {
				return
			}
			ctx, cancel := context.WithCancelCause(m.ctx)
			m.ctx = ctx
			m.observe = func(x Metrics) {
				if x.Step == 3 {
					cancel(why)
				}
			}
			if before {
				cancel(why)
			}
		})
		wantError(t, errs[0], ErrStopped, "process 1")
		wantError(t, errs[1], why)
		want := 4 // the one under way
		if before {
			want = 0
		}
		for rank, res := range results {
			if res.Steps != want || before != (res.Checkpoint == "") {
				t.Errorf("process %d: %d steps, checkpoint %q", rank, res.Steps, res.Checkpoint)
			}
		}
		cut.mustGroup(2, cfg, nil)
		cut.same(whole, "after an interrupt")
	}
}

// TestLeaderCannotWrite: when process 0 cannot save or log, all end.
func TestLeaderCannotWrite(t *testing.T) {
	r := newTrial(t)
	_, errs := r.group(2, tinyConfig(9), func(m *member) {
		m.observe = func(x Metrics) {
			if m.Rank == 0 && x.Step == 4 {
				dir := filepath.Join(m.dir, "checkpoints")
				if err := errors.Join(os.Remove(dir), os.WriteFile(dir, nil, 0o644)); err != nil {
					t.Error(err)
				}
			}
		}
	})
	wantError(t, errs[0], errs[0], "checkpoint")
	wantError(t, errs[1], errs[1], "process 0 failed", "checkpoint", "none has been saved")

	r = r.in("log")
	errs = make([]error, 2)
	grouptest.Run(t, 2, func(p *grouptest.Process) {
		m := &member{Process: p, trial: *r, cfg: tinyConfig(9)}
		m.group = p.Group(nil)
		_, errs[p.Rank] = m.with(func(run *Folder, e engine.Engine, model *jepa.Model,
			clips *loader.Clips) (Result, error) {
			ctx := context.Background()
			tr, err := begin(ctx, run, e, model, clips, m.cfg)
			if err != nil {
				return Result{}, err
			}
			defer tr.loader.Close()
			if tr.leads() {
				if err := tr.log.f.Close(); err != nil {
					t.Error(err)
				}
			}
			return tr.loop(ctx, nil)
		})
	})
	wantError(t, errs[0], os.ErrClosed, "metrics of step 1")
	wantError(t, errs[1], errs[1], "process 0 failed", "metrics of step 1")
	if path, err := Latest(r.dir); !errors.Is(err, ErrNoCheckpoint) {
		t.Errorf("%s was saved", path)
	}
}

// TestUnreadInOne: clips that one process could not read are known to all.
func TestUnreadInOne(t *testing.T) {
	r := newTrial(t)
	r.set = datasettest.Make(t, datasettest.Config{Clips: 10, Alter: func(i int, c *media.Clip) {
		if i == 3 {
			c.Frames[0] = []byte("not a picture")
		}
	}})
	for rank, res := range r.mustGroup(4, tinyConfig(3), nil) {
		if len(res.Skipped) != 1 || res.Skipped[datasettest.Key(3)] == nil {
			t.Errorf("process %d: skipped %v", rank, res.Skipped)
		}
	}
}
