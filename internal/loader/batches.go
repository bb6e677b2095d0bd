package loader

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"avjepa/internal/rng"
	"avjepa/internal/view"
)

// Config says how batches are made.
type Config struct {
	BatchSize int    // clips of a step, over all processes
	First     int    // place in a batch of the first clip that is made here
	Slots     int    // clips made here, of every batch; 0 for all of it
	Seed      uint64 // run seed: fixes the order of clips and every view
	Workers   int    // goroutines that make views
	Ahead     int    // batches made before they are asked for; 0 means 2

	// Lanes other than 0 is the order "shards", for storage where many small reads are
	// slow: every batch has BatchSize/Lanes clips of each lane, which reads shards from
	// end to end and draws each clip at random from those it holds. It divides BatchSize,
	// and a process makes the slots of whole lanes.
	Lanes        int
	ShuffleBytes int64 // records that all lanes hold, those on their way included

	// Weights draws the clips of an epoch with replacement, each with a probability in
	// proportion to its weight; nil takes every clip once. It excludes Lanes.
	Weights []float64

	// Eval gives every clip's evaluation view, in place of views drawn for the epoch:
	// the maker's batches must have one global view and no local ones.
	Eval bool
}

// Loader gives the batches of steps first, first+1, …
type Loader struct {
	clips *Clips
	cfg   Config
	ready chan *work // all slots dealt out, in order of steps
	free  chan *work
	held  *work // with the caller of Next

	order    []int     // of an epoch, unless the following two say otherwise
	weighted *weighted // with Weights
	prefetch *prefetch // with Lanes

	stop context.CancelFunc
	done sync.WaitGroup

	mu      sync.Mutex
	skipped map[string]error // clips that could not be used, by key
}

// work is one batch being filled. There are as many as batches ahead and one for
// the caller; they go round, so that a step allocates nothing.
type work struct {
	batch *view.Batch
	slots sync.WaitGroup // those not filled yet
	empty atomic.Bool    // a slot found no usable clip
}

// job is one slot of a batch.
type job struct {
	*work
	slot, place int
	epoch       int     // that names the views
	record      *record // with Lanes
}

// New starts making batches from step first on. Close ends it. Several processes
// that make slots of their own make parts of the very batches that one would make:
// which clip has which place, and which takes that of one that cannot be read,
// depends on the set alone.
func New(clips *Clips, cfg Config, first int) (*Loader, error) {
	n := clips.Set.Len()
	if cfg.BatchSize < 2 || n < cfg.BatchSize {
		return nil, fmt.Errorf("loader: %w: %d clips for batches of %d (at least 2, "+
			"BatchNorm needs them)", ErrNoClip, n, cfg.BatchSize)
	}
	if cfg.Slots == 0 {
		cfg.Slots = cfg.BatchSize - cfg.First
	}
	if cfg.First < 0 || cfg.Slots < 1 || cfg.First+cfg.Slots > cfg.BatchSize {
		panic(fmt.Sprintf("loader: slots %d to %d of a batch of %d", cfg.First,
			cfg.First+cfg.Slots-1, cfg.BatchSize))
	}
	if err := cfg.checkLanes(); err != nil {
		return nil, err
	}
	ahead := cfg.Ahead
	if ahead == 0 {
		ahead = 2
	}
	ctx, stop := context.WithCancel(context.Background())
	l := &Loader{
		clips: clips, cfg: cfg, stop: stop,
		ready: make(chan *work, ahead), free: make(chan *work, ahead+1),
		skipped: map[string]error{},
	}
	if err := l.openOrder(ctx, first); err != nil {
		stop()
		return nil, err
	}
	for i := 0; i < ahead+1; i++ {
		l.free <- &work{batch: clips.Maker.NewBatch(cfg.Slots)}
	}
	jobs := make(chan job, cfg.Slots)
	for i := 0; i < max(1, cfg.Workers); i++ {
		l.done.Go(func() {
			for j := range jobs {
				if ctx.Err() == nil {
					l.fill(ctx, j)
				}
				j.slots.Done()
			}
		})
	}
	l.done.Go(func() {
		defer close(jobs)
		l.schedule(ctx, jobs, first)
	})
	return l, nil
}

// checkLanes returns an error when lanes cannot be dealt out.
func (c *Config) checkLanes() error {
	if c.Lanes == 0 {
		return nil
	}
	if c.Lanes < 0 || c.BatchSize%c.Lanes != 0 || c.Weights != nil ||
		c.ShuffleBytes < int64(c.Lanes) {
		return fmt.Errorf("loader: %d lanes of %d bytes in all (data.lanes, data.shuffle_mb) for "+
			"batches of %d: lanes must divide the batch and have memory, and clips have no weights",
			c.Lanes, c.ShuffleBytes, c.BatchSize)
	}
	if per := c.BatchSize / c.Lanes; c.First%per != 0 || c.Slots%per != 0 {
		return fmt.Errorf("loader: %d lanes (data.lanes) cannot be dealt to processes that make %d "+
			"of %d clips: their number must divide that of lanes", c.Lanes, c.Slots, c.BatchSize)
	}
	return nil
}

// openOrder makes what says which clip has which place, from step first on.
func (l *Loader) openOrder(ctx context.Context, first int) (err error) {
	c, n := &l.cfg, l.clips.Set.Len()
	switch {
	case c.Lanes > 0:
		share, per := c.ShuffleBytes/int64(c.Lanes), c.BatchSize/c.Lanes
		order := newLanes(l.clips.Set, c.Seed, c.Lanes, c.BatchSize, share*shareDrawn/shareParts)
		perEpoch := StepsPerEpoch(n, c.BatchSize)
		l.prefetch = newPrefetch(ctx, l.clips, order, c.First/per, c.Slots/per, share,
			first/perEpoch, first%perEpoch*per)
	case c.Weights != nil:
		if len(c.Weights) != n {
			panic(fmt.Sprintf("loader: %d weights of %d clips", len(c.Weights), n))
		}
		l.weighted, err = newWeighted(c.Weights, c.Seed)
	default:
		l.order = make([]int, n)
	}
	return err
}

// schedule deals out the slots of one batch after the other.
func (l *Loader) schedule(ctx context.Context, jobs chan<- job, first int) {
	perEpoch := StepsPerEpoch(l.clips.Set.Len(), l.cfg.BatchSize)
	random := rng.New(0)
	for step := first; ; step++ {
		epoch, at := step/perEpoch, step%perEpoch
		if step == first || at == 0 {
			switch {
			case l.order != nil:
				reorder(l.order, random, l.cfg.Seed, epoch)
			case l.weighted != nil:
				l.weighted.begin(epoch)
			}
		}
		var w *work
		select {
		case w = <-l.free:
		case <-ctx.Done():
			return
		}
		w.slots.Add(l.cfg.Slots)
		for slot := 0; slot < l.cfg.Slots; slot++ {
			j, ok := l.job(ctx, w, epoch, at, slot)
			if !ok {
				return
			}
			select {
			case jobs <- j:
			case <-ctx.Done():
				return
			}
		}
		select {
		case l.ready <- w:
		case <-ctx.Done():
			return
		}
	}
}

// againShift makes another epoch, for the views, of the second time that a clip comes
// in an epoch: it would show the same ones again.
const againShift = 40

// job returns the job of a slot made here of a step of an epoch, false when ctx ends.
func (l *Loader) job(ctx context.Context, w *work, epoch, step, slot int) (job, bool) {
	j := job{work: w, slot: slot, epoch: epoch}
	place := step*l.cfg.BatchSize + l.cfg.First + slot
	switch {
	case l.order != nil:
		j.place = l.order[place]
	case l.weighted != nil:
		j.place = int(l.weighted.clips[place])
		j.epoch |= int(l.weighted.again[place]) << againShift
	default:
		per := l.cfg.BatchSize / l.cfg.Lanes
		j.record = l.prefetch.take(ctx, slot/per, epoch, step*per+slot%per)
		if j.record == nil {
			return j, false
		}
		j.place = int(j.record.clip)
	}
	return j, true
}

// fill makes the views of one clip. A clip that cannot be read is recorded and
// the next usable one of the set takes its place, so that a batch is always full.
func (l *Loader) fill(ctx context.Context, j job) {
	var data []byte
	if j.record != nil {
		defer l.prefetch.release(j.record)
		data = j.record.data
	}
	n := l.clips.Set.Len()
	for try := 0; try < n; try++ {
		i := (j.place + try) % n
		key := l.clips.Set.Key(i)
		d, err := l.clips.lend(ctx, i, data)
		if err == nil {
			if l.cfg.Eval {
				err = l.clips.Maker.FillEval(j.batch, j.slot, d.Decoded, key)
			} else {
				err = l.clips.Maker.Fill(j.batch, j.slot, d.Decoded, l.cfg.Seed, j.epoch, key)
			}
			l.clips.Return(d)
		}
		if err == nil || ctx.Err() != nil {
			return
		}
		data = nil
		l.mu.Lock()
		l.skipped[key] = err
		l.mu.Unlock()
	}
	j.empty.Store(true)
}

// Next returns the batch of the next step, or its slots made here, and how long the
// caller waited for it. The batch is the caller's until the next call or Close.
// Errors: ErrNoClip when no clip can be read, and the context's.
func (l *Loader) Next(ctx context.Context) (*view.Batch, time.Duration, error) {
	if l.held != nil {
		l.free <- l.held
		l.held = nil
	}
	start := time.Now()
	select {
	case w := <-l.ready:
		w.slots.Wait()
		if w.empty.Load() {
			return nil, 0, fmt.Errorf("loader: %w: none of the %d clips can be read",
				ErrNoClip, l.clips.Set.Len())
		}
		l.held = w
		return w.batch, time.Since(start), nil
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
}

// Skipped returns the clips that could not be used so far, with the reason.
func (l *Loader) Skipped() map[string]error {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[string]error, len(l.skipped))
	for k, v := range l.skipped {
		out[k] = v
	}
	return out
}

// Close stops the workers and waits for them.
func (l *Loader) Close() {
	l.stop()
	l.done.Wait()
	if l.prefetch != nil {
		l.prefetch.wait()
	}
}
