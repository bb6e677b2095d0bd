package cpu

import (
	"fmt"

	"avjepa/internal/engine"
)

// matrix is a tensor as the kernels see it.
type matrix struct {
	data       []float32 // from the first element to the end of the buffer
	rows, cols int
	stride     int // elements between rows
}

// mat returns the elements of t, a zero matrix for a nil tensor.
func mat(t engine.Tensor) matrix {
	if t.Nil() {
		return matrix{}
	}
	return matrix{data: own(t).floats()[t.Offset():], rows: t.Rows(), cols: t.Cols(),
		stride: t.Stride()}
}

// vec returns the elements of a contiguous tensor, nil for a nil one.
func vec(t engine.Tensor) []float32 {
	if t.Nil() {
		return nil
	}
	return own(t).floats()[t.Offset():][:t.Elems()]
}

// own returns the buffer behind t; one of another engine is our own mistake.
func own(t engine.Tensor) *buffer {
	b, ok := t.Buffer().(*buffer)
	if !ok {
		panic(fmt.Sprintf("cpu: %v lies in a %T, memory of another engine", t, t.Buffer()))
	}
	return b
}

func (m matrix) row(r int) []float32 { return m.data[r*m.stride:][:m.cols:m.cols] }

// dense reports whether the elements follow each other without gaps.
func (m matrix) dense() bool { return m.stride == m.cols || m.rows <= 1 }

const (
	// blockElems is the size of a part of an operation on single elements:
	// some microseconds of work, and it fits in the first two caches.
	blockElems = 16 << 10
	// maxPartials bounds the parts of a sum over rows, hence its scratch.
	maxPartials = 64
	// panel is the number of columns in a part of an operation on columns: wide
	// enough that rows far apart are read ahead.
	panel = 256
)

// parts returns how many parts of the given size n makes.
func parts(n, size int) int { return (n + size - 1) / size }

// part returns the bounds of part i.
func part(i, size, n int) (lo, hi int) { return i * size, min((i+1)*size, n) }

// rowsPerPart returns how many rows make a part of about blockElems.
func rowsPerPart(cols int) int { return max(1, blockElems/max(1, cols)) }

// rowsPerPartial is rowsPerPart for sums, with no more than maxPartials parts.
func rowsPerPartial(rows, cols int) int {
	return max(rowsPerPart(cols), parts(rows, maxPartials))
}
