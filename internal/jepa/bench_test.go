package jepa_test

import (
	"fmt"
	"testing"

	"avjepa/internal/config"
	"avjepa/internal/engine"
	"avjepa/internal/engine/cpu"
	"avjepa/internal/jepa"
	"avjepa/internal/optim"
)

// BenchmarkStep times whole training steps, AdamW included, at the geometries
// of docs/benchmarks.md. GFLOP/s counts 3·depth·(24·n·D² + 4·n²·D) per view, the
// convention that publications share; GFLOP/s-done counts the products really
// made: patch embedding and projector too, but not what the last block or an
// absent modality spares.
func BenchmarkStep(b *testing.B) {
	for _, size := range []string{"tiny", "small", "base"} {
		for _, g := range []struct{ frames, side, mel, clips int }{{8, 112, 401, 2}, {16, 224, 801, 1}} {
			cfg := jepa.Default()
			cfg.Encoder, _ = cfg.Encoder.WithSize(size)
			cfg.Encoder.Frames, cfg.Encoder.Side, cfg.Encoder.MelFrames = g.frames, g.side, g.mel
			clips := max(2, g.clips) // BatchNorm needs two
			b.Run(fmt.Sprintf("%s/n=%d/clips=%d", size, cfg.Encoder.Tokens(), clips), func(b *testing.B) {
				benchmarkStep(b, cfg, clips)
			})
		}
	}
}

// BenchmarkDemoStep is the step of preset "demo".
func BenchmarkDemoStep(b *testing.B) { benchmarkPreset(b, "demo") }

// BenchmarkDual compares the step of two encoders with that of a shared one.
func BenchmarkDual(b *testing.B) {
	for _, preset := range []string{"demo", "demo,dual", "tiny", "tiny,dual"} {
		b.Run(preset, func(b *testing.B) { benchmarkPreset(b, preset) })
	}
}

func benchmarkPreset(b *testing.B, preset string) {
	c := config.New()
	if err := c.ApplyPreset(preset); err != nil {
		b.Fatal(err)
	}
	cfg, err := c.JEPAConfig()
	if err != nil {
		b.Fatal(err)
	}
	benchmarkStep(b, cfg, c.Train.BatchSize)
}

func benchmarkStep(b *testing.B, cfg jepa.Config, clips int) {
	e, err := cpu.New(cpu.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	m, err := jepa.New(e, cfg, 1, clips)
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
	plan, err := jepa.PlanTraining(cfg, clips)
	if err != nil {
		b.Fatal(err)
	}
	step := func(i int) {
		m.Step(batch, i)
		o.Step(1e-4, m.GradSquare())
		m.Losses()
	}
	step(0)
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		step(i + 1)
	}
	b.StopTimer()
	seconds := b.Elapsed().Seconds() / float64(b.N)
	n, d := float64(cfg.Encoder.Tokens()), float64(cfg.Encoder.Width)
	views := float64(clips * cfg.Views())
	convention := 3 * views * float64(cfg.Encoder.Depth) * (24*n*d*d + 4*n*n*d)
	if !cfg.Dual { // else the views are no sequences of n tokens
		b.ReportMetric(convention/seconds/1e9, "GFLOP/s")
	}
	b.ReportMetric(float64(plan.StepFLOPs)/seconds/1e9, "GFLOP/s-done")
	b.ReportMetric(float64(plan.Total())/(1<<20), "MB-planned")
}
