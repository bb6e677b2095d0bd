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
}

// Loader gives the batches of steps first, first+1, …
type Loader struct {
	clips *Clips
	cfg   Config
	ready chan *work // all slots dealt out, in order of steps
	free  chan *work
	held  *work // with the caller of Next

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
	slot, epoch, place int
}

// StepsPerEpoch returns floor(clips / batch size): every clip of an epoch is
// seen at most once, and the clips left over differ from epoch to epoch.
func StepsPerEpoch(clips, batchSize int) int { return clips / batchSize }

// Order returns the order of n clips in an epoch.
func Order(seed uint64, epoch, n int) []int {
	p := make([]int, n)
	reorder(p, rng.New(0), seed, epoch)
	return p
}

// reorder sets p to the order of an epoch, drawn from r started anew.
func reorder(p []int, r *rng.Stream, seed uint64, epoch int) {
	r.Restart(seed, "order", epoch)
	for i := range p {
		p[i] = i
	}
	r.Shuffle(len(p), func(i, j int) { p[i], p[j] = p[j], p[i] })
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
	for i := 0; i < ahead+1; i++ {
		l.free <- &work{batch: clips.Maker.NewBatch(cfg.Slots)}
	}
	jobs := make(chan job, cfg.Slots)
	for i := 0; i < max(1, cfg.Workers); i++ {
		l.done.Add(1)
		go func() {
			defer l.done.Done()
			for j := range jobs {
				if ctx.Err() == nil {
					l.fill(ctx, j)
				}
				j.slots.Done()
			}
		}()
	}
	l.done.Add(1)
	go func() {
		defer l.done.Done()
		defer close(jobs)
		l.schedule(ctx, jobs, first)
	}()
	return l, nil
}

// schedule deals out the slots of one batch after the other.
func (l *Loader) schedule(ctx context.Context, jobs chan<- job, first int) {
	n := l.clips.Set.Len()
	perEpoch := StepsPerEpoch(n, l.cfg.BatchSize)
	order, random := make([]int, n), rng.New(0)
	for step := first; ; step++ {
		epoch, at := step/perEpoch, step%perEpoch*l.cfg.BatchSize
		if step == first || at == 0 {
			reorder(order, random, l.cfg.Seed, epoch)
		}
		var w *work
		select {
		case w = <-l.free:
		case <-ctx.Done():
			return
		}
		w.slots.Add(l.cfg.Slots)
		for slot := 0; slot < l.cfg.Slots; slot++ {
			select {
			case jobs <- job{w, slot, epoch, order[at+l.cfg.First+slot]}:
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

// fill makes the views of one clip. A clip that cannot be read is recorded and
// the next usable one of the set takes its place, so that a batch is always full.
func (l *Loader) fill(ctx context.Context, j job) {
	n := l.clips.Set.Len()
	for try := 0; try < n; try++ {
		i := (j.place + try) % n
		key := l.clips.Set.Info(i).Key
		d, err := l.clips.Get(ctx, i)
		if err == nil {
			err = l.clips.Maker.Fill(j.batch, j.slot, d, l.cfg.Seed, j.epoch, key)
		}
		if err == nil || ctx.Err() != nil {
			return
		}
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
}
