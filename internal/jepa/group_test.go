package jepa

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/engine/cpu"
	"avjepa/internal/engine/grouptest"
	"avjepa/internal/engine/ref"
	"avjepa/internal/golden"
	"avjepa/internal/optim"
	"avjepa/internal/rng"
	"avjepa/internal/sigreg"
	"avjepa/internal/vit"
)

// groupConfig is a model with dropout, as small as they come.
func groupConfig() Config {
	return Config{
		Encoder: vit.Config{Width: 8, Depth: 2, Heads: 2, MLPRatio: 2, Dropout: .2,
			AttentionDropout: .1, Frames: 2, Side: 4, PatchT: 1, Patch: 2,
			MelBands: 4, MelFrames: 5, PatchMel: 2, PatchMelT: 2, EmbedNorm: true, InitStd: .3},
		Hidden: 12, Proj: 6, Globals: 2, Locals: 2, Lambda: .3,
		Directions: 16, Knots: sigreg.DefaultKnots}
}

const groupBatch = 12

// process is a model in a group, or alone, with its part of a fixed batch.
type process struct {
	*Model
	engine engine.Engine
	batch  *Batch
}

func newProcess(t testing.TB, e engine.Engine, cfg Config, g engine.Group) *process {
	m, err := NewInGroup(e, cfg, 1, groupBatch, g)
	if err != nil {
		t.Error(err)
		panic(err)
	}
	b, err := m.NewBatch(engine.F32)
	if err != nil {
		t.Error(err)
		panic(err)
	}
	first, n := m.Clips()
	for i, x := range []engine.Tensor{b.GlobalVideo, b.GlobalAudio, b.LocalVideo, b.LocalAudio} {
		views := x.Dim(0) / n
		whole := make([]float32, x.Elems()/n*groupBatch)
		rng.New(4, "input", i).FillNormal(whole, 1)
		var mine []float32
		clip := len(whole) / views / groupBatch
		for v := range views {
			mine = append(mine, whole[(v*groupBatch+first)*clip:][:n*clip]...)
		}
		e.Upload(x, mine)
	}
	return &process{m, e, b}
}

// wide returns the elements of x, float64 where the engine has them.
func (p *process) wide(x engine.Tensor) []float64 {
	out := make([]float64, x.Elems())
	if e, ok := p.engine.(*ref.Engine); ok {
		e.DownloadFloat64(out, x)
		return out
	}
	for i, v := range golden.Download(p.engine, x) {
		out[i] = float64(v)
	}
	return out
}

// outcome is what some steps of training leave.
type outcome struct {
	grads, values []float64 // grads of the first step
	running       []float64 // statistics
	losses        []Losses
}

// train takes three steps of AdamW. Its eps is large: the projector's biases before a
// BatchNorm have a gradient of 0, and AdamW would make steps of full length of its
// rounding.
func (p *process) train(t testing.TB) (o outcome) {
	cfg := optim.Default()
	cfg.Eps = 1e-3
	opt, err := optim.New(p.engine, p.Params, cfg)
	if err != nil {
		t.Error(err)
		panic(err)
	}
	for step := range 3 {
		p.Step(p.batch, step)
		if step == 0 {
			o.grads = p.wide(p.Params.Grads)
		}
		opt.Step(1e-3, p.GradSquare())
		o.losses = append(o.losses, p.losses(t))
	}
	o.values = p.wide(p.Params.Values)
	for _, b := range p.Params.Buffers() {
		o.running = append(o.running, p.wide(b.Value)...)
	}
	return o
}

// losses combines the numbers of all processes.
func (p *process) losses(t testing.TB) Losses {
	if p.Group() == nil {
		return p.Losses()
	}
	mine, err := binary.Append(nil, binary.LittleEndian, p.Numbers())
	if err != nil {
		t.Error(err)
	}
	all, err := p.Group().Exchange(mine)
	if err != nil {
		t.Error(err)
		return Losses{}
	}
	numbers := make([][]float32, len(all))
	for i, b := range all {
		numbers[i] = make([]float32, len(b)/4)
		if _, err := binary.Decode(b, binary.LittleEndian, numbers[i]); err != nil {
			t.Error(err)
		}
	}
	l, err := p.Combine(numbers)
	if err != nil {
		t.Error(err)
	}
	return l
}

// distance returns the norm of a − b over that of b.
func distance(a, b []float64) float64 {
	diff, norm := 0., 0.
	for i := range b {
		diff, norm = diff+(a[i]-b[i])*(a[i]-b[i]), norm+b[i]*b[i]
	}
	return math.Sqrt(diff / norm)
}

// newEngines are those that groups are tested on, with how far the gradients of one
// step and the values after three may be off, as shares of their norms.
var newEngines = []struct {
	name          string
	open          func(t testing.TB) engine.Engine
	grads, values float64
}{
	{"ref", func(testing.TB) engine.Engine { return ref.New() }, 1e-12, 1e-12},
	{"cpu", func(t testing.TB) engine.Engine {
		e, err := cpu.New(cpu.Config{Threads: 1})
		if err != nil {
			t.Error(err)
			panic(err)
		}
		return e
	}, 1e-6, 1e-6},
}

// TestGroupIsOneProcess holds 2, 4 and 12 processes that share BatchNorm's moments to one
// with the whole batch: gradients, losses, running statistics and the parameters after
// some steps, whatever is run in parts or again, and however the gradients are cut.
func TestGroupIsOneProcess(t *testing.T) {
	for _, on := range newEngines {
		for i := range 20 {
			cfg := groupConfig()
			cfg.Dual = i >= 16
			cfg.GlobalNorm, cfg.Recompute = true, i&1 != 0
			cfg.MicroBatch, cfg.PooledSIGReg = i>>1&1, i&8 != 0
			cfg.Encoder.DropAbsent, cfg.LocalsBoth = i&4 != 0, i&12 == 12
			size := []int{2, 4, groupBatch}[i%3] // the last: a clip each
			name := fmt.Sprintf("%s/%d processes, recompute %v, micro %d, drop %v, both %v, dual %v", on.name,
				size, cfg.Recompute, cfg.MicroBatch, cfg.Encoder.DropAbsent, cfg.LocalsBoth, cfg.Dual)
			t.Run(name, func(t *testing.T) {
				alone := on.open(t)
				defer alone.Close()
				want := newProcess(t, alone, cfg, nil).train(t)
				got := make([]outcome, size)
				grouptest.Run(t, size, func(p *grouptest.Process) {
					e := on.open(t)
					defer e.Close()
					m := newProcess(t, e, cfg, p.Group(e))
					m.reducer.Bucket = 1 + 300*(i&2)
					got[p.Rank] = m.train(t)
				})
				for r, g := range got {
					if !slices.Equal(g.grads, got[0].grads) || !slices.Equal(g.values, got[0].values) ||
						!slices.Equal(g.losses, got[0].losses) {
						t.Fatalf("process %d is not where process 0 is", r)
					}
				}
				g := got[0]
				if d := distance(g.grads, want.grads); !(d <= on.grads) {
					t.Errorf("gradients are off by %.2g of their norm", d)
				}
				if d := distance(g.values, want.values); !(d <= on.values) {
					t.Errorf("parameters are off by %.2g of their norm", d)
				}
				if d := distance(g.running, want.running); !(d <= on.values) {
					t.Errorf("running statistics are off by %.2g of their norm", d)
				}
				for s, l := range want.losses {
					for k, w := range []float64{l.Total, l.Invariance, l.SIGReg, l.EmbedStd, l.GradNorm} {
						h := g.losses[s]
						v := []float64{h.Total, h.Invariance, h.SIGReg, h.EmbedStd, h.GradNorm}[k]
						if !(math.Abs(v-w) <= 1e-5*w) {
							t.Errorf("step %d: number %d is %v, want %v", s, k, v, w)
						}
					}
				}
			})
		}
	}
}

// TestGroupGradient holds the averaged gradients of processes that normalise apart to
// differences of their common loss.
func TestGroupGradient(t *testing.T) {
	cfg := groupConfig()
	cfg.MicroBatch = 1
	groupGradient(t, cfg)
	cfg.Dual, cfg.Locals, cfg.Sum = true, 3, true
	groupGradient(t, cfg)
}

func groupGradient(t *testing.T, cfg Config) {
	const size = 2
	grouptest.Run(t, size, func(p *grouptest.Process) {
		e := ref.New()
		m := newProcess(t, e, cfg, p.Group(e))
		params := m.Params.Values
		at := m.wide(params)
		loss := func() float64 {
			m.Step(m.batch, 1)
			inv, sum, towers := []float64{0}, 0., float64(len(m.Towers))
			for _, v := range m.wide(m.report.invariance) {
				inv[0] += v / towers
			}
			sigreg := m.wide(m.report.sigreg)
			for _, n := range m.report.tests {
				for _, v := range sigreg[:n] {
					sum += v / float64(n) / towers
				}
				sigreg = sigreg[n:]
			}
			b, err := binary.Append(nil, binary.LittleEndian, inv)
			if err != nil {
				t.Error(err)
			}
			all, err := m.Group().Exchange(b)
			if err != nil {
				t.Error(err)
				return math.NaN()
			}
			inv[0] = 0
			for _, b := range all {
				inv[0] += math.Float64frombits(binary.LittleEndian.Uint64(b)) / size
			}
			return (1-cfg.Lambda)*inv[0] + cfg.Lambda*sum
		}
		loss()
		grads, dir := m.wide(m.Params.Grads), make([]float32, len(at))
		for try := range 3 {
			rng.New(9, "direction", try).FillNormal(dir, 1)
			want, sides, h := 0., [2]float64{}, 1e-5
			for s, sign := range [2]float64{1, -1} {
				moved := slices.Clone(at)
				for i := range moved {
					moved[i] += sign * h * float64(dir[i])
				}
				e.UploadFloat64(params, moved)
				sides[s] = loss()
			}
			for i, g := range grads {
				want += g * float64(dir[i])
			}
			if got := (sides[0] - sides[1]) / (2 * h); !(math.Abs(got-want) <= 1e-6*math.Abs(want)) {
				t.Errorf("process %d: slope %v, gradient says %v", p.Rank, got, want)
			}
		}
	})
}

// TestBuckets: every gradient is averaged once, from the end of the weights towards
// their beginning, and as soon as enough are final.
func TestBuckets(t *testing.T) {
	for i := range 4 {
		for _, bucket := range []int{1, 700, 0} {
			grouptest.Run(t, 2, func(p *grouptest.Process) {
				cfg, e := groupConfig(), ref.New()
				cfg.MicroBatch, cfg.Encoder.DropAbsent, cfg.Dual = i&1, true, i&2 != 0
				g := p.Group(e)
				m := newProcess(t, e, cfg, g)
				m.reducer.Bucket = bucket
				var seen [][2]int
				g.Averaged = func(x engine.Tensor) {
					if x.Buffer() == m.Params.Grads.Buffer() {
						seen = append(seen, [2]int{x.Offset(), x.Offset() + x.Elems()})
					}
				}
				m.Step(m.batch, 0)
				n, all := m.Params.Decayed, m.Params.Grads.Elems()
				last := len(seen) - 1
				if last < 0 || seen[last] != [2]int{n, all} {
					t.Errorf("averaged %v, want %d to %d last", seen, n, all)
					return
				}
				for i, s := range seen[:last] {
					if s[1] != n || bucket > 0 && i < last-1 && s[1]-s[0] < bucket {
						t.Errorf("bucket %d of %v, weights up to %d are left", i, seen, n)
					}
					n = s[0]
				}
				if n != 0 {
					t.Errorf("averaged %v, weights up to %d are not", seen, n)
				}
				// Projector, two blocks, embedding; or a few at a time; or all at once.
				if want := map[int]int{1: 4, 700: 2, 0: 1}[bucket]; last < want {
					t.Errorf("bucket of %d: averaged %v, want %d parts", bucket, seen, want)
				}
			})
		}
	}
}

// TestGroupFault kills a process while gradients are averaged: the step of every
// other ends all the same, and says that one was lost.
func TestGroupFault(t *testing.T) {
	grouptest.Run(t, 3, func(p *grouptest.Process) {
		cfg, e := groupConfig(), ref.New()
		cfg.GlobalNorm, cfg.Globals, cfg.Locals = true, 3, 0
		g := p.Group(e)
		m, err := NewInGroup(e, cfg, 1, 6, g)
		if err != nil {
			t.Error(err)
			return
		}
		b, err := m.NewBatch(engine.U8)
		if err != nil {
			t.Error(err)
			return
		}
		calls := 0
		g.Averaged = func(engine.Tensor) {
			if calls++; p.Rank == 1 && calls == 8 {
				p.Lose()
			}
		}
		m.Step(b, 0)
		m.Numbers()
		_, err = g.Exchange(nil)
		if !errors.Is(err, engine.ErrLost) || !errors.Is(g.Err(), engine.ErrLost) {
			t.Errorf("process %d after %d averages: %v, %v", p.Rank, calls, err, g.Err())
		}
	})
}

// TestUnevenBatch names the batches that can be dealt.
func TestUnevenBatch(t *testing.T) {
	for _, c := range []struct {
		batch, processes int
		words            string
	}{{40, 3, "39 or 42"}, {3, 4, "take 4 clips"}, {7, 4, "4 or 8"}} {
		_, err := PlanProcess(groupConfig(), c.batch, c.processes)
		if err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%d clips, %d processes: %v", c.batch, c.processes, err)
		}
	}
	cfg := groupConfig()
	cfg.Locals = 1
	if _, err := PlanProcess(cfg, 4, 4); err == nil || !strings.Contains(err.Error(), "each process") {
		t.Errorf("BatchNorm of one row: %v", err)
	}
	cfg.GlobalNorm = true
	if _, err := PlanProcess(cfg, 4, 4); err != nil {
		t.Errorf("BatchNorm of one row in each of 4 processes: %v", err)
	}
}

// TestGroupPlan: what a process takes is what was planned.
func TestGroupPlan(t *testing.T) {
	for i := range 4 {
		cfg := groupConfig()
		cfg.GlobalNorm, cfg.Dual = i&1 != 0, i&2 != 0
		plan, err := PlanProcess(cfg, groupBatch, 2)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := PlanTraining(cfg, groupBatch)
		if err != nil {
			t.Fatal(err)
		}
		if plan.StepFLOPs*2 != whole.StepFLOPs || 2*plan.Inputs != whole.Inputs {
			t.Errorf("half of %+v is %+v", whole, plan)
		}
		grouptest.Run(t, 2, func(p *grouptest.Process) {
			e := ref.New()
			m := newProcess(t, e, cfg, p.Group(e))
			m.Step(m.batch, 0)
			if m.arena.Peak() != plan.arena {
				t.Errorf("planned %+v elements, took %+v", plan.arena, m.arena.Peak())
			}
		})
	}
}
