package dataset

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"avjepa/internal/durable"
)

const maxShards = 1_000_000

// shardName returns the file name of a shard.
func shardName(n int) string { return fmt.Sprintf("shard-%06d.tar", n) }

// shardWriter appends records to numbered shards. Nothing it writes counts
// until sync has returned and the ledger names it.
type shardWriter struct {
	dir    string
	target int64 // a shard that has reached this many bytes is closed
	number int   // of the open shard, or of the next one
	offset int64 // bytes in the open shard
	file   *os.File
}

// append writes one record and returns where it begins.
func (w *shardWriter) append(record []byte) (shard int, offset int64, err error) {
	if w.file == nil {
		if w.number >= maxShards {
			return 0, 0, fmt.Errorf("dataset: more than %d shards: use larger ones", maxShards)
		}
		path := filepath.Join(w.dir, shardName(w.number))
		// A shard of this number that the ledger does not name is a leftover.
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
		if err != nil {
			return 0, 0, err
		}
		w.file, w.offset = f, 0
		if err := durable.SyncDir(w.dir); err != nil {
			return 0, 0, err
		}
	}
	offset = w.offset
	if _, err := w.file.Write(record); err != nil {
		return 0, 0, err
	}
	w.offset += int64(len(record))
	return w.number, offset, nil
}

// full says whether the open shard has reached its size.
func (w *shardWriter) full() bool { return w.file != nil && w.offset >= w.target }

// sync makes what was appended durable.
func (w *shardWriter) sync() error {
	if w.file == nil {
		return nil
	}
	return w.file.Sync()
}

// finish ends the open shard as a tar archive and moves on to the next number.
func (w *shardWriter) finish() error {
	if w.file == nil {
		return nil
	}
	if _, err := w.file.Write(make([]byte, tarTrailer)); err != nil {
		return err
	}
	if err := w.file.Sync(); err != nil {
		return err
	}
	err := w.file.Close()
	w.file = nil
	w.number++
	return err
}

// abandon closes the open shard as it is. Its tail is not cut off here: the ledger
// on disk may name more of it than the one in memory, when writing lines failed
// half way. Resume knows.
func (w *shardWriter) abandon() {
	if w.file != nil {
		w.file.Close()
		w.file = nil
	}
}

// resumeShards brings the shards in dir to the state the ledger names: ends[n]
// is the end of the last ledgered record of shard n. Tails are cut off, shards
// before the last end as archives, and the last one is open for appending unless
// it is full.
func resumeShards(dir string, target int64, ends map[int]int64) (*shardWriter, error) {
	last := -1
	if len(ends) == 0 {
		st, err := os.Stat(filepath.Join(dir, indexFile))
		if err == nil && st.Size() > 0 {
			return nil, fmt.Errorf("dataset: %s: %w: it has an index and no clip in %s: restore it, "+
				"or ingest into an empty folder", dir, ErrCorrupt, ledgerFile)
		}
	}
	for n := range ends {
		last = max(last, n)
	}
	w := &shardWriter{dir: dir, target: target}
	for n := 0; n <= last; n++ {
		end, ok := ends[n]
		if !ok {
			return nil, fmt.Errorf("dataset: %w: the ledger names no clip of %s",
				ErrCorrupt, shardName(n))
		}
		path := filepath.Join(dir, shardName(n))
		if size, ok := wasSent(dir, n); ok && size >= end+tarTrailer {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("dataset: %w", err)
			}
			continue
		}
		st, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("dataset: %w: %w", ErrCorrupt, err)
		}
		if st.Size() < end {
			return nil, fmt.Errorf("dataset: %w: %s has %d bytes, the ledger names %d: "+
				"restore it, or ingest into an empty folder", ErrCorrupt, path, st.Size(), end)
		}
		if n < last && st.Size() == end+tarTrailer {
			continue // closed in order: its trailer was synced before the next shard began
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return nil, fmt.Errorf("dataset: %w", err)
		}
		w.file, w.number, w.offset = f, n, end
		if err := f.Truncate(end); err != nil {
			return nil, fmt.Errorf("dataset: %w", err)
		}
		if _, err := f.Seek(end, 0); err != nil {
			return nil, fmt.Errorf("dataset: %w", err)
		}
		if n < last || w.full() {
			if err := w.finish(); err != nil {
				return nil, diskError("dataset: "+path, err)
			}
		}
	}
	if w.file == nil {
		w.number = last + 1
	}
	// One shard may have been begun without any of its clips being counted.
	err := os.Remove(filepath.Join(dir, shardName(last+1)))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	if _, err := os.Stat(filepath.Join(dir, shardName(last+2))); err == nil {
		return nil, fmt.Errorf("dataset: %s: %w: %s is not in the ledger: restore %s, "+
			"or ingest into an empty folder", dir, ErrCorrupt, shardName(last+2), ledgerFile)
	}
	return w, nil
}
