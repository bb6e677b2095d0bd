package nn

import (
	"fmt"

	"avjepa/internal/engine"
	"avjepa/internal/rng"
	"avjepa/internal/tensor"
)

// Param is one trained tensor. Value and Grad are set by Params.Build; Grad is
// nil without gradients.
type Param struct {
	Name        string // as in checkpoints: "encoder.embedding.cls_token"
	Shape       tensor.Shape
	Spared      bool // from weight decay: a bias, gain, position, CLS or type
	Value, Grad engine.Tensor

	init   Init
	joined bool // follows the parameter before it without a gap
	offset int  // in the block, in elements
}

// Buffer is state that is not trained but saved: BatchNorm's running statistics.
type Buffer struct {
	Name  string
	Shape tensor.Shape
	Value engine.Tensor

	init   Init
	offset int
}

// Counter is a number on the host that is saved with the parameters.
type Counter struct {
	Name string
	N    int64
}

// Params is the register of everything a model saves. Layers register in their
// constructors; Build then allocates one block for all values and one for all
// gradients, with the parameters that weight decay may spare behind the others.
//
//	Values, Grads  (n)  the blocks; gaps between parameters are and stay 0
//	Decayed             the first Decayed elements belong to parameters that
//	                    are not spared
type Params struct {
	Values, Grads engine.Tensor
	Decayed       int

	engine   engine.Engine
	params   []*Param
	byName   map[string]*Param
	joins    []join
	buffers  []*Buffer
	counters []*Counter
}

// Joined is a run of neighbours seen as one matrix or vector: query, key and
// value weights as (3D, D).
type Joined struct{ Value, Grad engine.Tensor }

type join struct {
	whole *Joined
	parts []*Param
}

// blockAlign keeps every parameter on a 64-byte line.
const blockAlign = 16

// NewParams returns an empty register.
func NewParams() *Params { return &Params{byName: map[string]*Param{}} }

// Add registers a parameter. It panics when the name is taken.
func (ps *Params) Add(name string, shape tensor.Shape, init Init, spared bool) *Param {
	if ps.byName[name] != nil {
		panic("nn: parameter " + name + " registered twice")
	}
	p := &Param{Name: name, Shape: shape, Spared: spared, init: init}
	ps.params = append(ps.params, p)
	ps.byName[name] = p
	return p
}

// Join asks for the parameters to be neighbours in the order given and returns
// their union, which Build sets. They must be of one kind (spared or not) and
// have the same row length; between them no other of that kind may have been
// registered.
func (ps *Params) Join(parts ...*Param) *Joined {
	for i, p := range parts {
		if p.Spared != parts[0].Spared || p.Shape.Cols() != parts[0].Shape.Cols() {
			panic(fmt.Sprintf("nn: cannot join %s %v and %s %v",
				parts[0].Name, parts[0].Shape, p.Name, p.Shape))
		}
		p.joined = i > 0
	}
	w := &Joined{}
	ps.joins = append(ps.joins, join{w, parts})
	return w
}

// AddBuffer registers state that is saved but not trained.
func (ps *Params) AddBuffer(name string, shape tensor.Shape, init Init) *Buffer {
	b := &Buffer{Name: name, Shape: shape, init: init}
	ps.buffers = append(ps.buffers, b)
	return b
}

// AddCounter registers a counter.
func (ps *Params) AddCounter(name string) *Counter {
	c := &Counter{Name: name}
	ps.counters = append(ps.counters, c)
	return c
}

// List returns the parameters in the order of their registration. The slice is
// the register's own.
func (ps *Params) List() []*Param { return ps.params }

// Lookup returns the parameter of that name, nil if there is none.
func (ps *Params) Lookup(name string) *Param { return ps.byName[name] }

// Buffers returns the saved state that is not trained.
func (ps *Params) Buffers() []*Buffer { return ps.buffers }

// Counters returns the numbers on the host.
func (ps *Params) Counters() []*Counter { return ps.counters }

// Count returns the number of trained values, gaps not counted.
func (ps *Params) Count() int {
	n := 0
	for _, p := range ps.params {
		n += p.Shape.Elems()
	}
	return n
}

// Gradients says whether Build makes room for gradients.
type Gradients bool

const (
	WithGradients    Gradients = true
	WithoutGradients Gradients = false
)

// Build allocates the blocks and sets every Value and Grad. Values are zero
// until Init or Import.
func (ps *Params) Build(e engine.Engine, g Gradients) error {
	ps.engine = e
	size := ps.place(false, 0)
	ps.Decayed = size
	size = ps.place(true, size)
	values, err := e.NewBuffer(engine.F32, size)
	if err != nil {
		return fmt.Errorf("nn: parameters: %w", err)
	}
	ps.Values = engine.NewTensor(values, 0, tensor.Of(size))
	if g == WithGradients {
		grads, err := e.NewBuffer(engine.F32, size)
		if err != nil {
			return fmt.Errorf("nn: gradients: %w", err)
		}
		ps.Grads = engine.NewTensor(grads, 0, tensor.Of(size))
	}
	for _, p := range ps.params {
		p.Value = ps.view(ps.Values, p.offset, p.Shape)
		p.Grad = ps.view(ps.Grads, p.offset, p.Shape)
	}
	for _, j := range ps.joins {
		ps.buildJoin(j)
	}
	return ps.buildBuffers()
}

// place gives offsets from off on to the parameters of one kind and returns the
// end, aligned.
func (ps *Params) place(spared bool, off int) int {
	for _, p := range ps.params {
		if p.Spared != spared {
			continue
		}
		if !p.joined {
			off = (off + blockAlign - 1) / blockAlign * blockAlign
		}
		p.offset = off
		off += p.Shape.Elems()
	}
	return (off + blockAlign - 1) / blockAlign * blockAlign
}

func (ps *Params) view(block engine.Tensor, off int, s tensor.Shape) engine.Tensor {
	if block.Nil() {
		return block
	}
	return engine.NewTensor(block.Buffer(), off, s)
}

func (ps *Params) buildJoin(j join) {
	first, n := j.parts[0], 0
	for _, p := range j.parts {
		if p.offset != first.offset+n {
			panic("nn: " + p.Name + " does not follow " + first.Name)
		}
		n += p.Shape.Elems()
	}
	s := tensor.Of(n)
	if first.Shape.Rank() > 1 {
		s = tensor.Of(n/first.Shape.Cols(), first.Shape.Cols())
	}
	j.whole.Value = ps.view(ps.Values, first.offset, s)
	j.whole.Grad = ps.view(ps.Grads, first.offset, s)
}

func (ps *Params) buildBuffers() error {
	size := 0
	for _, b := range ps.buffers {
		b.offset = size
		size += (b.Shape.Elems() + blockAlign - 1) / blockAlign * blockAlign
	}
	if size == 0 {
		return nil
	}
	buf, err := ps.engine.NewBuffer(engine.F32, size)
	if err != nil {
		return fmt.Errorf("nn: running statistics: %w", err)
	}
	for _, b := range ps.buffers {
		b.Value = engine.NewTensor(buf, b.offset, b.Shape)
	}
	return nil
}

// ZeroGrads sets all gradients to 0.
func (ps *Params) ZeroGrads() { ps.engine.Fill(ps.Grads, 0) }

// Free gives all memory back to the engine; the register must not be used any
// more.
func (ps *Params) Free() {
	ps.Values.Buffer().Free()
	if !ps.Grads.Nil() {
		ps.Grads.Buffer().Free()
	}
	if len(ps.buffers) > 0 {
		ps.buffers[0].Value.Buffer().Free() // all lie in one
	}
}

// Init sets every value to its initial one. That of a parameter depends on the
// seed and its name alone, so a model that has one layer more starts with the
// same numbers in all others.
func (ps *Params) Init(seed uint64) {
	for _, p := range ps.params {
		ps.engine.Upload(p.Value, p.init.draw(seed, p.Name, p.Shape.Elems()))
	}
	for _, b := range ps.buffers {
		ps.engine.Upload(b.Value, b.init.draw(seed, b.Name, b.Shape.Elems()))
	}
	for _, c := range ps.counters {
		c.N = 0
	}
}

// Init is a rule for initial values. The zero Init is zeros.
type Init struct {
	normal, uniform, constant float64
}

// Zeros is the rule "all 0".
func Zeros() Init { return Init{} }

// Ones is the rule "all 1".
func Ones() Init { return Init{constant: 1} }

// Normal is the rule N(0, std²).
func Normal(std float64) Init { return Init{normal: std} }

// Uniform is the rule "evenly in [−bound, bound)".
func Uniform(bound float64) Init { return Init{uniform: bound} }

func (in Init) draw(seed uint64, name string, n int) []float32 {
	x := make([]float32, n)
	switch r := rng.New(seed, "init", name); {
	case in.normal > 0:
		r.FillNormal(x, in.normal)
	case in.uniform > 0:
		r.FillUniform(x, -in.uniform, in.uniform)
	default:
		for i := range x {
			x[i] = float32(in.constant)
		}
	}
	return x
}
