package indexing

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"avjepa/internal/dataset"
	"avjepa/internal/encoder"
	"avjepa/internal/library"
	"avjepa/internal/manifest"
	"avjepa/internal/media"
)

// Item is a file or a stored clip.
type Item struct {
	Data, Key string // location of the data set and key there; or empty and the absolute path
	Name      string // for people: key, or the path below the folder that was given
	Labels    []string
	Split     string
	Bytes     int64
	Modified  time.Time // of a file
	Hash      string    // of a stored clip

	Start, End float64 // of a part of a file, in seconds; Key and Name have them too

	file *file // that the item is a part of
	set  *dataset.Set
	at   int
}

// Files returns the media files that arguments name: files, folders, whose first folder below
// is the label, and lists of whole files. Errors are those of manifest.Read, and one for lists
// that name parts of files. A file that is not there is an item, and later left out.
func Files(args []string) ([]Item, error) {
	list, err := manifest.Read(args, manifest.Options{})
	if err != nil {
		return nil, err
	}
	items := make([]Item, 0, len(list.Entries))
	for _, e := range list.Entries {
		if e.Start != 0 || e.End != 0 {
			return nil, fmt.Errorf("%s is to be cut at %v s: avjepa ingest cuts; then give --data instead",
				e.Path, e.Start)
		}
		if _, _, end := library.SplitKey(e.Path); end > 0 {
			return nil, fmt.Errorf("%s: %w", e.Path, errPartName)
		}
		it := Item{Key: e.Path, Name: e.Key, Labels: e.Labels, Split: e.Split}
		if info, err := os.Stat(e.Path); err == nil {
			it.Bytes, it.Modified = info.Size(), info.ModTime()
		}
		items = append(items, it)
	}
	return items, nil
}

// Stored returns the clips of a data set at a location.
func Stored(location string, set *dataset.Set) []Item {
	items := make([]Item, set.Len())
	for i := range items {
		f := set.Info(i)
		items[i] = Item{Data: location, Key: f.Key, Name: f.Key, Labels: f.Labels, Split: f.Split,
			Bytes: f.Bytes, Hash: fmt.Sprintf("crc32c-%08x-%d", f.CRC, f.Bytes), set: set, at: i}
	}
	return items
}

// read reads the item. A *media.FileError says that it is of no use.
func (it *Item) read(ctx context.Context, x *encoder.Encoder, tools media.Tools,
	o encoder.ReadOptions) (*encoder.Clip, error) {
	if it.set == nil {
		o.Part = it.part()
		return x.ReadFile(ctx, tools, it.Path(), o)
	}
	var c dataset.Clip
	err := it.set.Read(ctx, it.at, &c)
	if err == nil {
		var clip *encoder.Clip
		if clip, err = x.ReadStored(&c, o); err == nil {
			return clip, nil
		}
	}
	if errors.Is(err, dataset.ErrCorrupt) {
		err = &media.FileError{Outcome: media.Corrupt, Reason: err.Error()}
	}
	return nil, err
}

// HashFile returns the SHA-256 of a file, in hex.
func HashFile(ctx context.Context, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, &cancellable{ctx, f}); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// cancellable ends reading when its context does.
type cancellable struct {
	ctx context.Context
	r   io.Reader
}

func (c *cancellable) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}
