package train

import (
	"context"
	"testing"
)

// TestSteadyStepAllocations counts what a step of cached clips leaves to the
// garbage collector: nothing, from the order of clips to the line of the log.
func TestSteadyStepAllocations(t *testing.T) {
	for i, threads := range []int{1, 2, 1} {
		r := newTrial(t)
		if i == 2 {
			r = probed(r, true)
		}
		r.threads = threads
		cfg := tinyConfig(1000)
		cfg.CheckpointEvery, cfg.Probes = 0, r.heldOut()
		e, model := r.open(cfg)
		defer e.Close()
		folder, err := Open(r.dir)
		if err != nil {
			t.Fatal(err)
		}
		defer folder.Close()
		tr, err := begin(context.Background(), folder, e, model, r.clips(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer tr.loader.Close()
		defer tr.log.close()
		ctx := context.Background()
		for range 10 { // all clips are decoded, all scratch has grown
			if _, _, err := tr.one(ctx); err != nil {
				t.Fatal(err)
			}
		}
		whole := testing.AllocsPerRun(50, func() {
			if _, _, err := tr.one(ctx); err != nil {
				t.Fatal(err)
			}
		})
		if whole != 0 {
			t.Errorf("%d threads: a step of %d clips allocates %v times", threads, tinyBatch, whole)
		}
		b, _, err := tr.loader.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		tr.loader.Close() // its workers would be counted
		m := Metrics{Step: 11, Total: 1.25e-7}
		compute := testing.AllocsPerRun(20, func() {
			tr.upload(tr.batch, b)
			tr.model.Step(tr.batch, tr.step)
			tr.opt.Step(1e-4, tr.model.GradSquare())
			tr.model.Losses()
			if err := tr.log.add(&m); err != nil {
				t.Fatal(err)
			}
		})
		if compute != 0 {
			t.Errorf("%d threads: computing and logging a step allocates %v times", threads, compute)
		}
	}
}
