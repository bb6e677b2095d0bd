package engine

import (
	"fmt"

	"avjepa/internal/tensor"
)

// DType is the type of a tensor's elements.
type DType uint8

const (
	F32  DType = iota // 32-bit float: the type of every operand unless said otherwise
	BF16              // bfloat16, only where the engine's Info says so
	U8                // unsigned bytes: frames
)

// Size returns the bytes of one element.
func (d DType) Size() int { return [...]int{4, 2, 1}[d] }

func (d DType) String() string { return [...]string{"f32", "bf16", "u8"}[d] }

// Buffer is one block of an engine's memory. It has no method that gives its
// contents: only the engine that made it can read it.
type Buffer interface {
	DType() DType
	Elems() int
	Free()
}

// Tensor is a view of a Buffer: shape, offset and distance between rows. It is
// a value; copying it copies no data. The zero Tensor is nil and stands for an
// absent optional operand.
type Tensor struct {
	buf    Buffer
	off    int // of the first element, in elements
	stride int // between the starts of consecutive rows, in elements
	shape  tensor.Shape
}

// NewTensor returns the contiguous view of buf that starts at element off.
func NewTensor(buf Buffer, off int, shape tensor.Shape) Tensor {
	if off < 0 || off+shape.Elems() > buf.Elems() {
		panic(fmt.Sprintf("engine: shape %v at offset %d exceeds a buffer of %d elements",
			shape, off, buf.Elems()))
	}
	return Tensor{buf: buf, off: off, stride: shape.Cols(), shape: shape}
}

func (t Tensor) Nil() bool           { return t.buf == nil }
func (t Tensor) Buffer() Buffer      { return t.buf }
func (t Tensor) Offset() int         { return t.off }
func (t Tensor) Stride() int         { return t.stride }
func (t Tensor) Shape() tensor.Shape { return t.shape }
func (t Tensor) Dim(i int) int       { return t.shape.Dim(i) }
func (t Tensor) Rows() int           { return t.shape.Rows() }
func (t Tensor) Cols() int           { return t.shape.Cols() }
func (t Tensor) Elems() int          { return t.shape.Elems() }
func (t Tensor) DType() DType        { return t.buf.DType() }

// Sequences returns the first dimension and the rows in one step of it: (B, N) of
// a (B, N, D) tensor, (B, 1) of a (B, D) tensor.
func (t Tensor) Sequences() (n, rows int) {
	if t.shape.Rank() < 2 {
		return 1, 1
	}
	rows = 1
	for i := 1; i < t.shape.Rank()-1; i++ {
		rows *= t.shape.Dim(i)
	}
	return t.shape.Dim(0), rows
}

// Contiguous reports whether the rows follow each other without gaps.
func (t Tensor) Contiguous() bool { return t.stride == t.shape.Cols() || t.shape.Rows() <= 1 }

func (t Tensor) String() string {
	if t.Nil() {
		return "nil tensor"
	}
	return fmt.Sprintf("%v %v", t.DType(), t.shape)
}

// Reshape returns the same elements under another shape. The tensor must be
// contiguous, or keep its last dimension.
func (t Tensor) Reshape(dims ...int) Tensor {
	s := tensor.Of(dims...)
	if s.Elems() != t.Elems() || (!t.Contiguous() && s.Cols() != t.Cols()) {
		panic(fmt.Sprintf("engine: cannot reshape %v (row stride %d) to %v", t.shape, t.stride, s))
	}
	if s.Cols() != t.Cols() {
		t.stride = s.Cols()
	}
	t.shape = s
	return t
}

// Slice returns elements lo…hi−1 of the first dimension. For rank 1 these are
// elements, else blocks of rows.
func (t Tensor) Slice(lo, hi int) Tensor {
	n := t.shape.Dim(0)
	if lo < 0 || hi < lo || hi > n {
		panic(fmt.Sprintf("engine: slice %d:%d of %v", lo, hi, t.shape))
	}
	if t.shape.Rank() == 1 {
		t.off += lo
		t.shape = t.shape.With(0, hi-lo)
		t.stride = hi - lo
		return t
	}
	_, rows := t.Sequences()
	t.off += lo * rows * t.stride
	t.shape = t.shape.With(0, hi-lo)
	return t
}

// Columns returns columns lo…hi−1 of every row, a strided tensor: the query,
// key and value parts of a packed (B, N, 3D) tensor, for example.
func (t Tensor) Columns(lo, hi int) Tensor {
	if lo < 0 || hi < lo || hi > t.Cols() {
		panic(fmt.Sprintf("engine: columns %d:%d of %v", lo, hi, t.shape))
	}
	t.off += lo
	t.shape = t.shape.With(-1, hi-lo)
	return t
}

// Token returns token i of every sequence of a contiguous (B, N, D) tensor, as
// a strided (B, D) tensor. Token(0) is the CLS.
func (t Tensor) Token(i int) Tensor {
	if t.shape.Rank() != 3 || !t.Contiguous() || i < 0 || i >= t.Dim(1) {
		panic(fmt.Sprintf("engine: token %d of %v (row stride %d)", i, t.shape, t.stride))
	}
	b, n, d := t.Dim(0), t.Dim(1), t.Dim(2)
	t.off += i * d
	t.stride = n * d
	t.shape = tensor.Of(b, d)
	return t
}

// Arena hands out tensors from one buffer per type, in the manner of a stack: what
// was made after a Mark is given back by Release. Activations live in one, so a
// training step asks the system for no memory.
//
// The compute type is that of the operands of large products: F32, or BF16 where
// the engine has it. Everything that is summed over many tokens or that small
// differences matter to stays F32: residual stream, statistics, losses.
type Arena struct {
	compute DType
	blocks  [2]block // F32 and, with compute type BF16, BF16
}

// block is the memory of one type.
type block struct {
	buf              Buffer
	used, peak, size int
}

// ArenaSize is a number of elements of each type. It counts as BF16 only what is
// made in an arena with that compute type.
type ArenaSize struct{ F32, BF16 int }

// Bytes returns the memory of an arena of that size.
func (s ArenaSize) Bytes() int64 {
	return int64(s.F32)*int64(F32.Size()) + int64(s.BF16)*int64(BF16.Size())
}

// arenaAlign keeps every tensor on a 64-byte line, of either type.
const arenaAlign = 32

// NewArena returns an arena in e's memory. Without a BF16 compute type its size
// in BF16 must be 0.
func NewArena(e Engine, compute DType, size ArenaSize) (*Arena, error) {
	if compute != F32 && compute != BF16 || compute == F32 && size.BF16 != 0 {
		panic(fmt.Sprintf("engine: arena of %+v elements with compute type %v", size, compute))
	}
	a := &Arena{compute: compute}
	for dt, n := range [2]int{size.F32, size.BF16} {
		if n == 0 {
			continue
		}
		buf, err := e.NewBuffer(DType(dt), n)
		if err != nil {
			a.Free()
			return nil, err
		}
		a.blocks[dt] = block{buf: buf, size: n}
	}
	return a, nil
}

// Compute returns the type of NewCompute's tensors.
func (a *Arena) Compute() DType { return a.compute }

// New returns a tensor of type F32 with undefined contents. It panics when the
// arena is full: its size was planned wrongly, which is our mistake.
func (a *Arena) New(dims ...int) Tensor { return a.make(F32, dims) }

// NewCompute is New in the compute type.
func (a *Arena) NewCompute(dims ...int) Tensor { return a.make(a.compute, dims) }

func (a *Arena) make(dt DType, dims []int) Tensor {
	s, b := tensor.Of(dims...), &a.blocks[dt]
	n := (s.Elems() + arenaAlign - 1) / arenaAlign * arenaAlign
	if b.used+n > b.size {
		panic(fmt.Sprintf("engine: arena of %d %v elements is full: %d used, %v asked for",
			b.size, dt, b.used, s))
	}
	t := NewTensor(b.buf, b.used, s)
	b.used += n
	b.peak = max(b.peak, b.used)
	return t
}

// NewComputeApart is NewCompute, but rows whose length is a multiple of 4 KiB lie
// 64 bytes further apart: else the elements of a column share one set of a
// processor's first-level cache, which holds fewer of them than products read at
// a time.
func (a *Arena) NewComputeApart(dims ...int) Tensor {
	last, size := len(dims)-1, a.compute.Size()
	cols := dims[last]
	if cols*size%4096 != 0 {
		return a.NewCompute(dims...)
	}
	dims[last] += 64 / size
	return a.NewCompute(dims...).Columns(0, cols)
}

// Mark is a position of an Arena.
type Mark [2]int

// Mark returns the present position, for Release.
func (a *Arena) Mark() Mark { return Mark{a.blocks[F32].used, a.blocks[BF16].used} }

// Release gives back everything made since the mark. The zero Mark is the bottom.
func (a *Arena) Release(m Mark) {
	for dt := range a.blocks {
		if m[dt] > a.blocks[dt].used {
			panic("engine: arena released to a mark that is already gone")
		}
		a.blocks[dt].used = m[dt]
	}
}

// Peak returns the largest number of elements ever in use, by type.
func (a *Arena) Peak() ArenaSize {
	return ArenaSize{F32: a.blocks[F32].peak, BF16: a.blocks[BF16].peak}
}

// Free gives the buffers back to the engine.
func (a *Arena) Free() {
	for dt := range a.blocks {
		if b := a.blocks[dt].buf; b != nil {
			b.Free()
		}
	}
}
