package indexing

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"sync"

	"avjepa/internal/library"
	"avjepa/internal/media"
)

// mostParts of one file are taken; a longer one stays whole, and is then too long.
const mostParts = 10_000

// Cut replaces each file that is longer than one and a half times seconds by its parts of
// so many seconds; the last takes a rest of less than half with it. Files that cannot be
// probed stay, to be left out with the reason. probed is told how many files were looked
// at; the error is the context's.
func Cut(ctx context.Context, tools media.Tools, items []Item, seconds float64, workers int,
	probed func(n int)) ([]Item, error) {
	parts := make([][]Item, len(items))
	jobs := make(chan int)
	var wg sync.WaitGroup
	var mu sync.Mutex
	done := 0
	for range max(1, workers) {
		wg.Go(func() {
			for i := range jobs {
				parts[i] = items[i].cut(ctx, tools, seconds)
				mu.Lock()
				done++
				probed(done)
				mu.Unlock()
			}
		})
	}
	for i := range items {
		if ctx.Err() != nil {
			break
		}
		jobs <- i
	}
	close(jobs)
	wg.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var all []Item
	for _, p := range parts {
		all = append(all, p...)
	}
	return all, nil
}

// cut returns the parts of a file, or the file.
func (it *Item) cut(ctx context.Context, tools media.Tools, seconds float64) []Item {
	whole := []Item{*it}
	if it.set != nil {
		return whole
	}
	info, err := tools.Probe(ctx, it.Key, media.Limits{})
	if err != nil || !(info.Seconds > 1.5*seconds) {
		return whole
	}
	n := int(math.Round(info.Seconds / seconds))
	if n < 2 || n > mostParts {
		return whole
	}
	of := &file{path: it.Key}
	out := make([]Item, n)
	for k := range out {
		p := *it
		p.file, p.Start, p.End = of, float64(k)*seconds, float64(k+1)*seconds
		if k == n-1 {
			p.End = info.Seconds
		}
		p.Key, p.Name = library.PartKey(it.Key, p.Start, p.End), library.PartKey(it.Name, p.Start, p.End)
		out[k] = p
	}
	return out
}

// file is one that several items are parts of; it is read for its hash once.
type file struct {
	path string
	once sync.Once
	hash string
	err  error
}

// Path returns the file of an item, whole or in part.
func (it *Item) Path() string {
	if it.file != nil {
		return it.file.path
	}
	return it.Key
}

// part is what of its file an item is.
func (it *Item) part() media.Segment { return media.Segment{Start: it.Start, End: it.End} }

// hash returns the SHA-256 of an item's file, and of a part one of its own.
func (it *Item) hash(ctx context.Context) (string, error) {
	if it.file == nil {
		return HashFile(ctx, it.Key)
	}
	f := it.file
	f.once.Do(func() { f.hash, f.err = HashFile(ctx, f.path) })
	if f.err != nil {
		return "", f.err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %g %g", f.hash, it.Start, it.End))
	return hex.EncodeToString(sum[:]), nil
}

// errPartName is the error of a file whose name is that of a part.
var errPartName = errors.New("its name ends like that of a part of a file (#t=1,2): give it another")
