package jepa

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/golden"
	"avjepa/internal/rng"
)

// step returns the gradients of all parameters after a step of random views, the
// losses, the CLS, and the elements of memory that activations took.
func step(t *testing.T, e engine.Engine, cfg Config) (grads []float32, l Losses, cls []float32,
	arena int) {
	t.Helper()
	m, err := New(e, cfg, 1, 5)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Free()
	b, err := m.NewBatch(engine.F32)
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range []engine.Tensor{b.GlobalVideo, b.GlobalAudio, b.LocalVideo, b.LocalAudio} {
		host := make([]float32, x.Elems())
		rng.New(4, "input", i).FillNormal(host, 1)
		e.Upload(x, host)
	}
	m.Step(b, 3)
	return golden.Download(e, m.Params.Grads), m.Losses(), golden.Download(e, m.Features().CLS),
		m.arena.Peak().F32
}

// TestMicroBatches holds a step of 5 clips, two or one at a time, to that of all
// at once: CLS and losses are to be the same, gradients the same but for the
// rounding of sums, with dropout, with and without recomputation. With libtorch CLS
// and losses are near: a row of its products may depend on how many rows there are.
func TestMicroBatches(t *testing.T) {
	golden.OnEngines(t, func(t *testing.T, e engine.Engine) {
		tolerance := 1e-6 // of the norm of the gradients
		if e.Info().Name == "ref" {
			tolerance = 1e-12
		}
		for i := range 12 {
			cfg := goldenConfig()
			cfg.Encoder.Dropout, cfg.Encoder.AttentionDropout = 0.2, 0.1
			cfg.Dual = i >= 8
			cfg.Encoder.DropAbsent, cfg.LocalsBoth = i&1 != 0, i&4 != 0 || i == 11
			whole, losses, cls, arena := step(t, e, cfg)
			cfg.Recompute, cfg.MicroBatch = i&2 != 0, 1+i&1
			name := fmt.Sprintf("dual %v drop %v recompute %v both %v clips %d", cfg.Dual,
				cfg.Encoder.DropAbsent, cfg.Recompute, cfg.LocalsBoth, cfg.MicroBatch)
			parts, partLosses, partCLS, partArena := step(t, e, cfg)
			diff, norm := 0.0, 0.0
			for k, v := range whole {
				d := float64(parts[k]) - float64(v)
				diff, norm = diff+d*d, norm+float64(v)*float64(v)
			}
			if ratio := math.Sqrt(diff / norm); !(ratio <= tolerance) {
				t.Errorf("%s: gradients differ by %.2g of their norm", name, ratio)
			}
			losses.GradNorm, partLosses.GradNorm = 0, 0
			same := partLosses == losses && slices.Equal(partCLS, cls)
			if e.Info().Name == "torch" {
				same = near(partLosses.Total, losses.Total) && near(partLosses.SIGReg, losses.SIGReg) &&
					slices.EqualFunc(partCLS, cls, func(x, y float32) bool {
						return near(float64(x), float64(y))
					})
			}
			if !same {
				t.Errorf("%s: losses %+v, want %+v", name, partLosses, losses)
			}
			if !(partArena < arena) {
				t.Errorf("%s: %d elements of memory, %d for all clips at once", name, partArena, arena)
			}
		}
	})
}

// near reports whether x and y, of the order of 1, differ by float32 roundings.
func near(x, y float64) bool { return math.Abs(x-y) <= 2e-6 }

// TestRecomputeIsTheSame bit for bit.
func TestRecomputeIsTheSame(t *testing.T) {
	golden.OnEngines(t, func(t *testing.T, e engine.Engine) {
		for i := range 4 {
			cfg, micro := goldenConfig(), 3*(i&1)
			cfg.Encoder.Dropout, cfg.MicroBatch, cfg.Dual = 0.2, micro, i&2 != 0
			want, losses, _, arena := step(t, e, cfg)
			cfg.Recompute = true
			got, l, _, less := step(t, e, cfg)
			if !slices.Equal(got, want) || l != losses {
				t.Errorf("micro-batch %d, dual %v: gradients or losses differ", micro, cfg.Dual)
			}
			if !(less < arena) {
				t.Errorf("micro-batch %d, dual %v: %d elements of memory, %d without", micro, cfg.Dual,
					less, arena)
			}
		}
	})
}

// TestPlanOfParts: the plan counts what is used, and the work done twice apart.
func TestPlanOfParts(t *testing.T) {
	cfg := goldenConfig()
	plain, err := PlanTraining(cfg, 5)
	if err != nil {
		t.Fatal(err)
	}
	forward, err := PlanEmbedding(cfg, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		recompute bool
		micro     int
	}{{true, 0}, {false, 2}, {true, 2}} {
		cfg.Recompute, cfg.MicroBatch = c.recompute, c.micro
		p, err := PlanTraining(cfg, 5)
		if err != nil {
			t.Fatal(err)
		}
		if p.StepFLOPs != plain.StepFLOPs || plain.AgainFLOPs != 0 {
			t.Errorf("%+v: %d FLOPs, want %d", c, p.StepFLOPs, plain.StepFLOPs)
		}
		// At most a forward of all views, and another for four of five clips.
		most := 5 * int64(cfg.Views()) * forward.StepFLOPs
		if c.recompute && c.micro > 0 {
			most = 2 * most
		}
		if !(p.AgainFLOPs > 0 && p.AgainFLOPs < most) {
			t.Errorf("%+v: %d FLOPs again, at most %d", c, p.AgainFLOPs, most)
		}
		if _, _, _, arena := step(t, engine.NewCounting(), cfg); p.arena.F32 != arena {
			t.Errorf("%+v: planned %+v elements, used %d", c, p.arena, arena)
		}
	}
	// The figures of docs/architecture.md.
	for _, c := range []struct {
		recompute bool
		micro     int
		gib       float64
	}{{false, 0, 173.3}, {true, 0, 40.4}, {false, 2, 5.4}, {true, 2, 1.3}} {
		paper := Default()
		paper.Recompute, paper.MicroBatch = c.recompute, c.micro
		p, err := PlanTraining(paper, 64)
		if err != nil {
			t.Fatal(err)
		}
		if gib := float64(p.Activations) / (1 << 30); !(math.Abs(gib-c.gib) <= 0.05+0.01*c.gib) {
			t.Errorf("paper's geometry, %+v: %.2f GiB of activations", c, gib)
		}
	}
	for _, c := range []struct {
		compute   engine.DType
		recompute bool
		gib       float64 // in all, of 40 clips
	}{{engine.F32, false, 110.2}, {engine.F32, true, 27}, {engine.BF16, false, 67.7},
		{engine.BF16, true, 21.6}} {
		paper := Default()
		paper.Compute, paper.Recompute = c.compute, c.recompute
		p, err := PlanTraining(paper, 40)
		if err != nil {
			t.Fatal(err)
		}
		if gib := float64(p.Total()) / (1 << 30); !(math.Abs(gib-c.gib) <= 0.1) {
			t.Errorf("paper's geometry, %+v: %.2f GiB in all", c, gib)
		}
	}
	cfg.KeepTokens = true
	if _, err := PlanTraining(cfg, 5); err == nil || !strings.Contains(err.Error(), "micro-batch") {
		t.Errorf("tokens kept with micro-batches: %v", err)
	}
}
