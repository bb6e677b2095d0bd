package jepa

import (
	"errors"
	"fmt"
	"strings"

	"avjepa/internal/nn"
	"avjepa/internal/tensor"
	"avjepa/internal/vit"
)

// Fit says how the values of a checkpoint went into a model of another geometry.
type Fit struct {
	Interpolated []string // tables of positions: "encoder.….video_time_embed 8 to 4 places"
	Left         []string // layers that keep the values they had, and why
}

// Exact reports whether everything went in as it was.
func (f Fit) Exact() bool { return len(f.Interpolated) == 0 && len(f.Left) == 0 }

// ErrUnfit is behind the error for values of a model that differs in more than
// geometry.
var ErrUnfit = errors.New("not the values of such a model")

// ImportFitting sets the values to those of a checkpoint of another model: ImportEncoders
// for the projector too.
func (m *Model) ImportFitting(arrays map[string]tensor.Array) (Fit, error) {
	encoders := make([]*vit.Encoder, len(m.Towers))
	for i, t := range m.Towers {
		encoders[i] = t.Encoder
	}
	return importFitting(m.Params, encoders, []string{"projector"}, arrays)
}

// ImportEncoders sets the values ps of encoders to those of a checkpoint, which may
// see views of another geometry. Blocks, norms, CLS and types must be there in their
// shapes: else the error is ErrUnfit, and nothing is changed. Tables of positions are
// interpolated (vit.Position). A layer that embeds patches, and the projector, keep
// the values they have unless they fit: patches of another size and projections of
// another width have nothing to begin with.
func ImportEncoders(ps *nn.Params, encoders []*vit.Encoder,
	arrays map[string]tensor.Array) (Fit, error) {
	return importFitting(ps, encoders, nil, arrays)
}

// importFitting is ImportEncoders with further layers that may be left as they are.
func importFitting(ps *nn.Params, encoders []*vit.Encoder, optional []string,
	arrays map[string]tensor.Array) (Fit, error) {
	var fit Fit
	values := map[string]tensor.Array{}
	stored := ps.Stored()
	var layers []string
	for _, e := range encoders {
		layers = append(layers, e.Projections()...)
	}
	optional = append(layers, optional...)
	for _, layer := range optional {
		if why := unfit(ps, layer, arrays); why != "" {
			fit.Left = append(fit.Left, layer+": "+why)
			continue
		}
		for _, s := range stored {
			if a, ok := arrays[s.Name]; ok && within(s.Name, layer) {
				values[s.Name] = a
			}
		}
	}
	var errs []error
	for _, p := range ps.List() {
		if belongs(p.Name, optional) {
			continue
		}
		a, ok := arrays[p.Name]
		if !ok {
			errs = append(errs, fmt.Errorf("jepa: %s is missing, %v wanted", p.Name, p.Shape))
			continue
		}
		if a.Shape != p.Shape {
			table, err := interpolate(encoders, p, a, &fit)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			a = table
		}
		values[p.Name] = a
	}
	if len(errs) > 0 {
		return Fit{}, fmt.Errorf("%w: %w", ErrUnfit, firstOf(errs))
	}
	for _, s := range stored { // what stays as it is, read only where there is some
		if _, ok := values[s.Name]; !ok {
			a := tensor.Array{Shape: s.Shape, Data: make([]float32, s.Shape.Elems())}
			s.Read(a.Data)
			values[s.Name] = a
		}
	}
	return fit, ps.Import(values)
}

// interpolate returns what a is as the values of p, which must be positions.
func interpolate(encoders []*vit.Encoder, p *nn.Param, a tensor.Array, fit *Fit) (tensor.Array, error) {
	for _, e := range encoders {
		for _, q := range e.Positions() {
			if q.Param != p {
				continue
			}
			table, what, err := q.Interpolate(a)
			if err == nil {
				fit.Interpolated = append(fit.Interpolated, p.Name+" "+what)
			}
			return table, err
		}
	}
	return a, fmt.Errorf("jepa: %s is %v, %v wanted", p.Name, a.Shape, p.Shape)
}

// unfit returns why a layer's values are not to be taken, "" if they are.
func unfit(ps *nn.Params, layer string, arrays map[string]tensor.Array) string {
	check := func(name string, want tensor.Shape) string {
		switch a, ok := arrays[name]; {
		case !ok:
			return "not in the checkpoint"
		case a.Shape != want:
			return fmt.Sprintf("%v in the checkpoint, %v in the model", a.Shape, want)
		}
		return ""
	}
	for _, p := range ps.List() {
		if within(p.Name, layer) {
			if why := check(p.Name, p.Shape); why != "" {
				return why
			}
		}
	}
	for _, b := range ps.Buffers() {
		if within(b.Name, layer) {
			if why := check(b.Name, b.Shape); why != "" {
				return why
			}
		}
	}
	return ""
}

// within reports whether a parameter is of a layer.
func within(name, layer string) bool { return strings.HasPrefix(name, layer+".") }

func belongs(name string, layers []string) bool {
	for _, l := range layers {
		if within(name, l) {
			return true
		}
	}
	return false
}

// firstOf joins some of many errors: another width changes every array.
func firstOf(errs []error) error {
	const shown = 6
	if n := len(errs); n > shown {
		errs = append(errs[:shown:shown], fmt.Errorf("jepa: %d more do not fit either", n-shown))
	}
	return errors.Join(errs...)
}
