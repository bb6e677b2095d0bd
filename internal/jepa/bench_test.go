package jepa

import (
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/engine/cpu"
	"avjepa/internal/optim"
)

// BenchmarkStep is a training step of the tiny encoder on views of 4 s at 112
// pixels, two clips.
func BenchmarkStep(b *testing.B) {
	e, err := cpu.New(cpu.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	cfg := Default()
	if cfg.Encoder, err = cfg.Encoder.WithSize("tiny"); err != nil {
		b.Fatal(err)
	}
	cfg.Encoder.Frames, cfg.Encoder.Side, cfg.Encoder.MelFrames = 8, 112, 401
	const clips = 2
	m, err := New(e, cfg, 1, clips)
	if err != nil {
		b.Fatal(err)
	}
	o, err := optim.New(e, m.Params, optim.Default())
	if err != nil {
		b.Fatal(err)
	}
	batch, err := m.NewBatch(engine.U8)
	if err != nil {
		b.Fatal(err)
	}
	plan, err := PlanTraining(cfg, clips)
	if err != nil {
		b.Fatal(err)
	}
	step := 0
	for b.Loop() {
		m.Step(batch, step)
		o.Step(1e-4, m.GradSquare())
		m.Losses()
		step++
	}
	seconds := b.Elapsed().Seconds() / float64(step)
	b.ReportMetric(clips/seconds, "clips/s")
	b.ReportMetric(float64(plan.StepFLOPs)/seconds/1e9, "GFLOP/s")
}
