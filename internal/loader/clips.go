// Package loader brings clips from shards to batches of views while the engine
// computes: decoded clips are kept in memory within a bound, and a few batches
// are made ahead by workers.
//
//	clips := loader.NewClips(set, maker, 2<<30)
//	l, err := loader.New(clips, loader.Config{BatchSize: 64, Seed: 1, Workers: 2}, firstStep)
//	defer l.Close()
//	batch, wait, err := l.Next(ctx)
package loader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"avjepa/internal/dataset"
	"avjepa/internal/view"
)

// Clips reads the clips of a set and keeps as many as fit decoded. It is safe
// for concurrent use. What views a clip gives, and whether it gives any, does not
// depend on what is kept.
type Clips struct {
	Set    *dataset.Set
	Maker  *view.Maker
	budget int64
	used   atomic.Int64
	full   atomic.Bool // a decoded clip did not fit: no more are decoded whole
	slots  []slot

	mu   sync.Mutex
	idle []*dataset.Clip // memory to read into
}

// slot is one clip's place in the cache.
type slot struct {
	mu      sync.Mutex
	decoded *view.Decoded
	err     error // a clip that failed once is not tried again
}

// NewClips returns the clips of set with a cache of cacheBytes.
func NewClips(set *dataset.Set, maker *view.Maker, cacheBytes int64) *Clips {
	c := &Clips{Set: set, Maker: maker, budget: cacheBytes, slots: make([]slot, set.Len())}
	c.full.Store(cacheBytes <= 0)
	return c
}

// Get returns clip i ready for views. When the cache is full the clip is opened
// lazily: only the frames a view needs are decoded then. Of errors all but the
// context's are final.
func (c *Clips) Get(ctx context.Context, i int) (*view.Decoded, error) {
	l, err := c.open(ctx, i, nil, new(dataset.Clip)) // which the Decoded keeps
	return l.Decoded, err
}

// Loan is a clip that its reader gives back, so that its memory serves the next one.
type Loan struct {
	*view.Decoded               // not to be used after Return
	from          *dataset.Clip // what it points into; nil when it is in the cache
}

// Lend is Get for a caller that calls Return when the views are made. After the first
// clips it reads into memory that was given back.
func (c *Clips) Lend(ctx context.Context, i int) (Loan, error) { return c.lend(ctx, i, nil) }

// lend is Lend of a clip whose record has been read, unless that is nil. The record
// must not change before Return.
func (c *Clips) lend(ctx context.Context, i int, record []byte) (Loan, error) {
	c.mu.Lock()
	var into *dataset.Clip
	if n := len(c.idle); n > 0 {
		into, c.idle = c.idle[n-1], c.idle[:n-1]
	} else {
		into = new(dataset.Clip)
	}
	c.mu.Unlock()
	l, err := c.open(ctx, i, record, into)
	if l.from == nil {
		c.giveBack(into)
	}
	return l, err
}

// Return ends a loan.
func (c *Clips) Return(l Loan) {
	if l.from != nil {
		c.giveBack(l.from)
	}
}

func (c *Clips) giveBack(into *dataset.Clip) {
	c.mu.Lock()
	c.idle = append(c.idle, into)
	c.mu.Unlock()
}

// open returns clip i from the cache, or from its record, or from its shard. It reads
// into memory that the loan points into, and leaves the cache what that keeps.
func (c *Clips) open(ctx context.Context, i int, record []byte, into *dataset.Clip) (Loan, error) {
	s := &c.slots[i]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.decoded != nil || s.err != nil {
		return Loan{Decoded: s.decoded}, s.err
	}
	d, whole, err := c.read(ctx, i, record, into)
	if err := ctx.Err(); err != nil {
		return Loan{}, err
	}
	if err != nil {
		s.err = err
		return Loan{}, err
	}
	if !c.full.Load() {
		if n := d.MemoryBytes(); c.used.Add(n) <= c.budget {
			s.decoded = d
			if into.Samples = nil; !whole {
				*into = dataset.Clip{}
			}
			return Loan{Decoded: d}, nil
		} else {
			c.used.Add(-n)
			c.full.Store(true)
		}
	}
	return Loan{d, into}, nil
}

// read reads clip i and says whether it is decoded whole: then of what was read it
// keeps the samples alone. A clip of which only some frames are broken is opened
// lazily, as it would be with a full cache.
func (c *Clips) read(ctx context.Context, i int, record []byte, into *dataset.Clip) (
	d *view.Decoded, whole bool, err error) {
	if record == nil {
		err = c.Set.Read(ctx, i, into)
	} else {
		err = c.Set.Parse(i, record, into)
	}
	if err != nil {
		return nil, false, err
	}
	if !c.full.Load() {
		d, err := c.Maker.Decode(into.Frames, into.FPS, into.Samples)
		if err == nil {
			return d, true, nil
		}
		if record != nil { // the clip may be kept, the record not
			if err := c.Set.Parse(i, bytes.Clone(record), into); err != nil {
				return nil, false, err
			}
		}
	}
	if d, err = c.Maker.Open(into.Frames, into.FPS, into.Samples); err != nil {
		return nil, false, c.wrap(i, err)
	}
	return d, false, nil
}

// kept reports whether clip i is known to need no reading: it is in the cache, or
// broken. That stays so. It does not wait for who is reading the clip.
func (c *Clips) kept(i int) bool {
	s := &c.slots[i]
	if !s.mu.TryLock() {
		return false
	}
	defer s.mu.Unlock()
	return s.decoded != nil || s.err != nil
}

// wrap names the clip in an error.
func (c *Clips) wrap(i int, err error) error {
	return fmt.Errorf("clip %s: %w", c.Set.Key(i), err)
}

// CachedBytes returns the memory the decoded clips take.
func (c *Clips) CachedBytes() int64 { return c.used.Load() }

// ErrNoClip is returned when a set has fewer clips than one batch, or none that
// can be read.
var ErrNoClip = errors.New("not enough clips")
