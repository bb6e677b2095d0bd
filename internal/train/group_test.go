package train

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"

	"avjepa/internal/checkpoint"
	"avjepa/internal/engine"
	"avjepa/internal/engine/cpu"
	"avjepa/internal/engine/grouptest"
	"avjepa/internal/engine/ref"
	"avjepa/internal/jepa"
	"avjepa/internal/loader"
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
		m.cfg.Probes = m.heldOut()
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
