package enginetest

import (
	"avjepa/internal/engine"
	"avjepa/internal/rng"
	"avjepa/internal/tensor"
)

const (
	eps   = 1.0 / (1 << 23) // distance of float32 numbers at 1
	guard = 37              // elements before and behind an operand; odd, so it is unaligned
)

// memory makes the operands of one run of a case on one engine. What an operand
// holds depends only on its name.
type memory struct {
	t       reporter
	e       engine.Engine
	mix     mix         // which operands are BF16
	exact   bool        // operands of type BF16 are given as such, but lie in F32 buffers
	poison  float32     // what lies where nothing may be read
	perturb *rng.Stream // when set, every input moves by up to one rounding error of F32,
	halves  bool        // or those that may be rounded to BF16 by one of that
	spoilt  string      // when set, one element of this operand is NaN or Inf:
	spoil   float32
	regions []*region
}

// reporter is what a run of a case needs of a *testing.T.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// region is an operand and the buffer around it.
type region struct {
	name   string
	tensor engine.Tensor
	whole  engine.Tensor // all of the buffer, (n)

	start, cols, stride int // of tensor

	before  []float32 // what whole held before the run
	half    bool      // its type is BF16, or with exact would be
	output  bool      // the operation sets it or adds to it
	given   bool      // it has contents before the run
	scratch bool      // its elements may hold anything afterwards
	fixed   bool      // neither perturbed nor made NaN: labels, for example
	derived bool      // made from other inputs: an engine may compute it anew, NaN or not
	terms   int       // length of the longest sum behind an element
	slack   float64   // absolute error allowed whatever the conditioning
}

// at returns the position in the buffer of element i of the operand.
func (r *region) at(i int) int {
	return r.start + i/r.cols*r.stride + i%r.cols
}

// in makes an input of standard normal numbers.
func (m *memory) in(name string, dims ...int) engine.Tensor {
	return m.place(&region{name: name}, m.normal(name, dims), 0, 0, dims)
}

// wideIn makes a strided input: the middle columns of something wider.
func (m *memory) wideIn(name string, dims ...int) engine.Tensor {
	lo, hi := m.margins(dims)
	return m.place(&region{name: name}, m.normal(name, dims), lo, hi, dims)
}

// inOf makes an input of the given values.
func (m *memory) inOf(name string, values []float32, dims ...int) engine.Tensor {
	return m.place(&region{name: name}, values, 0, 0, dims)
}

// derivedOf makes an input of values that follow from the other inputs.
func (m *memory) derivedOf(name string, values []float32, dims ...int) engine.Tensor {
	return m.place(&region{name: name, derived: true}, values, 0, 0, dims)
}

// fixed makes an input of values that are never perturbed nor made NaN.
func (m *memory) fixed(name string, values []float32, dims ...int) engine.Tensor {
	return m.place(&region{name: name, fixed: true}, values, 0, 0, dims)
}

// out makes an output that is set; terms is the length of the longest sum
// behind one of its elements.
func (m *memory) out(name string, terms int, dims ...int) engine.Tensor {
	return m.place(&region{name: name, output: true, terms: terms}, nil, 0, 0, dims)
}

// wideOut makes a strided output that is set.
func (m *memory) wideOut(name string, terms int, dims ...int) engine.Tensor {
	lo, hi := m.margins(dims)
	return m.place(&region{name: name, output: true, terms: terms}, nil, lo, hi, dims)
}

// acc makes an operand that is read and written.
func (m *memory) acc(name string, terms int, dims ...int) engine.Tensor {
	r := &region{name: name, output: true, terms: terms}
	return m.place(r, m.normal(name, dims), 0, 0, dims)
}

// accOf makes an operand that is read and written, of the given values.
func (m *memory) accOf(name string, terms int, values []float32, dims ...int) engine.Tensor {
	return m.place(&region{name: name, output: true, terms: terms}, values, 0, 0, dims)
}

// wideAcc makes a strided operand that is read and written.
func (m *memory) wideAcc(name string, terms int, dims ...int) engine.Tensor {
	lo, hi := m.margins(dims)
	r := &region{name: name, output: true, terms: terms}
	return m.place(r, m.normal(name, dims), lo, hi, dims)
}

// scratch makes an operand whose contents are of no interest.
func (m *memory) scratch(name string, dims ...int) engine.Tensor {
	return m.place(&region{name: name, output: true, scratch: true}, nil, 0, 0, dims)
}

// margins returns how many columns lie before and behind a strided operand:
// those of a packed query, key, value tensor, or odd numbers.
func (m *memory) margins(dims []int) (lo, hi int) {
	if c := dims[len(dims)-1]; len(m.regions)%2 == 0 {
		return c, c
	}
	return 3, 6
}

func (m *memory) normal(name string, dims []int) []float32 {
	v := make([]float32, tensor.Of(dims...).Elems())
	rng.New(1, "operand", name).FillNormal(v, 1)
	return v
}

// place uploads values (nil: poison) amid poison, lo columns before and hi
// behind every row.
func (m *memory) place(r *region, values []float32, lo, hi int, dims []int) engine.Tensor {
	s := tensor.Of(dims...)
	width := lo + s.Cols() + hi
	parent := s
	if lo+hi > 0 {
		parent = s.With(-1, width)
	}
	n := guard + parent.Elems() + guard
	dt := engine.F32
	if r.half = has(m.mix.half, r.name); r.half && !m.exact {
		dt = engine.BF16
	}
	r.whole = newTensor(m.t, m.e, dt, n)
	r.tensor = engine.NewTensor(r.whole.Buffer(), guard, parent)
	if lo+hi > 0 {
		r.tensor = r.tensor.Columns(lo, lo+s.Cols())
	}
	r.start, r.cols, r.stride = r.tensor.Offset(), r.tensor.Cols(), r.tensor.Stride()
	r.given = values != nil
	r.before = make([]float32, n)
	for i := range r.before {
		r.before[i] = m.poison
	}
	factor := m.mix.magnify(r.name)
	for i, v := range values {
		if v *= factor; r.half {
			v = roundBF16(v)
		}
		r.before[r.at(i)] = m.moved(r, i%r.cols, v)
	}
	if m.spoilt == r.name && m.spoilt != "" {
		i := rng.New(1, "spoilt", r.name).IntN(len(values))
		r.before[r.at(i)] = m.spoil
	}
	if r.half && m.perturb == nil {
		for i, v := range r.before {
			r.before[i] = roundBF16(v) // poison
		}
	}
	upload(m.t, m.e, r.whole, r.before)
	m.regions = append(m.regions, r)
	return r.tensor
}

// moved returns v, which lies in the given column, as it is perturbed.
func (m *memory) moved(r *region, column int, v float32) float32 {
	switch {
	case m.perturb == nil || r.fixed:
		return v
	case !m.halves:
		return v * float32(1+eps*m.perturb.Uniform(-1, 1))
	case m.mix.mayRound(r.name, column, r.cols):
		return v * float32(1+halfEps*m.perturb.Uniform(-1, 1))
	}
	return v
}

// bytes makes an input of random bytes amid others.
func (m *memory) bytes(name string, dims ...int) engine.Tensor {
	s := tensor.Of(dims...)
	buf, err := m.e.NewBuffer(engine.U8, s.Elems()+2*guard)
	if err != nil {
		m.t.Fatalf("buffer of %d bytes: %v", s.Elems()+2*guard, err)
	}
	v, r := make([]byte, buf.Elems()), rng.New(1, "operand", name)
	for i := range v {
		v[i] = byte(r.Uint32())
	}
	m.e.UploadBytes(engine.NewTensor(buf, 0, tensor.Of(len(v))), v)
	m.t.Cleanup(buf.Free)
	return engine.NewTensor(buf, guard, s)
}

// allow sets the absolute error that the operand made last may have.
func (m *memory) allow(slack float64) { m.regions[len(m.regions)-1].slack = slack }

// free gives back all buffers.
func (m *memory) free() {
	for _, r := range m.regions {
		r.whole.Buffer().Free()
	}
}
