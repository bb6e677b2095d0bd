package nn

import (
	"errors"
	"fmt"

	"avjepa/internal/engine"
	"avjepa/internal/tensor"
)

// Export returns the values of all parameters, buffers and counters (as
// scalars) by name.
func (ps *Params) Export() map[string]tensor.Array {
	out := map[string]tensor.Array{}
	for _, p := range ps.params {
		out[p.Name] = ps.download(p.Value)
	}
	for _, b := range ps.buffers {
		out[b.Name] = ps.download(b.Value)
	}
	for _, c := range ps.counters {
		out[c.Name] = tensor.From([]float32{float32(c.N)})
	}
	return out
}

// Import sets values by name. Every parameter and buffer must be there with the
// registered shape; counters may be absent and names that are not registered
// are ignored. On an error, which lists what does not fit, nothing is changed.
func (ps *Params) Import(arrays map[string]tensor.Array) error {
	bad := ps.misfits("", arrays)
	for _, b := range ps.buffers {
		bad.check(arrays, b.Name, b.Shape)
	}
	if err := bad.join(); err != nil {
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

// ExportBlock returns the parts of another block of the same layout, such as a
// moment of the optimiser, by prefix + parameter name.
func (ps *Params) ExportBlock(block engine.Tensor, prefix string) map[string]tensor.Array {
	out := map[string]tensor.Array{}
	for _, p := range ps.params {
		out[prefix+p.Name] = ps.download(ps.view(block, p.offset, p.Shape))
	}
	return out
}

// ImportBlock is the reverse of ExportBlock. On an error, that of Fits, nothing
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

func (ps *Params) download(t engine.Tensor) tensor.Array {
	a := tensor.Array{Shape: t.Shape(), Data: make([]float32, t.Elems())}
	ps.engine.Download(a.Data, t)
	return a
}
