package torchfile

import (
	"archive/zip"
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
)

// Entry is a tensor to be written: of Float32, or of Int64 when that is nil.
type Entry struct {
	Name    string
	Shape   []int
	Float32 []float32
	Int64   []int64
}

func (e Entry) elems() int { return max(len(e.Float32), len(e.Int64)) }

// Write writes an OrderedDict of tensors as torch.save does, so that
// torch.load(path, weights_only=True) gives a state dict. extra are further records
// beside data.pkl, which PyTorch ignores.
//
// Lengths that do not match their shapes are our own mistake: it panics.
func Write(out io.Writer, entries []Entry, extra map[string][]byte) error {
	for _, e := range entries {
		n := 1
		for _, d := range e.Shape {
			n *= d
		}
		if n != e.elems() || n == 0 {
			panic(fmt.Sprintf("torchfile: tensor %q of %d values for shape %v", e.Name, e.elems(), e.Shape))
		}
	}
	a := &archiver{out: bufio.NewWriterSize(out, 1<<20)}
	a.zip = zip.NewWriter(a)
	a.text("data.pkl", pickle(entries))
	a.text("byteorder", []byte("little"))
	for _, name := range slices.Sorted(maps.Keys(extra)) {
		a.text(name, extra[name])
	}
	for i, e := range entries {
		a.record("data/"+strconv.Itoa(i), func(w io.Writer) { e.write(w) })
	}
	a.text("version", []byte("3\n"))
	if a.err == nil {
		a.err = a.zip.Close()
	}
	if a.err == nil {
		a.err = a.out.Flush()
	}
	return a.err
}

// write writes the elements in little-endian order.
func (e Entry) write(w io.Writer) {
	b := bufio.NewWriterSize(w, 1<<16)
	var word [8]byte
	for _, v := range e.Float32 {
		binary.LittleEndian.PutUint32(word[:4], math.Float32bits(v))
		b.Write(word[:4])
	}
	for _, v := range e.Int64 {
		binary.LittleEndian.PutUint64(word[:], uint64(v))
		b.Write(word[:])
	}
	b.Flush()
}

// archiver writes the zip: stored records, each beginning at a multiple of 64 bytes
// so that PyTorch can map it into memory.
type archiver struct {
	out *bufio.Writer
	at  int64 // bytes written
	zip *zip.Writer
	err error
}

func (a *archiver) Write(p []byte) (int, error) {
	n, err := a.out.Write(p)
	a.at += int64(n)
	return n, err
}

func (a *archiver) text(name string, text []byte) {
	a.record(name, func(w io.Writer) { w.Write(text) })
}

// record writes a member; write is called twice with the same bytes to give, first
// for their checksum.
func (a *archiver) record(name string, write func(io.Writer)) {
	if a.err != nil {
		return
	}
	sum := &summer{}
	write(sum)
	if a.err = a.zip.Flush(); a.err != nil {
		return
	}
	const folder, align, local, field = "archive/", 64, 30, 4
	head := a.at + local + int64(len(folder)+len(name)) + field
	padding := make([]byte, field+(align-head%align)%align)
	copy(padding, "FB")
	binary.LittleEndian.PutUint16(padding[2:], uint16(len(padding)-field))
	w, err := a.zip.CreateRaw(&zip.FileHeader{Name: folder + name, Method: zip.Store,
		CRC32: sum.crc, CompressedSize64: sum.n, UncompressedSize64: sum.n, Extra: padding})
	if err != nil {
		a.err = err
		return
	}
	check := &firstError{w: w}
	write(check)
	a.err = check.err
}

type summer struct {
	crc uint32
	n   uint64
}

func (s *summer) Write(p []byte) (int, error) {
	s.crc = crc32.Update(s.crc, crc32.IEEETable, p)
	s.n += uint64(len(p))
	return len(p), nil
}

// firstError keeps the first error of a writer whose caller does not look.
type firstError struct {
	w   io.Writer
	err error
}

func (f *firstError) Write(p []byte) (int, error) {
	if f.err == nil {
		_, f.err = f.w.Write(p)
	}
	return len(p), f.err
}

// pickle returns the OrderedDict of the entries: entry i lies in record data/i.
func pickle(entries []Entry) []byte {
	p := &pickler{}
	p.op(opProto, 2)
	p.global("collections", "OrderedDict")
	p.op(opNoTuple, opReduce, opMark)
	for i, e := range entries {
		p.text(e.Name)
		p.tensor(i, e)
	}
	p.op(opSetItems, opStop)
	return p.Bytes()
}

type pickler struct{ bytes.Buffer }

func (p *pickler) op(ops ...byte) { p.Write(ops) }

func (p *pickler) global(module, name string) {
	fmt.Fprintf(p, "%c%s\n%s\n", opGlobal, module, name)
}

func (p *pickler) text(s string) {
	p.op(opText)
	p.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(s))))
	p.WriteString(s)
}

// int writes a number from 0 on, which may have more than 4 bytes.
func (p *pickler) int(n int) {
	if n <= math.MaxInt32 {
		p.op(opInt4)
		p.Write(binary.LittleEndian.AppendUint32(nil, uint32(n)))
		return
	}
	p.op(opLong1, 8)
	p.Write(binary.LittleEndian.AppendUint64(nil, uint64(n)))
}

func (p *pickler) tuple(dims []int) {
	p.op(opMark)
	for _, d := range dims {
		p.int(d)
	}
	p.op(opTuple)
}

// tensor writes _rebuild_tensor_v2(storage, 0, size, stride, False, OrderedDict()).
func (p *pickler) tensor(i int, e Entry) {
	kind := "FloatStorage"
	if e.Float32 == nil {
		kind = "LongStorage"
	}
	p.global("torch._utils", "_rebuild_tensor_v2")
	p.op(opMark, opMark)
	p.text("storage")
	p.global("torch", kind)
	p.text(strconv.Itoa(i))
	p.text("cpu")
	p.int(e.elems())
	p.op(opTuple, opPersistent)
	p.int(0)
	p.tuple(e.Shape)
	stride := make([]int, len(e.Shape))
	for i, n := len(stride)-1, 1; i >= 0; i-- {
		stride[i] = n
		n *= e.Shape[i]
	}
	p.tuple(stride)
	p.op(opFalse)
	p.global("collections", "OrderedDict")
	p.op(opNoTuple, opReduce, opTuple, opReduce)
}
