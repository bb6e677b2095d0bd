// Package loader brings clips from shards to batches of views while the engine
// computes: decoded clips are kept in memory within a bound, and a few batches
// are made ahead by workers.
//
//	clips := loader.NewClips(set, maker, 2<<30)
//	l := loader.New(clips, loader.Config{BatchSize: 64, Seed: 1, Workers: 2}, firstStep)
//	batch, wait, err := l.Next(ctx)
package loader

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"avjepa/internal/dataset"
	"avjepa/internal/view"
)

// Clips reads the clips of a set and keeps as many as fit decoded. It is safe
// for concurrent use.
type Clips struct {
	Set    *dataset.Set
	Maker  *view.Maker
	budget int64
	used   atomic.Int64
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
	return &Clips{Set: set, Maker: maker, budget: cacheBytes, slots: make([]slot, set.Len())}
}

// Get returns clip i ready for views. When the cache is full the clip is opened
// lazily: only the frames a view needs are decoded then.
func (c *Clips) Get(i int) (*view.Decoded, error) {
	s := &c.slots[i]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.decoded != nil || s.err != nil {
		return s.decoded, s.err
	}
	var clip dataset.Clip // fresh: a Decoded keeps its slices
	if err := c.Set.Read(i, &clip); err != nil {
		s.err = err
		return nil, err
	}
	if c.used.Load() >= c.budget {
		d, err := c.Maker.Open(clip.Frames, clip.FPS, clip.Samples)
		if err != nil {
			s.err = c.wrap(i, err)
		}
		return d, s.err
	}
	d, err := c.Maker.Decode(clip.Frames, clip.FPS, clip.Samples)
	if err != nil {
		s.err = c.wrap(i, err)
		return nil, s.err
	}
	if c.used.Add(d.MemoryBytes()) <= c.budget {
		s.decoded = d
	} else {
		c.used.Add(-d.MemoryBytes())
	}
	return d, nil
}

// wrap names the clip in an error.
func (c *Clips) wrap(i int, err error) error {
	return fmt.Errorf("clip %s: %w", c.Set.Info(i).Key, err)
}

// CachedBytes returns the memory the decoded clips take.
func (c *Clips) CachedBytes() int64 { return c.used.Load() }

// ErrNoClip is returned when a set has fewer clips than one batch.
var ErrNoClip = errors.New("not enough clips")
