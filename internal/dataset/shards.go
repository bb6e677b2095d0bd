package dataset

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// shards are the numbered shards of a dataset as a Set reads them. It is safe for
// concurrent use.
type shards interface {
	// ReadAt sets p to the bytes of a shard from off on. A shard that ends before has
	// the error io.ErrUnexpectedEOF.
	ReadAt(ctx context.Context, shard int, p []byte, off int64) error
	// Size returns the bytes of a shard.
	Size(ctx context.Context, shard int) (int64, error)
}

// folder is the shards in a folder of this machine. It holds no open files: a set has
// more shards than a process may have files.
type folder string

func (d folder) ReadAt(ctx context.Context, shard int, p []byte, off int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f, err := os.Open(filepath.Join(string(d), shardName(shard)))
	if err != nil {
		return err
	}
	defer f.Close()
	if n, err := f.ReadAt(p, off); err == io.EOF && n < len(p) {
		return fmt.Errorf("it ends at byte %d: %w", off+int64(n), io.ErrUnexpectedEOF)
	} else if err != nil && err != io.EOF {
		return err
	}
	return nil
}

func (d folder) Size(_ context.Context, shard int) (int64, error) {
	st, err := os.Stat(filepath.Join(string(d), shardName(shard)))
	if err != nil {
		return 0, err
	}
	if !st.Mode().IsRegular() {
		return 0, fmt.Errorf("%s is not a regular file", shardName(shard))
	}
	return st.Size(), nil
}

// ReadAt is how a set reads p from a shard, from byte off on.
type ReadAt func(ctx context.Context, shard int, p []byte, off int64) error

// Through returns the set with every read of a shard done by what wrap makes of the
// set's own: to measure reads, or to see what slow or failing storage does.
func (s *Set) Through(wrap func(read ReadAt) ReadAt) *Set {
	t := *s
	t.shards = wrapped{s.shards, wrap(s.shards.ReadAt)}
	return &t
}

// wrapped is shards with another ReadAt.
type wrapped struct {
	shards
	read ReadAt
}

func (w wrapped) ReadAt(ctx context.Context, shard int, p []byte, off int64) error {
	return w.read(ctx, shard, p, off)
}
