package dataset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"avjepa/internal/manifest"
)

// Set is a finished dataset, or a selection of one, in the order of its keys.
// It is immutable and safe for concurrent use; it holds no open files.
type Set struct {
	dir     string
	clips   []Info
	classes []manifest.Class
	class   map[string]int // ID → place in classes
}

// Open reads the index of the dataset in dir and checks it against the sizes of
// the shards. It returns ErrNotDataset when there is no index (ingest has not
// finished), ErrCorrupt when index and shards disagree.
func Open(dir string) (*Set, error) {
	path := filepath.Join(dir, indexFile)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("dataset: %s has no %s: %w; run ingest to its end",
			dir, indexFile, ErrNotDataset)
	}
	if err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	defer f.Close()
	clips, err := readIndex(f)
	if err != nil {
		return nil, fmt.Errorf("dataset: %s: %w: %w", path, ErrCorrupt, err)
	}
	if len(clips) == 0 {
		return nil, fmt.Errorf("dataset: %s: %w", path, ErrNoClips)
	}
	sizes := make(map[int]int64)
	for i := range clips {
		c := &clips[i]
		size, ok := sizes[c.Shard]
		if !ok {
			st, err := os.Stat(filepath.Join(dir, shardName(c.Shard)))
			if err != nil {
				return nil, fmt.Errorf("dataset: %w: %w", ErrCorrupt, err)
			}
			if !st.Mode().IsRegular() {
				return nil, fmt.Errorf("dataset: %w: %s is not a regular file",
					ErrCorrupt, shardName(c.Shard))
			}
			size = st.Size()
			sizes[c.Shard] = size
		}
		if c.Offset+c.Bytes > size {
			return nil, fmt.Errorf("dataset: %w: clip %s ends at byte %d of %s, which has %d",
				ErrCorrupt, c.Key, c.Offset+c.Bytes, shardName(c.Shard), size)
		}
	}
	if err := checkOverlap(clips); err != nil {
		return nil, fmt.Errorf("dataset: %s: %w: %w", path, ErrCorrupt, err)
	}
	slices.SortFunc(clips, byKey)
	listed, err := readClasses(dir)
	if err != nil {
		return nil, err
	}
	s := &Set{dir: dir, clips: clips, classes: classesOf(listed, clips), class: map[string]int{}}
	for i := range s.classes {
		s.class[s.classes[i].ID] = i
	}
	return s, nil
}

// Len returns the number of clips.
func (s *Set) Len() int { return len(s.clips) }

// Info describes clip i.
func (s *Set) Info(i int) Info { return s.clips[i] }

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
	for i := range s.clips {
		if n := s.clips[i].Split; !seen[n] {
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

// Where returns the clips for which keep is true, in the same order.
func (s *Set) Where(keep func(f *Info) bool) *Set {
	t := &Set{dir: s.dir, classes: s.classes, class: s.class}
	for i := range s.clips {
		if keep(&s.clips[i]) {
			t.clips = append(t.clips, s.clips[i])
		}
	}
	return t
}

// Read sets c to clip i with one read of its shard, reusing c's memory. It
// returns ErrCorrupt when the bytes there are not that clip.
func (s *Set) Read(ctx context.Context, i int, c *Clip) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.Info = s.clips[i]
	c.Frames, c.Samples = c.Frames[:0], c.Samples[:0]
	f, err := os.Open(filepath.Join(s.dir, shardName(c.Shard)))
	if err != nil {
		return fmt.Errorf("dataset: clip %s: %w", c.Key, err)
	}
	defer f.Close()
	if int64(cap(c.record)) < c.Bytes {
		// The index may lie about the size of a clip: believe the shard first.
		st, err := f.Stat()
		if err != nil {
			return fmt.Errorf("dataset: clip %s: %w", c.Key, err)
		}
		if c.Offset+c.Bytes > st.Size() {
			return fmt.Errorf("dataset: clip %s: %w: ends at byte %d of %s, which has %d",
				c.Key, ErrCorrupt, c.Offset+c.Bytes, shardName(c.Shard), st.Size())
		}
		c.record = make([]byte, c.Bytes+c.Bytes/8)
	}
	c.record = c.record[:c.Bytes]
	if _, err := f.ReadAt(c.record, c.Offset); err != nil {
		return fmt.Errorf("dataset: clip %s: %w: %s: %w",
			c.Key, ErrCorrupt, shardName(c.Shard), err)
	}
	if err := parseRecord(c, c.record); err != nil {
		return fmt.Errorf("dataset: clip %s at byte %d of %s: %w: %w",
			c.Key, c.Offset, shardName(c.Shard), ErrCorrupt, err)
	}
	return nil
}

func byKey(a, b Info) int {
	switch {
	case a.Key < b.Key:
		return -1
	case a.Key > b.Key:
		return 1
	}
	return 0
}

// checkOverlap returns an error when two clips share bytes of a shard. It sorts
// clips by their place.
func checkOverlap(clips []Info) error {
	slices.SortFunc(clips, func(a, b Info) int {
		if a.Shard != b.Shard {
			return a.Shard - b.Shard
		}
		switch {
		case a.Offset < b.Offset:
			return -1
		case a.Offset > b.Offset:
			return 1
		}
		return 0
	})
	for i := 1; i < len(clips); i++ {
		a, b := &clips[i-1], &clips[i]
		if a.Shard == b.Shard && a.Offset+a.Bytes > b.Offset {
			return fmt.Errorf("clips %s and %s overlap at byte %d of %s",
				a.Key, b.Key, b.Offset, shardName(a.Shard))
		}
	}
	return nil
}
