package explain

import (
	"avjepa/internal/encoder"
	"avjepa/internal/jepa"
)

// CrossAttention returns the attention of a window that has sound and picture. It
// encodes the window once (x is for one goroutine at a time) and works on the host
// after that: in all 33 ms of the demo's model on two busy cores; of a base model at the
// paper's geometry the host's part takes 0.4 s of processor time (docs/benchmarks.md).
//
// Errors: jepa.ErrDual for a model with an encoder for each modality, ErrOneModality
// for a window that lacks one, ErrNotFinite, and the engine's.
func CrossAttention(x *encoder.Encoder, w encoder.Window) (*Attention, error) {
	if len(x.Model().Towers) != 1 {
		return nil, jepa.ErrDual
	}
	if !w.Has(encoder.Both) {
		return nil, ErrOneModality
	}
	g, err := x.Group([]encoder.Window{w}, encoder.Both)
	if err != nil {
		return nil, err
	}
	x.Model().Embed(g)
	t, err := x.Model().QueryKey()
	if err != nil {
		return nil, err
	}
	qk := make([]float32, t.Elems())
	x.Engine().Download(qk, t)
	if err := x.Engine().Sync(); err != nil {
		return nil, err
	}
	return Attend(qk, x.Model().Config.Encoder)
}
