package indexing

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"avjepa/internal/encoder"
	"avjepa/internal/media"
	"avjepa/internal/neardup"
)

// Embedding says how items are embedded.
type Embedding struct {
	Encoder    *encoder.Encoder
	Tools      media.Tools
	Read       encoder.ReadOptions
	Name       string             // projected, cls or patches
	Modalities []encoder.Modality // that are wanted of clips that have them
	Signature  bool               // also make the clip's signature
	Hash       bool               // also read all of a file for its hash
	Workers    int                // that read and decode; 0 means one per core

	// Embed is called instead of the encoder's own, by who shares it with others; nil: it is
	// not.
	Embed func(ctx context.Context, windows []encoder.Window, m encoder.Modality) (encoder.Vectors, error)
}

// Result is what became of an item.
type Result struct {
	Item *Item
	Err  *media.FileError // why it is left out; nil if it is not

	Outcome            media.Outcome // Usable, or what is odd about it
	Seconds            float64
	Width, Height      int // of the frames
	HasAudio, HasVideo bool
	Signature, Hash    string

	Starts  []time.Duration // of the windows
	Vectors [4][][]float32  // by modality, a vector for every window; nil where the clip lacks it
}

// Batch is how many items Each embeds together and hands over at a time. The vectors depend
// on it in their last bits, as the products' sums are cut by the number of rows; so whoever
// goes on after an interrupt begins at a multiple of it.
const Batch = 32

// mostWindowBytes bounds the windows of one clip.
const mostWindowBytes = 1 << 30

// Each embeds the items from a multiple of Batch on and calls yield with the results of each
// batch, in order. It ends with the first error of yield, the context or the engine; faults of
// a file are in its result. Windows in memory are those of a clip for every worker, and as many
// as the encoder takes at once with those of one clip more.
func (e *Embedding) Each(ctx context.Context, items []Item, from int, yield func(at int, r []Result) error) error {
	if err := e.check(); err != nil {
		return err
	}
	workers := e.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	ahead := e.readAhead(ctx, &wg, items[from:], workers)
	for at := from; at < len(items); at += Batch {
		b := batch{e: e, results: make([]Result, min(Batch, len(items)-at))}
		for i := range b.results {
			slot, ok := <-ahead
			if !ok {
				return context.Cause(ctx)
			}
			r := <-slot
			if r.err != nil {
				return r.err
			}
			b.results[i] = r.result
			if err := b.add(ctx, i, r.windows); err != nil {
				return err
			}
		}
		if err := b.flush(ctx); err != nil {
			return err
		}
		if err := yield(at, b.results); err != nil {
			return err
		}
	}
	return nil
}

// read is an item that was read.
type read struct {
	result  Result
	windows []encoder.Window
	err     error
}

// readAhead reads items in order, each worker one at a time, and as many ahead of who takes
// them. It ends when the context does.
func (e *Embedding) readAhead(ctx context.Context, wg *sync.WaitGroup, items []Item,
	workers int) <-chan chan read {
	ahead := make(chan chan read, workers)
	jobs := make(chan func(), workers)
	for range workers {
		wg.Go(func() {
			for job := range jobs {
				job()
			}
		})
	}
	wg.Go(func() {
		defer close(ahead)
		defer close(jobs)
		for i := range items {
			out := make(chan read, 1)
			select {
			case ahead <- out:
			case <-ctx.Done():
				return
			}
			jobs <- func() {
				var r read
				r.result, r.windows, r.err = e.read(ctx, &items[i])
				out <- r
			}
		}
	})
	return ahead
}

// batch gathers windows until there are as many as the encoder takes at once.
type batch struct {
	e       *Embedding
	results []Result
	waiting []waiting
	windows int
}

// waiting is a clip whose windows are to be embedded.
type waiting struct {
	at      int // in results
	windows []encoder.Window
}

func (b *batch) add(ctx context.Context, at int, windows []encoder.Window) error {
	if len(windows) == 0 {
		return nil
	}
	b.waiting = append(b.waiting, waiting{at, windows})
	if b.windows += len(windows); b.windows < b.e.Encoder.Views() {
		return nil
	}
	return b.flush(ctx)
}

// flush embeds what waits.
func (b *batch) flush(ctx context.Context) error {
	for _, m := range b.e.Modalities {
		if err := b.embed(ctx, m); err != nil {
			return err
		}
	}
	b.waiting, b.windows = nil, 0
	return nil
}

// embed embeds one modality of the clips that have it.
func (b *batch) embed(ctx context.Context, m encoder.Modality) error {
	var all []encoder.Window
	for _, w := range b.waiting {
		if w.windows[0].Has(m) {
			all = append(all, w.windows...)
		}
	}
	if len(all) == 0 {
		return nil
	}
	embed := b.e.Embed
	if embed == nil {
		embed = b.e.Encoder.Embed
	}
	v, err := embed(ctx, all, m)
	if err != nil {
		return err
	}
	picked, err := v.Pick(b.e.Name)
	if err != nil {
		return err
	}
	d, row := picked.Shape.Cols(), 0
	for _, w := range b.waiting {
		if !w.windows[0].Has(m) {
			continue
		}
		r := &b.results[w.at]
		for range w.windows {
			r.Vectors[m] = append(r.Vectors[m], picked.Data[row*d:(row+1)*d])
			row++
		}
	}
	return nil
}

func (e *Embedding) check() error {
	if len(e.Modalities) == 0 {
		return errors.New("indexing: no modality to embed")
	}
	_, err := encoder.Vectors{}.Pick(e.Name)
	return err
}

// Dims returns the length of a vector.
func (e *Embedding) Dims() int {
	cls, projected := e.Encoder.Dims()
	if e.Name == "projected" {
		return projected
	}
	return cls
}

// read reads one item and describes it.
func (e *Embedding) read(ctx context.Context, it *Item) (Result, []encoder.Window, error) {
	r := Result{Item: it, Hash: it.Hash}
	leave := func(f *media.FileError) (Result, []encoder.Window, error) {
		r.Err = f
		return r, nil, nil
	}
	if e.Hash && it.set == nil {
		hash, err := it.hash(ctx)
		if ctx.Err() != nil {
			return r, nil, context.Cause(ctx)
		}
		if err != nil {
			return leave(&media.FileError{Outcome: media.Unreadable, Reason: err.Error()})
		}
		r.Hash = hash
	}
	clip, err := it.read(ctx, e.Encoder, e.Tools, e.Read)
	var broken *media.FileError
	switch {
	case errors.As(err, &broken):
		return leave(broken)
	case err != nil:
		return r, nil, err
	case len(clip.Windows) == 0:
		return leave(&media.FileError{Outcome: media.TooShort, Reason: "shorter than a window"})
	}
	v := e.Encoder.Maker().Config()
	one := v.Frames*v.Side*v.Side*3 + 4*v.Bands*v.MelFrames()
	if len(clip.Windows)*one > mostWindowBytes {
		return leave(&media.FileError{Outcome: media.TooLarge, Reason: fmt.Sprintf(
			"%d windows of it take more than 1 GiB: --stride larger", len(clip.Windows))})
	}
	r.Outcome, r.Seconds, r.HasAudio, r.HasVideo = clip.Outcome, clip.Seconds, clip.HasAudio, clip.HasVideo
	if len(clip.Frames) > 0 {
		r.Width, r.Height = frameSize(clip.Frames[0])
	}
	if e.Signature {
		s, _, _ := neardup.NewMaker(16000).Make(clip.Frames, clip.Samples)
		r.Signature = s.String()
	}
	for _, w := range clip.Windows {
		r.Starts = append(r.Starts, w.Start)
	}
	return r, clip.Windows, nil
}

// Mean returns the mean of the windows' vectors of a modality, nil when there are none.
func (r *Result) Mean(m encoder.Modality) []float32 {
	all := r.Vectors[m]
	if len(all) == 0 {
		return nil
	}
	mean := make([]float32, len(all[0]))
	for _, v := range all {
		for j, x := range v {
			mean[j] += x / float32(len(all))
		}
	}
	return mean
}
