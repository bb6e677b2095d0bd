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
// are ignored. On an error, which lists everything that does not fit, nothing
// is changed.
func (ps *Params) Import(arrays map[string]tensor.Array) error {
	var errs []error
	check := func(name string, s tensor.Shape) {
		a, ok := arrays[name]
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("nn: %s is missing, %v wanted", name, s))
		case a.Shape != s:
			errs = append(errs, fmt.Errorf("nn: %s is %v, %v wanted", name, a.Shape, s))
		}
	}
	for _, p := range ps.params {
		check(p.Name, p.Shape)
	}
	for _, b := range ps.buffers {
		check(b.Name, b.Shape)
	}
	if errs != nil {
		return errors.Join(errs...)
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

// ExportBlock returns the parts of another block of the same layout, such as a
// moment of the optimiser, by prefix + parameter name.
func (ps *Params) ExportBlock(block engine.Tensor, prefix string) map[string]tensor.Array {
	out := map[string]tensor.Array{}
	for _, p := range ps.params {
		out[prefix+p.Name] = ps.download(ps.view(block, p.offset, p.Shape))
	}
	return out
}

// ImportBlock is the reverse of ExportBlock. On an error nothing is changed.
func (ps *Params) ImportBlock(block engine.Tensor, prefix string,
	arrays map[string]tensor.Array) error {
	for _, p := range ps.params {
		if a, ok := arrays[prefix+p.Name]; !ok || a.Shape != p.Shape {
			return fmt.Errorf("nn: %s%s is missing or not %v", prefix, p.Name, p.Shape)
		}
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
