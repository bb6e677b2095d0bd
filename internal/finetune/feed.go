package finetune

import (
	"context"
	"time"

	"avjepa/internal/loader"
	"avjepa/internal/vit"
)

// openClips begins to make batches, or keeps the features of all clips.
func (t *trainer) openClips(ctx context.Context) error {
	n, set, c := t.net, t.data.Train.Set, &t.cfg
	if t.step == t.steps && t.progress.Epochs == c.Epochs {
		return nil // nothing is left to do
	}
	var weights []float64
	if c.Balanced {
		weights = loader.Balanced(set)
	}
	inputs := Inputs(c.Modality)
	t.how.Kept = KeptNot
	if c.Keeps(n.Model) {
		bytes := n.keepBytes(set.Len(), inputs[:1]) + n.keepBytes(t.data.Val.Set.Len(), inputs)
		t.how.Kept = c.KeepWhere(bytes)
		switch t.how.Kept {
		case KeptNot:
			t.say("features of all clips are %d MB, more than finetune.keep_mb and finetune.spill_mb: "+
				"they are made in every epoch anew", bytes>>20)
		default:
			folder := map[string]string{KeptFile: t.folder.Dir}[t.how.Kept]
			t.how.KeptBytes = bytes
			return t.keep(ctx, inputs, folder, weights)
		}
	}
	var err error
	t.loader, err = loader.New(t.data.Train, loader.Config{BatchSize: c.BatchSize, Seed: c.Seed,
		Workers: c.Workers, Weights: weights, Eval: c.EvalViews}, t.step)
	return err
}

// keep makes the features of training and validation clips. A clip that cannot be read
// has those of the next one that can, as in a Loader.
func (t *trainer) keep(ctx context.Context, inputs []vit.Modality, folder string,
	weights []float64) (err error) {
	start := time.Now()
	n := t.data.Train.Set.Len()
	work := func(what string, of int) func(int) {
		return func(n int) { t.work(what, n, of) }
	}
	t.train, err = t.net.keep(ctx, t.data.Train, inputs[:1], t.cfg.Workers, folder,
		work("features", n))
	if err != nil {
		return err
	}
	t.val, err = t.net.keep(ctx, t.data.Val, inputs, t.cfg.Workers, folder,
		work("validation", t.data.Val.Set.Len()))
	if err != nil {
		return err
	}
	t.how.KeepSeconds = time.Since(start).Seconds()
	t.rowOf = make([]int, n)
	row := len(t.train.clips)
	for clip := n - 1; clip >= 0; clip-- {
		if row > 0 && t.train.clips[row-1] == clip {
			row--
		}
		t.rowOf[clip] = row % len(t.train.clips)
	}
	t.orders, err = loader.NewOrders(n, t.cfg.Seed, weights)
	return err
}

// viewStep sets the gradients of the next batch of the loader.
func (t *trainer) viewStep(ctx context.Context) (Losses, time.Duration, error) {
	b, waited, err := t.loader.Next(ctx)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return Losses{}, 0, err
	}
	for i, key := range b.Keys {
		t.setTargets(i, place(t.data.Train.Set, key))
	}
	if t.mixer != nil {
		t.mixer.alter(b, t.targets, t.step)
	}
	return t.net.Step(b.GlobalVideo, b.GlobalAudio, t.targets, t.cfg.Modality, &t.objective,
		t.step), waited, nil
}

func (t *trainer) setTargets(slot, clip int) {
	c := t.net.Classes
	t.data.Labels.set(t.targets[slot*c:(slot+1)*c], t.data.Train.Set.Labels(clip))
}

// keptStep sets the gradients of the heads from kept features.
func (t *trainer) keptStep() (Losses, error) {
	batch, n := t.cfg.BatchSize, t.net
	at := t.step % t.perEpoch * batch
	order := t.orders.Epoch(t.step / t.perEpoch)[at : at+batch]
	var sum Losses
	n.begin(t.step)
	for lo := 0; lo < batch; lo += n.views {
		hi := min(lo+n.views, batch)
		var stored []int
		for slot := lo; slot < hi; slot++ {
			row := t.rowOf[order[slot]]
			stored = append(stored, row)
			t.setTargets(slot, t.train.clips[row])
		}
		if err := t.train.use(0, stored); err != nil {
			return sum, err
		}
		_, _, l := n.headsStep(t.targets[lo*n.Classes:hi*n.Classes], &t.objective,
			1/float64(batch), false)
		sum.add(l, float64(hi-lo)/float64(batch))
	}
	return sum, nil
}
