package torchfile

import (
	"archive/zip"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// File is an open file of torch.save.
type File struct {
	Root any // what was saved: see value.go for the types

	size     int64
	read     int64  // bytes that Float32 has read
	folder   string // of the records: "archive/"
	records  map[string]*record
	storages map[string]*storage
	close    func() error
}

// record is a member of the zip.
type record struct {
	file *zip.File
	size int64
}

// Open opens a file; the caller closes it. Tensors are read when asked for.
func Open(path string) (*File, error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := in.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	var f *File
	if err == nil {
		f, err = Parse(in, info.Size())
	}
	if err != nil {
		in.Close()
		return nil, fmt.Errorf("torchfile %s: %w", path, err)
	}
	f.close = in.Close
	return f, nil
}

// Close closes the file.
func (f *File) Close() error {
	if f.close == nil {
		return nil
	}
	return f.close()
}

// Parse reads a file of the given size. in must stay open for Float32 and Extra.
func Parse(in io.ReaderAt, size int64) (*File, error) {
	var magic [4]byte
	if n, _ := in.ReadAt(magic[:], 0); n < 4 || !bytes.Equal(magic[:], []byte("PK\x03\x04")) {
		return nil, fmt.Errorf("%w: it is no zip; if PyTorch before 1.6 or another program has "+
			"written it, load it and torch.save it again", ErrFormat)
	}
	f := &File{size: size, records: map[string]*record{}, storages: map[string]*storage{}}
	z, err := zip.NewReader(in, size)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if err := f.index(z.File); err != nil {
		return nil, err
	}
	if order := f.records[f.folder+"byteorder"]; order != nil && order.size <= 16 {
		text, err := order.bytes()
		if err != nil {
			return nil, err
		}
		if string(text) != "little" {
			return nil, fmt.Errorf("%w: byte order %q: save it again on a little-endian machine",
				ErrFormat, text)
		}
	}
	pickle := f.records[f.folder+"data.pkl"]
	if pickle.size > maxPickleBytes {
		return nil, fmt.Errorf("%w: data.pkl has %d bytes (limit %d)", ErrFormat, pickle.size,
			maxPickleBytes)
	}
	text, err := pickle.bytes()
	if err != nil {
		return nil, err
	}
	f.Root, err = unpickle(text, f.storageOf)
	return f, err
}

// index fills records from the members of the zip: stored, apart from each other,
// under one folder with data.pkl in it.
func (f *File) index(members []*zip.File) error {
	if len(members) > maxRecords {
		return fmt.Errorf("%w: %d records (limit %d)", ErrFormat, len(members), maxRecords)
	}
	type span struct{ from, to int64 }
	var spans []span
	for _, m := range members {
		bad := func(why string) error {
			return fmt.Errorf("%w: record %.80q %s", ErrFormat, m.Name, why)
		}
		if strings.HasSuffix(m.Name, "/") && m.UncompressedSize64 == 0 {
			continue // a folder
		}
		if !sound(m.Name) {
			return bad("has a name that leads elsewhere")
		}
		if f.records[m.Name] != nil {
			return bad("is there twice")
		}
		if m.Method != zip.Store || m.Flags&1 != 0 || m.CompressedSize64 != m.UncompressedSize64 {
			return bad("is compressed or encrypted, which torch.save never does")
		}
		from, err := m.DataOffset()
		if err != nil {
			return fmt.Errorf("%w: record %.80q: %w", ErrFormat, m.Name, err)
		}
		if m.UncompressedSize64 > uint64(f.size) || from > f.size-int64(m.UncompressedSize64) {
			return bad(fmt.Sprintf("of %d bytes lies beyond the end", m.UncompressedSize64))
		}
		r := &record{m, int64(m.UncompressedSize64)}
		spans = append(spans, span{from, from + r.size})
		f.records[m.Name] = r
		if folder, ok := strings.CutSuffix(m.Name, "data.pkl"); ok && strings.Count(folder, "/") == 1 {
			if f.folder != "" {
				return bad("is the second pickle")
			}
			f.folder = folder
		}
	}
	if f.folder == "" {
		return fmt.Errorf("%w: a zip without a record archive/data.pkl", ErrFormat)
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	for i := 1; i < len(spans); i++ {
		if spans[i].from < spans[i-1].to {
			return fmt.Errorf("%w: records overlap", ErrFormat)
		}
	}
	return nil
}

// sound reports whether a record's name stays below the file's own folder. Nothing
// is ever written under it; a name that tries is a sign of another purpose.
func sound(name string) bool {
	if name == "" || len(name) > 512 || strings.ContainsAny(name, "\\:\x00") {
		return false
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part == "." || part == ".." {
			return false
		}
	}
	return true
}

// Extra returns a small record beside data.pkl, nil if there is none. PyTorch takes
// no notice of records that it does not know.
func (f *File) Extra(name string) ([]byte, error) {
	r := f.records[f.folder+name]
	if r == nil {
		return nil, nil
	}
	if r.size > maxExtraBytes {
		return nil, fmt.Errorf("%w: record %s has %d bytes (limit %d)", ErrFormat, name, r.size,
			maxExtraBytes)
	}
	return r.bytes()
}
