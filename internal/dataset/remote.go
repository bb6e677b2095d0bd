package dataset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"avjepa/internal/store"
)

// OpenStore is Open for a dataset at any location: a folder, an S3-compatible store or
// a web server. A clip is then read with one ranged request.
func OpenStore(ctx context.Context, at *store.Store) (*Set, error) {
	f, err := at.NewReader(ctx, indexFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("dataset: %s has no %s: %w; name another (--data), or run ingest to its end",
			at, indexFile, ErrNotDataset)
	}
	if err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	defer f.Close()
	clips, err := readIndex(f)
	if err != nil {
		return nil, fmt.Errorf("dataset: %s of %s: %w (avjepa data index makes it anew from the shards)",
			indexFile, at, corrupt(err))
	}
	if len(clips) == 0 {
		return nil, fmt.Errorf("dataset: %s: %w", at, ErrNoClips)
	}
	listed, err := readClasses(ctx, at)
	if err != nil {
		return nil, err
	}
	var there shards = objects{at}
	if dir, ok := at.Local(); ok {
		there = folder(dir)
	}
	if err := checkSizes(ctx, there, clips); err != nil {
		return nil, err
	}
	if err := checkOverlap(clips); err != nil {
		return nil, fmt.Errorf("dataset: %s of %s: %w: %w", indexFile, at, ErrCorrupt, err)
	}
	s := &Set{shards: there, clips: clips, classes: classesOf(listed, clips), class: map[string]int{}}
	for i := range s.classes {
		s.class[s.classes[i].ID] = i
	}
	return s, nil
}

// corrupt marks an error of reading with ErrCorrupt, but for those of a store that does
// not answer: its bytes may be good.
func corrupt(err error) error {
	if errors.Is(err, store.ErrNoAnswer) || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}

// objects is the shards in a store.
type objects struct{ *store.Store }

func (o objects) ReadAt(ctx context.Context, shard int, p []byte, off int64) error {
	err := o.Store.ReadAt(ctx, shardName(shard), p, off)
	if errors.Is(err, store.ErrShort) {
		return fmt.Errorf("%w: %w", err, io.ErrUnexpectedEOF)
	}
	return err
}

func (o objects) Size(ctx context.Context, shard int) (int64, error) {
	return o.Store.Size(ctx, shardName(shard))
}

// sizesAtOnce is how many shards are asked for their size at a time: a store answers
// each after a while.
const sizesAtOnce = 16

// checkSizes returns an error when a clip lies behind the end of its shard.
func checkSizes(ctx context.Context, at shards, clips []Info) error {
	ends := make(map[int]*Info) // the last clip of each shard
	for i := range clips {
		c := &clips[i]
		if last := ends[c.Shard]; last == nil || c.Offset > last.Offset {
			ends[c.Shard] = c
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	queue := make(chan *Info)
	for range min(sizesAtOnce, len(ends)) {
		wg.Go(func() {
			for c := range queue {
				if err := checkLast(ctx, at, c); err != nil {
					cancel(err)
				}
			}
		})
	}
	for _, c := range ends {
		queue <- c
	}
	close(queue)
	wg.Wait()
	return context.Cause(ctx)
}

func checkLast(ctx context.Context, at shards, c *Info) error {
	if ctx.Err() != nil {
		return nil // another shard is at fault
	}
	size, err := at.Size(ctx, c.Shard)
	if err != nil {
		return fmt.Errorf("dataset: %s: %w", shardName(c.Shard), corrupt(err))
	}
	if c.Offset+c.Bytes > size {
		return fmt.Errorf("dataset: %w: clip %s ends at byte %d of %s, which has %d; "+
			"avjepa data verify lists the damage, avjepa data index keeps what is whole", ErrCorrupt,
			c.Key, c.Offset+c.Bytes, shardName(c.Shard), size)
	}
	return nil
}
