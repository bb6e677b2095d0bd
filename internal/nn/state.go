package nn

import (
	"errors"
	"fmt"

	"avjepa/internal/engine"
	"avjepa/internal/tensor"
)

// Stored is an array as a checkpoint holds it, still in the engine's memory.
type Stored struct {
	Name  string
	Shape tensor.Shape
	Read  func(dst []float32) // sets dst, as long as the shape says
}

// Stored returns the values of all parameters, buffers and counters (as scalars).
func (ps *Params) Stored() []Stored {
	var all []Stored
	for _, p := range ps.params {
		all = append(all, ps.stored(p.Name, p.Value))
	}
	for _, b := range ps.buffers {
		all = append(all, ps.stored(b.Name, b.Value))
	}
	for _, c := range ps.counters {
		all = append(all, Stored{c.Name, tensor.Of(),
			func(dst []float32) { dst[0] = float32(c.N) }})
	}
	return all
}

func (ps *Params) stored(name string, t engine.Tensor) Stored {
	return Stored{name, t.Shape(), func(dst []float32) { ps.engine.Download(dst, t) }}
}

// Arrays reads all of them, by name.
func Arrays(all []Stored) map[string]tensor.Array {
	out := map[string]tensor.Array{}
	for _, s := range all {
		a := tensor.Array{Shape: s.Shape, Data: make([]float32, s.Shape.Elems())}
		s.Read(a.Data)
		out[s.Name] = a
	}
	return out
}

// Export returns what Stored does, read.
func (ps *Params) Export() map[string]tensor.Array { return Arrays(ps.Stored()) }

// Import sets values by name. Every parameter and buffer must be there with the
// registered shape; counters may be absent and names that are not registered
// are ignored. On an error, which lists what does not fit, nothing is changed.
func (ps *Params) Import(arrays map[string]tensor.Array) error {
	if err := ps.Complete(arrays); err != nil {
		return err
	}
	for _, p := range ps.params {
		ps.engine.Upload(p.Value, arrays[p.Name].Data)
	}
	for _, b := range ps.buffers {
		ps.engine.Upload(b.Value, arrays[b.Name].Data)
	}
	for _, c := range ps.counters {
		if a, ok := arrays[c.Name]; ok && len(a.Data) == 1 {
			c.N = int64(a.Data[0])
		}
	}
	return nil
}

// Complete returns an error that lists what Import would find missing, or of another
// shape. It needs no memory: Build may come later, or never.
func (ps *Params) Complete(arrays map[string]tensor.Array) error {
	bad := ps.misfits("", arrays)
	for _, b := range ps.buffers {
		bad.check(arrays, b.Name, b.Shape)
	}
	return bad.join()
}

// Fits returns an error that lists the parameters for which there is no array
// of their shape under prefix + name.
func (ps *Params) Fits(prefix string, arrays map[string]tensor.Array) error {
	bad := ps.misfits(prefix, arrays)
	return bad.join()
}

func (ps *Params) misfits(prefix string, arrays map[string]tensor.Array) misfits {
	var bad misfits
	for _, p := range ps.params {
		bad.check(arrays, prefix+p.Name, p.Shape)
	}
	return bad
}

// misfits are the arrays that are missing or have another shape.
type misfits []error

func (m *misfits) check(arrays map[string]tensor.Array, name string, s tensor.Shape) {
	switch a, ok := arrays[name]; {
	case !ok:
		*m = append(*m, fmt.Errorf("nn: %s is missing, %v wanted", name, s))
	case a.Shape != s:
		*m = append(*m, fmt.Errorf("nn: %s is %v, %v wanted", name, a.Shape, s))
	}
}

// namedMisfits bounds an error: another width changes every array of a model.
const namedMisfits = 6

func (m misfits) join() error {
	if n := len(m); n > namedMisfits {
		m = append(m[:namedMisfits:namedMisfits],
			fmt.Errorf("nn: %d more do not fit either", n-namedMisfits))
	}
	return errors.Join(m...)
}

// StoredBlock returns the parts of another block of the same layout, such as a
// moment of the optimiser, named prefix + parameter name.
func (ps *Params) StoredBlock(block engine.Tensor, prefix string) []Stored {
	var all []Stored
	for _, p := range ps.params {
		all = append(all, ps.stored(prefix+p.Name, ps.view(block, p.offset, p.Shape)))
	}
	return all
}

// ImportBlock sets what StoredBlock reads. On an error, that of Fits, nothing
// is changed.
func (ps *Params) ImportBlock(block engine.Tensor, prefix string,
	arrays map[string]tensor.Array) error {
	if err := ps.Fits(prefix, arrays); err != nil {
		return err
	}
	for _, p := range ps.params {
		ps.engine.Upload(ps.view(block, p.offset, p.Shape), arrays[prefix+p.Name].Data)
	}
	return nil
}
