package engine

import (
	"fmt"

	"avjepa/internal/rng"
)

// op is the name of an operation whose operands are being checked. Its methods
// panic with the names and shapes of what does not fit and allocate nothing
// when all is well.
type op string

func (o op) fail(format string, args ...any) {
	panic("engine: " + string(o) + ": " + fmt.Sprintf(format, args...))
}

// strided requires a tensor of type F32 or BF16 whose rows may lie apart.
func (o op) strided(name string, t Tensor) {
	if t.Nil() {
		o.fail("%s is missing", name)
	}
	if t.DType() == U8 {
		o.fail("%s is %v, want f32 or bf16", name, t)
	}
}

// dense requires a tensor of type F32 or BF16 without gaps between its rows.
func (o op) dense(name string, t Tensor) {
	o.strided(name, t)
	o.contiguous(name, t)
}

func (o op) contiguous(name string, t Tensor) {
	if !t.Contiguous() {
		o.fail("%s is %v with rows %d apart: it must be contiguous", name, t.shape, t.stride)
	}
}

// float32s requires a contiguous tensor of type F32: what holds parameters,
// gradients of them, statistics or losses.
func (o op) float32s(name string, t Tensor) {
	o.float32Type(name, t)
	o.contiguous(name, t)
}

// float32Type requires a tensor of type F32 whose rows may lie apart.
func (o op) float32Type(name string, t Tensor) {
	if t.Nil() {
		o.fail("%s is missing", name)
	}
	if t.DType() != F32 {
		o.fail("%s is %v, want f32", name, t)
	}
}

// sameType requires equal types.
func (o op) sameType(a string, t Tensor, b string, u Tensor) {
	if t.DType() != u.DType() {
		o.fail("%s is %v but %s is %v: types differ", a, t, b, u)
	}
}

// vector requires a contiguous tensor of type F32 with n elements, a length it
// shares with the tensor called of.
func (o op) vector(name string, t Tensor, n int, of string, u Tensor) {
	o.float32s(name, t)
	if t.Elems() != n {
		o.fail("%s is %v but %s is %v: want %d elements", name, t.shape, of, u.shape, n)
	}
}

// vectorOrNil is vector for an optional operand.
func (o op) vectorOrNil(name string, t Tensor, n int, of string, u Tensor) {
	if !t.Nil() {
		o.vector(name, t, n, of, u)
	}
}

// scalar requires one element of type F32.
func (o op) scalar(name string, t Tensor) {
	o.float32s(name, t)
	if t.Elems() != 1 {
		o.fail("%s is %v, want one element", name, t.shape)
	}
}

// rank requires a number of dimensions.
func (o op) rank(name string, t Tensor, rank int) {
	if t.shape.Rank() != rank {
		o.fail("%s is %v, want %d dimensions", name, t.shape, rank)
	}
}

// agree requires m = n, two dimensions of a and b; why says which they are.
func (o op) agree(m, n int, a string, t Tensor, b string, u Tensor, why string) {
	if m != n {
		o.fail("%s is %v but %s is %v: %s differ", a, t.shape, b, u.shape, why)
	}
}

// alike requires equal numbers of rows and of columns.
func (o op) alike(a string, t Tensor, b string, u Tensor) {
	o.agree(t.Rows(), u.Rows(), a, t, b, u, "rows")
	o.agree(t.Cols(), u.Cols(), a, t, b, u, "columns")
}

// sameShape requires equal shapes.
func (o op) sameShape(a string, t Tensor, b string, u Tensor) {
	if t.shape != u.shape {
		o.fail("%s is %v but %s is %v: shapes differ", a, t.shape, b, u.shape)
	}
}

// apart requires that an output shares no element with another operand. Either
// may be nil.
func (o op) apart(out string, t Tensor, other string, u Tensor) {
	if overlap(t, u) {
		o.fail("%s %v at offset %d overlaps %s %v at offset %d",
			out, t.shape, t.off, other, u.shape, u.off)
	}
}

// apartOrSame is apart, except that the two may be the very same elements.
func (o op) apartOrSame(out string, t Tensor, other string, u Tensor) {
	same := t.off == u.off && t.Rows() == u.Rows() && t.Cols() == u.Cols() &&
		(t.stride == u.stride || t.Rows() <= 1)
	if !same {
		o.apart(out, t, other, u)
	}
}

// atLeast requires a number of at least lowest; NaN fails.
func (o op) atLeast(name string, v, lowest float64) {
	if !(v >= lowest) {
		o.fail("%s is %v, want at least %v", name, v, lowest)
	}
}

// probability requires a number in [0, 1).
func (o op) probability(name string, p float64) {
	if !(p >= 0 && p < 1) {
		o.fail("%s is %v, want a probability in [0, 1)", name, p)
	}
}

// mask requires a probability in [0, 1) and rows for every token of the
// sequences x, none of them twice.
func (o op) mask(m rng.Mask, x Tensor) {
	o.probability("P", m.P)
	r := m.Rows
	if r.First < 0 || r.Run < 0 || r.Stride < r.Run {
		o.fail("mask rows %+v: want none negative, and a stride of a run or more", r)
	}
	if _, n := x.Sequences(); r.Tokens != 0 && r.Tokens < n {
		o.fail("x is %v but its mask has %d tokens", x.shape, r.Tokens)
	}
}

// overlap reports whether two tensors share an element. It is exact: the query
// and key columns of one packed tensor do not overlap.
func overlap(a, b Tensor) bool {
	if a.Nil() || b.Nil() || a.buf != b.buf || a.Elems() == 0 || b.Elems() == 0 {
		return false
	}
	if a.end() <= b.off || b.end() <= a.off {
		return false
	}
	if a.Contiguous() && b.Contiguous() {
		return true
	}
	if a.stride == b.stride && a.Cols() <= a.stride && b.Cols() <= b.stride {
		gap := (b.off - a.off) % a.stride
		if gap < 0 {
			gap += a.stride
		}
		return gap < a.Cols() || gap+b.Cols() > a.stride
	}
	for r := range a.Rows() {
		lo := a.off + r*a.stride
		k := 0 // the first row of b that ends behind lo
		if d := lo - b.off - b.Cols(); d >= 0 {
			k = d/b.stride + 1
		}
		if k < b.Rows() && b.off+k*b.stride < lo+a.Cols() {
			return true
		}
	}
	return false
}

// end returns the offset just behind the last element.
func (t Tensor) end() int { return t.off + (t.Rows()-1)*t.stride + t.Cols() }
