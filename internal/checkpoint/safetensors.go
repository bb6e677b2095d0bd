// Package checkpoint reads and writes safetensors files: named arrays and a map
// of strings, no code. A file is written whole or not at all, and a hostile one
// is refused before anything of the size it claims is allocated.
//
//	w := checkpoint.New(map[string]string{"step": "100"})
//	w.AddFloat32("encoder.cls", []int{64}, data)
//	err := w.WriteFile("step-000100.safetensors")
//
// Source: the safetensors format, 8-byte little-endian header length, JSON
// header, data in C order.
package checkpoint

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"os"
	"sort"

	"avjepa/internal/tensor"
)

// Bounds on what Read accepts.
const (
	maxHeaderBytes = 64 << 20
	maxTensors     = 1 << 20
	maxRank        = tensor.MaxRank
)

// ErrFormat is behind every error about a file that is not a valid safetensors.
var ErrFormat = errors.New("not a valid safetensors file")

// ErrMissing is behind the error for a tensor that a file does not have.
var ErrMissing = errors.New("no such tensor")

// entry is one line of the JSON header.
type entry struct {
	DType   string   `json:"dtype"`
	Shape   []int64  `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

// dtypeSize holds the bytes of one element for each type we read.
var dtypeSize = map[string]int64{
	"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "U64": 8, "I32": 4, "U8": 1,
}

// File is a safetensors file held in memory.
type File struct {
	Metadata map[string]string
	entries  map[string]entry
	names    []string // in file order
	head     []byte   // what lies before the data
	data     []byte
}

// Read loads a whole file.
func Read(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	file, err := Parse(f, info.Size())
	if err != nil {
		return nil, fmt.Errorf("checkpoint %s: %w", path, err)
	}
	return file, nil
}

// Parse reads a safetensors file of the given size from r.
func Parse(r io.Reader, size int64) (*File, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("%w: %d bytes long, a header needs 8", ErrFormat, size)
	}
	n := binary.LittleEndian.Uint64(head[:])
	if n > maxHeaderBytes || int64(n) > size-8 {
		return nil, fmt.Errorf("%w: header of %d bytes in a file of %d (limit %d)",
			ErrFormat, n, size, maxHeaderBytes)
	}
	header := make([]byte, n)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, fmt.Errorf("%w: header cut short", ErrFormat)
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(header, &raw); err != nil {
		return nil, fmt.Errorf("%w: header: %v", ErrFormat, err)
	}
	if len(raw) > maxTensors {
		return nil, fmt.Errorf("%w: %d tensors (limit %d)", ErrFormat, len(raw), maxTensors)
	}
	f := &File{Metadata: map[string]string{}, entries: map[string]entry{},
		head: append(head[:], header...)}
	dataSize := size - 8 - int64(n)
	for name, msg := range raw {
		if name == "__metadata__" {
			if err := json.Unmarshal(msg, &f.Metadata); err != nil {
				return nil, fmt.Errorf("%w: metadata: %v", ErrFormat, err)
			}
			continue
		}
		var e entry
		if err := json.Unmarshal(msg, &e); err != nil {
			return nil, fmt.Errorf("%w: tensor %q: %v", ErrFormat, name, err)
		}
		if err := e.check(dataSize); err != nil {
			return nil, fmt.Errorf("%w: tensor %q: %v", ErrFormat, name, err)
		}
		f.entries[name] = e
		f.names = append(f.names, name)
	}
	sort.Slice(f.names, func(i, j int) bool {
		a, b := f.entries[f.names[i]], f.entries[f.names[j]]
		return a.Offsets[0] < b.Offsets[0] || a.Offsets[0] == b.Offsets[0] && f.names[i] < f.names[j]
	})
	// No two tensors may share bytes: a small file cannot claim more than it holds.
	var end int64
	for _, name := range f.names {
		e := f.entries[name]
		if e.Offsets[0] < end {
			return nil, fmt.Errorf("%w: tensor %q overlaps its neighbour", ErrFormat, name)
		}
		end = e.Offsets[1]
	}
	var buf bytes.Buffer // grows with what is there, not with what is claimed
	if got, err := io.Copy(&buf, io.LimitReader(r, dataSize)); err != nil || got < end {
		return nil, fmt.Errorf("%w: data cut short: %d of %d bytes", ErrFormat, got, end)
	}
	f.data = buf.Bytes()
	return f, nil
}

// check reports whether the entry is consistent and lies within dataSize bytes.
func (e entry) check(dataSize int64) error {
	unit, ok := dtypeSize[e.DType]
	if !ok {
		return fmt.Errorf("unknown type %q", e.DType)
	}
	if len(e.Shape) > maxRank {
		return fmt.Errorf("rank %d (limit %d)", len(e.Shape), maxRank)
	}
	bytes := unit
	for _, d := range e.Shape {
		if d < 0 || d > 0 && bytes > math.MaxInt64/d {
			return fmt.Errorf("impossible shape %v", e.Shape)
		}
		bytes *= d
	}
	lo, hi := e.Offsets[0], e.Offsets[1]
	if lo < 0 || hi < lo || hi > dataSize || hi-lo != bytes {
		return fmt.Errorf("shape %v of %s needs %d bytes, offsets are %d to %d of %d",
			e.Shape, e.DType, bytes, lo, hi, dataSize)
	}
	return nil
}

// Names returns the tensor names in file order.
func (f *File) Names() []string { return append([]string(nil), f.names...) }

// Hash writes the bytes of the whole file to h, as they were read.
func (f *File) Hash(h hash.Hash) {
	h.Write(f.head)
	h.Write(f.data)
}

// Size returns the bytes of all tensors.
func (f *File) Size() int64 { return int64(len(f.data)) }

// Has reports whether the file has a tensor of that name.
func (f *File) Has(name string) bool { _, ok := f.entries[name]; return ok }

// bytes returns the raw bytes of a tensor of the wanted type.
func (f *File) bytes(name, dtype string) ([]byte, entry, error) {
	e, ok := f.entries[name]
	if !ok {
		return nil, e, fmt.Errorf("checkpoint: %w: %q", ErrMissing, name)
	}
	if e.DType != dtype {
		return nil, e, fmt.Errorf("checkpoint: tensor %q is %s, not %s", name, e.DType, dtype)
	}
	return f.data[e.Offsets[0]:e.Offsets[1]], e, nil
}

// Float32 returns an F32 tensor as a host array.
func (f *File) Float32(name string) (tensor.Array, error) {
	b, e, err := f.bytes(name, "F32")
	if err != nil {
		return tensor.Array{}, err
	}
	dims := make([]int, len(e.Shape))
	for i, d := range e.Shape {
		dims[i] = int(d)
	}
	data := make([]float32, len(b)/4)
	for i := range data {
		data[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return tensor.From(data, dims...), nil
}

// Int64 returns an I64 tensor's elements.
func (f *File) Int64(name string) ([]int64, error) {
	b, _, err := f.bytes(name, "I64")
	if err != nil {
		return nil, err
	}
	data := make([]int64, len(b)/8)
	for i := range data {
		data[i] = int64(binary.LittleEndian.Uint64(b[8*i:]))
	}
	return data, nil
}
