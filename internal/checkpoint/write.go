package checkpoint

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"

	"avjepa/internal/durable"
)

// Writer collects named arrays and writes them as one file. It keeps references
// to the slices it is given, not copies; those of AddRead are read one after the
// other while the file is written.
type Writer struct {
	metadata map[string]string
	names    []string
	items    map[string]item
}

type item struct {
	entry
	elems int
	f32   []float32
	read  func(dst []float32) error // in place of f32
	i64   []int64
}

// New returns a Writer whose file will carry the given metadata.
func New(metadata map[string]string) *Writer {
	return &Writer{metadata: metadata, items: map[string]item{}}
}

// AddFloat32 adds an F32 tensor; the length of data must be that of the shape.
func (w *Writer) AddFloat32(name string, shape []int, data []float32) {
	w.add(name, shape, item{entry: entry{DType: "F32"}, f32: data}, len(data))
}

// AddRead adds an F32 tensor that read sets dst to, as long as the shape says,
// when its turn comes. An error of read ends the writing.
func (w *Writer) AddRead(name string, shape []int, read func(dst []float32) error) {
	n := 1
	for _, d := range shape {
		n *= d
	}
	w.add(name, shape, item{entry: entry{DType: "F32"}, read: read}, n)
}

// AddInt64 adds an I64 tensor.
func (w *Writer) AddInt64(name string, shape []int, data []int64) {
	w.add(name, shape, item{entry: entry{DType: "I64"}, i64: data}, len(data))
}

func (w *Writer) add(name string, shape []int, it item, elems int) {
	n := 1
	it.Shape = make([]int64, len(shape))
	for i, d := range shape {
		n *= d
		it.Shape[i] = int64(d)
	}
	if _, twice := w.items[name]; twice || n != elems {
		panic(fmt.Sprintf("checkpoint: tensor %q twice, or %d values for shape %v", name, elems, shape))
	}
	it.elems = elems
	w.names = append(w.names, name)
	w.items[name] = it
}

// WriteTo writes the file to out.
func (w *Writer) WriteTo(out io.Writer) (int64, error) {
	header := map[string]any{}
	if len(w.metadata) > 0 {
		header["__metadata__"] = w.metadata
	}
	var off int64
	for _, name := range w.names {
		it := w.items[name]
		size := int64(it.elems) * dtypeSize[it.DType]
		it.Offsets = [2]int64{off, off + size}
		off += size
		header[name] = it.entry
	}
	js, err := json.Marshal(header)
	if err != nil {
		return 0, err
	}
	for len(js)%8 != 0 { // the format asks for aligned data
		js = append(js, ' ')
	}
	bw := bufio.NewWriterSize(out, 1<<20)
	var word [8]byte
	binary.LittleEndian.PutUint64(word[:], uint64(len(js)))
	bw.Write(word[:])
	bw.Write(js)
	most := 0
	for _, it := range w.items {
		if it.read != nil {
			most = max(most, it.elems)
		}
	}
	buffer := make([]float32, most) // of one array after the other
	for _, name := range w.names {
		it := w.items[name]
		if it.read != nil {
			values := buffer[:it.elems]
			if err := it.read(values); err != nil {
				return 0, err
			}
			it.f32 = values
		}
		for _, v := range it.f32 {
			binary.LittleEndian.PutUint32(word[:4], math.Float32bits(v))
			bw.Write(word[:4])
		}
		for _, v := range it.i64 {
			binary.LittleEndian.PutUint64(word[:], uint64(v))
			bw.Write(word[:])
		}
	}
	return 8 + int64(len(js)) + off, bw.Flush() // a bufio.Writer keeps its first error
}

// WriteFile writes the file under a temporary name in the same folder, syncs it
// and renames it, so that path holds the old file or the new one, never a part.
func (w *Writer) WriteFile(path string) error {
	return durable.WriteFile(path, func(out io.Writer) error {
		_, err := w.WriteTo(out)
		return err
	})
}
