package dataset

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"avjepa/internal/durable"
)

// RebuildConfig says which index to rebuild.
type RebuildConfig struct {
	Dir     string
	Workers int // shards read at a time; 0 = one per core

	// Progress, when set, is called from several goroutines with the bytes of shards
	// that have been read, of all.
	Progress func(done, total int64)
}

// Rebuilt says what Rebuild found.
type Rebuilt struct {
	Clips   int
	Shards  int
	Bytes   int64     // of the shards
	Skipped []Skipped // what became no clip, by place; the first mostFaults
	More    int       // that Skipped has not
}

// Skipped is a stretch of a shard that is no clip, and why.
type Skipped struct {
	File   string `json:"file"`
	Offset int64  `json:"offset"`
	Key    string `json:"key,omitempty"` // "" when it has none
	Reason string `json:"reason"`
}

// mostFaults bounds lists of what is wrong with a dataset.
const mostFaults = 100_000

// Rebuild writes index.jsonl and duplicates.csv anew from the shards in a folder,
// shard-NNNNNN.tar, and from nothing else: for a dataset that has lost its index, or
// that another program made. A record that is not a clip of our layout is skipped.
//
// A record is a run of members with one key: key.json, key.wav, key.0000.jpg…, in any
// order. The JSON has key, split and whatever else Info has; what it lacks of counts,
// sides and length follows from the files, and what it says of them must be so.
//
// Errors: ErrNotDataset without shards, ErrNoClips when none is good (nothing is written
// then), ErrLocked, ErrDiskFull, ctx's.
func Rebuild(ctx context.Context, cfg RebuildConfig) (Rebuilt, error) {
	numbers, sizes, err := listShards(cfg.Dir)
	if err != nil {
		return Rebuilt{}, err
	}
	if len(numbers) == 0 {
		return Rebuilt{}, fmt.Errorf("dataset: %s has no %s: %w; shards have such names",
			cfg.Dir, shardName(0), ErrNotDataset)
	}
	unlock, err := lock(cfg.Dir)
	if err != nil {
		return Rebuilt{}, err
	}
	defer unlock()
	b := &rebuilder{cfg: cfg, results: make([]scanned, len(numbers))}
	for _, n := range sizes {
		b.total += n
	}
	if err := b.scanAll(ctx, numbers, sizes); err != nil {
		return Rebuilt{}, err
	}
	clips, out := b.gather()
	if out.Shards, out.Bytes = len(numbers), b.total; len(clips) == 0 {
		return out, fmt.Errorf("dataset: %s: %w in %d shards, the first because: %s",
			cfg.Dir, ErrNoClips, len(numbers), firstSkipped(out.Skipped))
	}
	pairs, err := findDuplicates(ctx, clips)
	if err != nil {
		return out, err
	}
	err = writeDuplicates(cfg.Dir, pairs)
	if err == nil {
		err = durable.WriteFile(filepath.Join(cfg.Dir, indexFile), func(w io.Writer) error {
			return writeIndex(w, clips)
		})
	}
	if err != nil {
		return out, diskError("dataset: "+cfg.Dir, err)
	}
	return out, nil
}

func firstSkipped(all []Skipped) string {
	if len(all) == 0 {
		return "they are empty"
	}
	return fmt.Sprintf("%s at byte %d: %s", all[0].File, all[0].Offset, all[0].Reason)
}

// listShards returns the numbers of the shards in dir, ascending, and their bytes.
func listShards(dir string) (numbers []int, sizes map[int]int64, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("dataset: %w", err)
	}
	sizes = make(map[int]int64)
	for _, e := range entries {
		var n int
		if _, err := fmt.Sscanf(e.Name(), "shard-%06d.tar", &n); err != nil ||
			shardName(n) != e.Name() || n < 0 || n >= maxShards {
			continue
		}
		st, err := os.Stat(filepath.Join(dir, e.Name()))
		if err != nil || !st.Mode().IsRegular() {
			return nil, nil, fmt.Errorf("dataset: %w: %s is not a regular file",
				ErrCorrupt, e.Name())
		}
		numbers, sizes[n] = append(numbers, n), st.Size()
	}
	slices.Sort(numbers)
	return numbers, sizes, nil
}

// rebuilder reads shards in parallel.
type rebuilder struct {
	cfg     RebuildConfig
	total   int64 // bytes of all shards
	done    atomic.Int64
	results []scanned // by place of the shard
}

// scanned is what one shard holds.
type scanned struct {
	clips   []Info
	foreign []bool // of each clip: it brings no row
	skipped []Skipped
	more    int
}

func (b *rebuilder) scanAll(ctx context.Context, numbers []int, sizes map[int]int64) error {
	n := cmp.Or(b.cfg.Workers, runtime.GOMAXPROCS(0))
	next := make(chan int, len(numbers))
	for i := range numbers {
		next <- i
	}
	close(next)
	errs := make([]error, len(numbers))
	var wg sync.WaitGroup
	for range max(1, min(n, len(numbers))) {
		wg.Go(func() {
			for i := range next {
				if ctx.Err() != nil {
					return
				}
				errs[i] = b.scanShard(ctx, numbers[i], sizes[numbers[i]], &b.results[i])
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return fmt.Errorf("dataset: stopped; the index is as it was: %w", context.Cause(ctx))
	}
	return errors.Join(errs...)
}

func (b *rebuilder) scanShard(ctx context.Context, number int, size int64, out *scanned) error {
	f, err := os.Open(filepath.Join(b.cfg.Dir, shardName(number)))
	if err != nil {
		return fmt.Errorf("dataset: %w", err)
	}
	defer f.Close()
	s := &shardScan{file: f, size: size, number: number, out: out, tell: func(n int64) {
		if done := b.done.Add(n); b.cfg.Progress != nil {
			b.cfg.Progress(done, b.total)
		}
	}}
	if err := s.run(ctx); err != nil {
		return fmt.Errorf("dataset: %s: %w", shardName(number), err)
	}
	return nil
}

// gather joins the shards' clips, sorted by key. A key that comes again is skipped.
func (b *rebuilder) gather() ([]Info, Rebuilt) {
	var out Rebuilt
	var clips []Info
	seen := make(map[string]bool)
	for i := range b.results {
		r := &b.results[i]
		for k, c := range r.clips {
			if seen[c.Key] {
				r.skip(Skipped{shardName(c.Shard), c.Offset, c.Key,
					"the key for the second time"})
				continue
			}
			seen[c.Key] = true
			if r.foreign[k] {
				c.Row = len(clips)
			}
			clips = append(clips, c)
		}
		slices.SortStableFunc(r.skipped, func(a, b Skipped) int { return cmp.Compare(a.Offset, b.Offset) })
		room := min(len(r.skipped), mostFaults-len(out.Skipped))
		out.Skipped = append(out.Skipped, r.skipped[:room]...)
		out.More += r.more + len(r.skipped) - room
	}
	out.Clips = len(clips)
	slices.SortFunc(clips, byKey)
	return clips, out
}

func (r *scanned) skip(s Skipped) {
	if len(r.skipped) == mostFaults {
		r.more++
		return
	}
	r.skipped = append(r.skipped, s)
}
