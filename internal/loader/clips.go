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
	s := &c.slots[i]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.decoded != nil || s.err != nil {
		return s.decoded, s.err
	}
	d, keep, err := c.read(ctx, i)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err != nil {
		s.err = err
		return nil, err
	}
	if keep {
		if n := d.MemoryBytes(); c.used.Add(n) <= c.budget {
			s.decoded = d
		} else {
			c.used.Add(-n)
			c.full.Store(true)
		}
	}
	return d, nil
}

// read reads clip i and says whether it is worth keeping. A clip of which only
// some frames are broken is opened lazily, as it would be with a full cache.
func (c *Clips) read(ctx context.Context, i int) (d *view.Decoded, keep bool, err error) {
	var clip dataset.Clip // fresh: a Decoded keeps its slices
	if err := c.Set.Read(ctx, i, &clip); err != nil {
		return nil, false, err
	}
	if !c.full.Load() {
		d, err := c.Maker.Decode(clip.Frames, clip.FPS, clip.Samples)
		if err == nil {
			return d, true, nil
		}
	}
	d, err = c.Maker.Open(clip.Frames, clip.FPS, clip.Samples)
	if err != nil {
		return nil, false, c.wrap(i, err)
	}
	return d, !c.full.Load(), nil
}

// wrap names the clip in an error.
func (c *Clips) wrap(i int, err error) error {
	return fmt.Errorf("clip %s: %w", c.Set.Info(i).Key, err)
}

// CachedBytes returns the memory the decoded clips take.
func (c *Clips) CachedBytes() int64 { return c.used.Load() }

// ErrNoClip is returned when a set has fewer clips than one batch, or none that
// can be read.
var ErrNoClip = errors.New("not enough clips")
