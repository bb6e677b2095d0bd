package train

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"avjepa/internal/engine"
)

// behind is an engine that says it computes behind the caller's back, and can record.
// It notes in what order a run asks for uploads of frames, for steps, and for results.
type behind struct {
	engine.Engine
	calls []string
	step  bool // within Record
}

func (b *behind) Info() engine.Info {
	i := b.Engine.Info()
	i.Async = true
	return i
}

func (b *behind) UploadBytes(dst engine.Tensor, src []byte) {
	if b.step {
		panic("frames are uploaded within a step, which cannot be recorded then")
	}
	b.calls = append(b.calls, "upload")
	b.Engine.UploadBytes(dst, src)
}

func (b *behind) Download(dst []float32, src engine.Tensor) {
	if b.step {
		panic("a step waits for results")
	}
	if n := len(b.calls); n > 0 && b.calls[n-1] != "download" {
		b.calls = append(b.calls, "download")
	}
	b.Engine.Download(dst, src)
}

func (b *behind) Record(step func()) {
	b.calls = append(b.calls, "step")
	b.step = true
	step()
	b.step = false
}

// TestInputAhead trains on an engine that computes behind the run's back. The next
// batch must be on its way before the run waits for the step, none may be fetched
// that no step takes, and the run must be the same bit for bit, resumed or not.
func TestInputAhead(t *testing.T) {
	plain := newTrial(t)
	plain.mustRun(tinyConfig(6))
	ahead := plain.in("ahead")
	var e *behind
	ahead.wrap = func(inner engine.Engine) engine.Engine {
		e = &behind{Engine: inner}
		return e
	}
	cfg := tinyConfig(6)
	cfg.StopAfter = 4
	ahead.mustRun(cfg)
	cfg.StopAfter, cfg.Resume = 0, true
	ahead.mustRun(cfg)
	if !bytes.Equal(plain.last(), ahead.last()) {
		t.Error("the checkpoint differs from that of batches brought one by one")
	}
	if !slices.Equal(plain.metrics(), ahead.metrics()) {
		t.Errorf("the log differs:\n%+v\n%+v", plain.metrics(), ahead.metrics())
	}
	// Two kinds of views have frames. The second run takes steps 5 and 6.
	want := []string{"upload", "upload", "step", "upload", "upload", "download", "step", "download"}
	if !slices.Equal(e.calls, want) {
		t.Errorf("calls %q, want %q", e.calls, want)
	}
}

// TestInputAheadStops interrupts such a run, which must end after the step under way
// with a checkpoint of it, though the next batch cannot be had any more.
func TestInputAheadStops(t *testing.T) {
	r := newTrial(t)
	r.wrap = func(inner engine.Engine) engine.Engine { return &behind{Engine: inner} }
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	r.observe = func(m Metrics) {
		if m.Step == 2 {
			stop()
		}
	}
	res, err := r.run(ctx, tinyConfig(20))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if res.Steps != 2 || res.Checkpoint == "" {
		t.Errorf("result %+v", res)
	}
}
