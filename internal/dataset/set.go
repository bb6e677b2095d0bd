package dataset

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"

	"avjepa/internal/manifest"
	"avjepa/internal/store"
)

// Set is a finished dataset, or a selection of one, in the order of its keys.
// It is immutable and safe for concurrent use; it holds no open files.
type Set struct {
	shards  shards
	clips   []Info  // of the whole dataset
	pick    []int32 // places in clips of those of the set, nil for all
	classes []manifest.Class
	class   map[string]int // ID → place in classes
}

// Open reads the index of the dataset in the folder dir and checks it against the sizes
// of the shards. It returns ErrNotDataset when there is no index (ingest has not
// finished), ErrCorrupt when index and shards disagree.
func Open(dir string) (*Set, error) {
	at, err := store.Open(context.Background(), dir, store.Config{Retry: -1})
	if err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	return OpenStore(context.Background(), at)
}

// Len returns the number of clips.
func (s *Set) Len() int {
	if s.pick != nil {
		return len(s.pick)
	}
	return len(s.clips)
}

// at returns clip i, which is not to be changed.
func (s *Set) at(i int) *Info {
	if s.pick != nil {
		i = int(s.pick[i])
	}
	return &s.clips[i]
}

// Info describes clip i.
func (s *Set) Info(i int) Info { return *s.at(i) }

// Key returns the key of clip i.
func (s *Set) Key(i int) string { return s.at(i).Key }

// Find returns the place of the clip with a key, −1 when the set has none.
func (s *Set) Find(key string) int {
	i, found := sort.Find(s.Len(), func(i int) int { return strings.Compare(key, s.at(i).Key) })
	if !found {
		return -1
	}
	return i
}

// Labels returns the labels of clip i, which are not to be changed.
func (s *Set) Labels(i int) []string { return s.at(i).Labels }

// Place returns where the record of clip i lies: the number of its shard, and the
// bytes there.
func (s *Set) Place(i int) (shard int, offset, bytes int64) {
	f := s.at(i)
	return f.Shard, f.Offset, f.Bytes
}

// Classes returns the classes of the whole dataset in class order: that of the list
// it was made from, else sorted. A selection has those of the set it was taken from,
// so classes have the same numbers in all splits. It is not to be changed.
func (s *Set) Classes() []manifest.Class { return s.classes }

// Class returns the place of a label in Classes, −1 when it has none.
func (s *Set) Class(id string) int {
	if i, ok := s.class[id]; ok {
		return i
	}
	return -1
}

// Titles returns the names of a clip's labels, for people.
func (s *Set) Titles(f *Info) string {
	names := make([]string, len(f.Labels))
	for i, l := range f.Labels {
		names[i] = l
		if at := s.Class(l); at >= 0 {
			names[i] = s.classes[at].Title()
		}
	}
	return strings.Join(names, ", ")
}

// Splits returns the distinct splits of the set, sorted.
func (s *Set) Splits() []string {
	seen := make(map[string]bool)
	var names []string
	for i := range s.Len() {
		if n := s.at(i).Split; !seen[n] {
			seen[n] = true
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names
}

// Select returns the clips of one split, in the same order.
func (s *Set) Select(split string) *Set {
	return s.Where(func(f *Info) bool { return f.Split == split })
}

// All returns the whole dataset of which s is a selection.
func (s *Set) All() *Set {
	t := *s
	t.pick = nil
	return &t
}

// Where returns the clips for which keep is true, in the same order. keep must not
// change them. The result shares their memory with s.
func (s *Set) Where(keep func(f *Info) bool) *Set {
	t := *s
	t.pick = make([]int32, 0, s.Len())
	for i := range s.Len() {
		if keep(s.at(i)) {
			at := int32(i)
			if s.pick != nil {
				at = s.pick[i]
			}
			t.pick = append(t.pick, at)
		}
	}
	if len(t.pick) == s.Len() {
		return s
	}
	if len(t.pick) < cap(t.pick)/2 {
		t.pick = slices.Clone(t.pick)
	}
	return &t
}

// Read sets c to clip i with one read of its shard, reusing c's memory. It
// returns ErrCorrupt when the bytes there are not that clip.
func (s *Set) Read(ctx context.Context, i int, c *Clip) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f := s.at(i)
	if int64(cap(c.record)) < f.Bytes {
		// The shard may have shrunk since: believe it before the index.
		size, err := s.shards.Size(ctx, f.Shard)
		if err != nil {
			return fmt.Errorf("dataset: clip %s: %w", f.Key, err)
		}
		if f.Offset+f.Bytes > size {
			return fmt.Errorf("dataset: clip %s: %w: ends at byte %d of %s, which has %d",
				f.Key, ErrCorrupt, f.Offset+f.Bytes, shardName(f.Shard), size)
		}
		c.record = make([]byte, f.Bytes+f.Bytes/8)
	}
	c.record = c.record[:f.Bytes]
	if err := s.shards.ReadAt(ctx, f.Shard, c.record, f.Offset); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		return fmt.Errorf("dataset: clip %s: %s: %w", f.Key, shardName(f.Shard), err)
	}
	return s.Parse(i, c.record, c)
}

// ReadRun sets buf to the bytes of a shard from offset on, with one read: the records
// of clips that lie there one after the other (Place). Each is for Parse to check.
func (s *Set) ReadRun(ctx context.Context, shard int, offset int64, buf []byte) error {
	if err := s.shards.ReadAt(ctx, shard, buf, offset); err != nil {
		return fmt.Errorf("dataset: %d bytes at byte %d of %s: %w", len(buf), offset,
			shardName(shard), err)
	}
	return nil
}

// Parse sets c to clip i from the bytes of its record, which c.Frames then point into,
// reusing c's memory. It returns ErrCorrupt when they are not that clip.
func (s *Set) Parse(i int, record []byte, c *Clip) error {
	f := s.at(i)
	c.Info = *f
	if err := parseRecord(c, record); err != nil {
		return fmt.Errorf("dataset: clip %s at byte %d of %s: %w: %w",
			f.Key, f.Offset, shardName(f.Shard), ErrCorrupt, err)
	}
	return nil
}

func byKey(a, b Info) int { return strings.Compare(a.Key, b.Key) }

func byPlace(a, b Info) int {
	return cmp.Or(cmp.Compare(a.Shard, b.Shard), cmp.Compare(a.Offset, b.Offset))
}
