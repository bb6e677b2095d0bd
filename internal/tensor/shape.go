// Package tensor holds shapes and host arrays, the two things every layer of
// the program shares. It knows nothing of devices: tensors that live in an
// engine's memory are engine.Tensor.
//
//	s := tensor.Of(2, 3, 4) // 2×3×4
//	a := tensor.New(2, 3)   // a host array of six zeros
package tensor

import (
	"fmt"
	"strconv"
	"strings"
)

// MaxRank is the largest number of dimensions a Shape can have.
const MaxRank = 6

// Shape is a list of at most MaxRank dimensions, kept by value so that making
// or passing one allocates nothing. The zero Shape is a scalar.
type Shape struct {
	dims [MaxRank]int
	rank int
}

// Of returns the shape with the given dimensions. It panics on a negative
// dimension or on more than MaxRank of them.
func Of(dims ...int) Shape {
	if len(dims) > MaxRank {
		panic("tensor: rank " + strconv.Itoa(len(dims)) + " exceeds " + strconv.Itoa(MaxRank))
	}
	var s Shape
	for i, d := range dims {
		if d < 0 {
			panic("tensor: negative dimension " + strconv.Itoa(d))
		}
		s.dims[i] = d
	}
	s.rank = len(dims)
	return s
}

// Rank returns the number of dimensions.
func (s Shape) Rank() int { return s.rank }

// Dim returns dimension i; a negative i counts from the end.
func (s Shape) Dim(i int) int {
	if i < 0 {
		i += s.rank
	}
	if i < 0 || i >= s.rank {
		panic(fmt.Sprintf("tensor: dimension %d of shape %v", i, s))
	}
	return s.dims[i]
}

// Elems returns the number of elements; a scalar has one.
func (s Shape) Elems() int {
	n := 1
	for i := 0; i < s.rank; i++ {
		n *= s.dims[i]
	}
	return n
}

// Cols returns the last dimension, 1 for a scalar.
func (s Shape) Cols() int {
	if s.rank == 0 {
		return 1
	}
	return s.dims[s.rank-1]
}

// Rows returns the product of all dimensions but the last.
func (s Shape) Rows() int {
	n := 1
	for i := 0; i < s.rank-1; i++ {
		n *= s.dims[i]
	}
	return n
}

// Dims returns the dimensions as a new slice.
func (s Shape) Dims() []int { return append([]int(nil), s.dims[:s.rank]...) }

// With returns the shape with dimension i replaced by n.
func (s Shape) With(i, n int) Shape {
	s.Dim(i)
	if i < 0 {
		i += s.rank
	}
	s.dims[i] = n
	return s
}

// String returns the dimensions joined by ×, and "scalar" for none.
func (s Shape) String() string {
	if s.rank == 0 {
		return "scalar"
	}
	parts := make([]string, s.rank)
	for i := range parts {
		parts[i] = strconv.Itoa(s.dims[i])
	}
	return strings.Join(parts, "×")
}

// Array is a host array of float32 in C order.
type Array struct {
	Shape Shape
	Data  []float32 // len = Shape.Elems()
}

// New returns a zeroed array.
func New(dims ...int) Array {
	s := Of(dims...)
	return Array{Shape: s, Data: make([]float32, s.Elems())}
}

// From wraps data, which it does not copy; it panics when the length differs
// from the shape's number of elements.
func From(data []float32, dims ...int) Array {
	s := Of(dims...)
	if len(data) != s.Elems() {
		panic(fmt.Sprintf("tensor: %d values for shape %v", len(data), s))
	}
	return Array{Shape: s, Data: data}
}
