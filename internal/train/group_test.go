package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"avjepa/internal/checkpoint"
	"avjepa/internal/dataset"
	"avjepa/internal/dataset/datasettest"
	"avjepa/internal/engine"
	"avjepa/internal/engine/cpu"
	"avjepa/internal/engine/grouptest"
	"avjepa/internal/engine/ref"
	"avjepa/internal/jepa"
	"avjepa/internal/loader"
	"avjepa/internal/media"
)

// member is one process of a group that trains, as a test may alter it.
type member struct {
	*grouptest.Process
	trial
	cfg   Config
	ctx   context.Context
	ref   bool // on the reference engine
	group *grouptest.Group
}

// group trains with size processes, each with an engine, a model and clips of its
// own, and process 0 alone with the run folder. alter may change what one is given.
func (r *trial) group(size int, cfg Config, alter func(m *member)) ([]Result, []error) {
	r.t.Helper()
	results, errs := make([]Result, size), make([]error, size)
	grouptest.Run(r.t, size, func(p *grouptest.Process) {
		m := &member{Process: p, trial: *r, cfg: cfg, ctx: context.Background()}
		m.group = p.Group(nil)
		if alter != nil {
			alter(m)
		}
		results[p.Rank], errs[p.Rank] = m.run()
	})
	return results, errs
}

func (m *member) run() (Result, error) {
	return m.with(func(run *Folder, e engine.Engine, model *jepa.Model,
		clips *loader.Clips) (Result, error) {
		return Pretrain(m.ctx, run, e, model, clips, m.cfg, m.observe)
	})
}

// with makes what a process needs and hands it to f.
func (m *member) with(f func(*Folder, engine.Engine, *jepa.Model, *loader.Clips) (Result, error)) (
	Result, error) {
	var e engine.Engine = ref.New()
	if !m.ref {
		c, err := cpu.New(cpu.Config{Threads: 1})
		if err != nil {
			return Result{}, err
		}
		e = c
	}
	defer e.Close()
	averaged := m.group.Averaged
	m.group = m.Process.Group(e)
	m.group.Averaged = averaged
	model, err := jepa.NewInGroup(e, m.model, m.cfg.Seed, m.cfg.BatchSize, m.group)
	if err != nil {
		return Result{}, err
	}
	var run *Folder
	if m.Rank == 0 {
		if run, err = Open(m.dir); err != nil {
			return Result{}, err
		}
		defer run.Close()
	}
	return f(run, e, model, m.clips())
}

// mustGroup is group without an error.
func (r *trial) mustGroup(size int, cfg Config, alter func(m *member)) []Result {
	r.t.Helper()
	results, errs := r.group(size, cfg, alter)
	for rank, err := range errs {
		if err != nil {
			r.t.Fatalf("process %d: %v", rank, err)
		}
	}
	return results
}

// near fails unless both runs logged the same losses and ended with the same arrays,
// but for tol of them: of the norm of all of a kind.
func (r *trial) near(other *trial, what string, tol float64) {
	r.t.Helper()
	a, b := r.metrics(), other.metrics()
	if len(a) != len(b) {
		r.t.Fatalf("%s: %d steps, want %d", what, len(a), len(b))
	}
	for i, m := range a {
		w := b[i]
		for k, x := range []float64{m.Total, m.Invariance, m.SIGReg, m.Std, m.GradNorm} {
			y := []float64{w.Total, w.Invariance, w.SIGReg, w.Std, w.GradNorm}[k]
			if !(math.Abs(x-y) <= 1e-5*math.Abs(y)) {
				r.t.Errorf("%s, step %d: number %d is %v, want %v", what, m.Step, k, x, y)
			}
		}
		if m.Step != w.Step || m.LR != w.LR || m.Epoch != w.Epoch {
			r.t.Errorf("%s: line %+v, want %+v", what, m, w)
		}
	}
	x, y := r.arrays(), other.arrays()
	diff, norm := 0., 0.
	for name, want := range y {
		for i, v := range want {
			d := float64(x[name][i]) - float64(v)
			diff, norm = diff+d*d, norm+float64(v)*float64(v)
		}
	}
	if ratio := math.Sqrt(diff / norm); !(ratio <= tol) {
		r.t.Errorf("%s: checkpoints differ by %.2g of their norm", what, ratio)
	}
}

// arrays returns those of the last checkpoint.
func (r *trial) arrays() map[string][]float32 {
	r.t.Helper()
	path, err := Latest(r.dir)
	if err != nil {
		r.t.Fatal(err)
	}
	f, err := checkpoint.Read(path)
	if err != nil {
		r.t.Fatal(err)
	}
	out := map[string][]float32{}
	for _, n := range f.Names() {
		a, err := f.Float32(n)
		if err != nil {
			r.t.Fatal(err)
		}
		out[n] = a.Data
	}
	return out
}

// exactly is a trial and a configuration whose runs do not depend on the number of
// processes: BatchNorm of all rows, and an AdamW that does not make steps of full
// length of the rounding of gradients that are 0.
func exactly(t *testing.T, steps int) (*trial, Config) {
	r, cfg := newTrial(t), tinyConfig(steps)
	r.model.GlobalNorm = true
	r.model.Encoder.Dropout, r.model.Encoder.AttentionDropout = .2, .1
	cfg.Optim.Eps = 1e-3
	return r, cfg
}

// TestProcesses holds runs of 2 and 4 processes, and one that was resumed on another
// number each time, to that of one.
func TestProcesses(t *testing.T) {
	one, cfg := exactly(t, 9)
	reference := func(m *member) { m.ref = true }
	one.mustGroup(1, cfg, reference)
	for _, size := range []int{2, 4} {
		r := one.in(fmt.Sprint(size))
		var mu sync.Mutex
		seen := map[int][]Metrics{}
		results := r.mustGroup(size, cfg, func(m *member) {
			m.ref = true
			m.observe = func(x Metrics) {
				x.Seconds, x.ClipsPerS, x.GFLOPS, x.WaitShare = 0, 0, 0, 0
				mu.Lock()
				defer mu.Unlock()
				seen[m.Rank] = append(seen[m.Rank], x)
			}
		})
		r.near(one, fmt.Sprint(size, " processes"), 1e-6)
		for rank, res := range results {
			if !slices.Equal(seen[rank], r.metrics()) {
				t.Errorf("process %d of %d saw %+v, logged is %+v", rank, size, seen[rank], r.metrics())
			}
			if res.Steps != 9 || res.Checkpoint != results[0].Checkpoint {
				t.Errorf("process %d of %d: %+v", rank, size, res)
			}
		}
	}
	parts := one.in("parts")
	cfg.StopAfter, cfg.Resume = 3, true
	for i, size := range []int{2, 4, 1} {
		for rank, res := range parts.mustGroup(size, cfg, reference) {
			if res.First != 3*i || res.Steps != 3*i+3 {
				t.Fatalf("process %d of %d: steps %d to %d", rank, size, res.First, res.Steps)
			}
		}
	}
	parts.near(one, "2, 4 and 1 processes", 1e-6)
}

// TestProcessesResume: two processes that normalise apart go on bit for bit, though
// only the statistics of one are saved.
func TestProcessesResume(t *testing.T) {
	whole := newTrial(t)
	whole.model.Encoder.Dropout = .2
	whole.mustGroup(2, tinyConfig(12), nil)
	parts, cfg := whole.in("parts"), tinyConfig(12)
	cfg.StopAfter, cfg.Resume = 6, true
	parts.mustGroup(2, cfg, nil)
	parts.mustGroup(2, cfg, nil)
	parts.same(whole, "6 + 6 and 12 steps")
	alone := whole.in("alone")
	alone.mustRun(tinyConfig(12))
	if alone.metrics()[0].Total == whole.metrics()[0].Total {
		t.Error("BatchNorm of 4 clips, and twice of 2, is the same")
	}
}

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
