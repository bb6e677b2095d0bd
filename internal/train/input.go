package train

import (
	"context"
	"time"

	"avjepa/internal/engine"
	"avjepa/internal/jepa"
	"avjepa/internal/view"
)

// input is the way of the batches to the device. On an engine that computes behind
// our back the next batch goes to a place of its own while a step runs.
type input struct {
	batch   *jepa.Batch // of the step
	ahead   *jepa.Batch // of the next one; nil where that would gain nothing
	fetched bool        // ahead is filled, or the following two say why not
	waited  time.Duration
	err     error
}

// allocateInput makes room for the batches.
func (t *trainer) allocateInput(frames engine.DType) (err error) {
	if t.batch, err = t.model.NewBatch(frames); err == nil && t.engine.Info().Async {
		t.ahead, err = t.model.NewBatch(frames)
	}
	return err
}

// take brings the batch of the step to where the model reads it, and returns how long
// that waited for the loader.
func (t *trainer) take(ctx context.Context) (time.Duration, error) {
	waited, err := t.bring(ctx)
	if t.probes != nil && err == nil { // not in the step, which may be a recorded one
		t.probes.online.UploadLabels()
	}
	return waited, err
}

// bring is take without the labels, of which the host has those of the batch.
func (t *trainer) bring(ctx context.Context) (time.Duration, error) {
	if t.ahead == nil {
		b, waited, err := t.next(ctx)
		if err == nil && b != nil {
			t.upload(t.batch, b)
		}
		return waited, err
	}
	if !t.fetched {
		t.fetch(ctx)
	}
	t.fetched = false
	if t.err == nil {
		for _, p := range [...]struct{ dst, src engine.Tensor }{
			{t.batch.GlobalVideo, t.ahead.GlobalVideo}, {t.batch.GlobalAudio, t.ahead.GlobalAudio},
			{t.batch.LocalVideo, t.ahead.LocalVideo}, {t.batch.LocalAudio, t.ahead.LocalAudio},
		} {
			if !p.dst.Nil() {
				t.engine.Copy(p.dst, p.src)
			}
		}
	}
	return t.waited, t.err
}

// fetch begins to bring the next batch.
func (t *trainer) fetch(ctx context.Context) {
	b, waited, err := t.next(ctx)
	if err == nil && b != nil {
		t.upload(t.ahead, b)
	}
	t.fetched, t.waited, t.err = true, waited, err
}

// next returns the batch of the step. In a group an error is pending instead, and
// there is no batch: the step's result is of no use, but the others wait for this
// process's part in it. There an interrupt does not end the wait either: the step
// that all have begun is finished.
func (t *trainer) next(ctx context.Context) (*view.Batch, time.Duration, error) {
	if t.group == nil {
		return t.loader.Next(ctx)
	}
	b, waited, err := t.loader.Next(context.WithoutCancel(ctx))
	if err != nil && t.pending == nil {
		t.pending = err
	}
	return b, waited, nil
}

// upload moves a batch to the device, and notes its labels on the host.
func (t *trainer) upload(to *jepa.Batch, b *view.Batch) {
	put := func(dst engine.Tensor, pixels []byte, values []float32) {
		switch {
		case dst.Nil():
		case dst.DType() == engine.U8:
			t.engine.UploadBytes(dst, pixels)
		default:
			t.engine.Upload(dst, values)
		}
	}
	put(to.GlobalVideo, b.GlobalVideo, b.GlobalVideoF)
	put(to.LocalVideo, b.LocalVideo, b.LocalVideoF)
	put(to.GlobalAudio, nil, b.GlobalAudio)
	put(to.LocalAudio, nil, b.LocalAudio)
	if t.probes != nil {
		t.probes.labels(b.Keys)
	}
}
