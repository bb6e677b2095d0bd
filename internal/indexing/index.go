package indexing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/jpeg"
	"os"
	"path/filepath"
	"slices"

	"avjepa/internal/encoder"
	"avjepa/internal/library"
	"avjepa/internal/media"
)

// Config is one indexing of items into a library.
type Config struct {
	Library   *library.Library // open for writing, with the encoder's model in use
	Embedding Embedding
	Items     []Item
	Retry     bool // try again what an earlier indexing left out
	Prune     bool // remove clips whose file, or clip in a data set given, is no longer there
	Progress  func(Progress)
}

// Progress is how far an indexing is.
type Progress struct {
	Items, Done int // all; those that are kept, left out or unchanged
	Unchanged   int // of them
	LeftOut     int
	Seconds     float64 // of the clips that were embedded
}

// Summary is what an indexing did.
type Summary struct {
	Items     int               `json:"items"`
	Added     int               `json:"added"` // or replaced
	Unchanged int               `json:"unchanged"`
	LeftOut   int               `json:"left_out"` // now or by an earlier indexing
	Removed   int               `json:"removed"`
	Seconds   float64           `json:"seconds"` // of the clips that were added
	Why       []library.LeftOut `json:"-"`       // what was left out now
}

// ModelOf describes an embedding for a library.
func (e *Embedding) ModelOf() library.Model {
	v := e.Encoder.Maker().Config()
	path := e.Encoder.Path()
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	m := library.Model{ID: e.Encoder.ID(), Path: path, Step: e.Encoder.Step(), Embedding: e.Name,
		Dims: e.Dims(), Windows: max(1, e.Read.Windows), Stride: e.Read.Stride.Seconds(),
		Geometry: geometry(v.Seconds, v.Frames, v.Side, v.MelFrames(), v.Bands)}
	if m.Stride > 0 {
		m.Windows = 0
	}
	return m
}

// Run indexes. What is there already and has not changed is passed over. After an error, or
// when the context ends, what was embedded until then stays, but for the last batch, and
// another Run goes on from there.
func Run(ctx context.Context, c Config) (Summary, error) {
	sum := Summary{Items: len(c.Items)}
	if c.Prune {
		var err error
		if sum.Removed, err = prune(ctx, &c); err != nil {
			return sum, err
		}
	}
	if err := c.forgetWhole(ctx); err != nil {
		return sum, err
	}
	todo, err := c.changed(ctx, &sum)
	if err != nil {
		return sum, err
	}
	report := func() {
		if c.Progress != nil {
			c.Progress(Progress{len(c.Items), sum.Unchanged + sum.LeftOut + sum.Added, sum.Unchanged,
				sum.LeftOut, sum.Seconds})
		}
	}
	report()
	c.Embedding.Signature, c.Embedding.Hash = true, true
	c.Embedding.Modalities = []encoder.Modality{encoder.Audio, encoder.Video, encoder.Both}
	err = c.Embedding.Each(ctx, todo, 0, func(_ int, results []Result) error {
		var entries []library.Entry
		var left []library.LeftOut
		for i := range results {
			if r := &results[i]; r.Err != nil {
				left = append(left, library.LeftOut{Data: r.Item.Data, Key: r.Item.Key, Bytes: r.Item.Bytes,
					Modified: r.Item.Modified, Outcome: string(r.Err.Outcome), Reason: r.Err.Reason})
			} else {
				entries = append(entries, r.entry())
				sum.Seconds += r.Seconds
			}
		}
		if len(entries) > 0 {
			if err := c.Library.Add(ctx, entries...); err != nil {
				return err
			}
		}
		if len(left) > 0 {
			if err := c.Library.LeaveOut(ctx, left...); err != nil {
				return err
			}
		}
		sum.Added += len(entries)
		sum.LeftOut += len(left)
		sum.Why = append(sum.Why, left...)
		report()
		return nil
	})
	if err != nil {
		return sum, err
	}
	s, err := c.Library.Stats(ctx)
	if err != nil || !s.Stale {
		return sum, err
	}
	return sum, c.Library.Finish(ctx)
}

// forgetWhole removes the notes that files could not be used which are now cut.
func (c *Config) forgetWhole(ctx context.Context) error {
	cut := map[string]bool{}
	for i := range c.Items {
		if f := c.Items[i].file; f != nil {
			cut[f.path] = true
		}
	}
	if len(cut) == 0 {
		return nil
	}
	left, err := c.Library.LeftOut(ctx)
	if err != nil || !slices.ContainsFunc(left, func(f library.LeftOut) bool {
		return f.Data == "" && cut[f.Key]
	}) {
		return err
	}
	return c.Library.ForgetLeftOut(ctx, "", func(key string) bool { return !cut[key] })
}

// changed returns the items that are to be embedded.
func (c *Config) changed(ctx context.Context, sum *Summary) ([]Item, error) {
	known, err := c.Library.Known(ctx)
	if err != nil {
		return nil, err
	}
	var todo []Item
	for i := range c.Items {
		it := &c.Items[i]
		k, ok := known[library.Source{Data: it.Data, Key: it.Key}]
		if !ok || !k.Embedded && !k.LeftOut || k.LeftOut && c.Retry {
			todo = append(todo, *it)
			continue
		}
		same := k.Bytes == it.Bytes && k.Modified.Equal(it.Modified)
		if it.Data != "" {
			same = k.Hash == it.Hash || k.LeftOut && k.Bytes == it.Bytes
		} else if !same && k.Bytes == it.Bytes && k.Hash != "" { // touched, or copied back
			hash, err := it.hash(ctx)
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if same = err == nil && hash == k.Hash; same {
				if err := c.Library.Touch(ctx, k.ID, it.Modified); err != nil {
					return nil, err
				}
			}
		}
		switch {
		case !same:
			todo = append(todo, *it)
		case k.LeftOut:
			sum.LeftOut++
		default:
			sum.Unchanged++
		}
	}
	return todo, nil
}

// prune removes the clips that are no longer there and returns how many.
func prune(ctx context.Context, c *Config) (int, error) {
	known, err := c.Library.Known(ctx)
	if err != nil {
		return 0, err
	}
	given, sets, files := make(map[library.Source]bool), make(map[string]bool), make(map[string]bool)
	for i := range c.Items {
		it := &c.Items[i]
		given[library.Source{Data: it.Data, Key: it.Key}] = true
		sets[it.Data] = true
		if it.Data == "" {
			files[it.Path()] = true
		}
	}
	gone := func(s library.Source) bool {
		if s.Data != "" {
			return sets[s.Data] && !given[s]
		}
		path, _, _ := library.SplitKey(s.Key)
		if files[path] && !given[s] {
			return true // the file is cut in another way now
		}
		_, err := os.Lstat(path)
		return errors.Is(err, os.ErrNotExist)
	}
	var ids []int64
	for s, k := range known {
		if !k.LeftOut && gone(s) {
			ids = append(ids, k.ID)
		}
	}
	sets[""] = true
	for data := range sets {
		err := c.Library.ForgetLeftOut(ctx, data, func(key string) bool {
			return !gone(library.Source{Data: data, Key: key})
		})
		if err != nil {
			return 0, err
		}
	}
	if len(ids) == 0 {
		return 0, nil
	}
	return len(ids), c.Library.Remove(ctx, ids...)
}

// entry is the clip of a result for the library.
func (r *Result) entry() library.Entry {
	return library.Entry{
		Clip: library.Clip{Data: r.Item.Data, Key: r.Item.Key, Labels: r.Item.Labels, Split: r.Item.Split,
			Seconds: r.Seconds, Width: r.Width, Height: r.Height, HasAudio: r.HasAudio, HasVideo: r.HasVideo,
			Silent: r.Outcome == media.Silent, Still: r.Outcome == media.StillImage, Bytes: r.Item.Bytes,
			Modified: r.Item.Modified, Hash: r.Hash, Signature: r.Signature},
		Audio: r.Mean(encoder.Audio), Video: r.Mean(encoder.Video), Both: r.Mean(encoder.Both),
	}
}

// frameSize returns the pixels of a JPEG frame, 0 when it does not say.
func frameSize(frame []byte) (width, height int) {
	c, err := jpeg.DecodeConfig(bytes.NewReader(frame))
	if err != nil {
		return 0, 0
	}
	return c.Width, c.Height
}

// geometry says what a view shows.
func geometry(seconds float64, frames, side, melFrames, bands int) string {
	return fmt.Sprintf("%g s: %d frames of %d px, %d × %d log-mel", seconds, frames, side, melFrames, bands)
}
