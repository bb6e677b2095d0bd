package jepa

import (
	"errors"

	"avjepa/internal/engine"
)

// Features is what the last Step or Embed made of its views, for online probes and
// pictures. Valid until the next Step or Embed.
type Features struct {
	CLS    engine.Tensor // (V·B, D), rows as in the batch; of Step alone
	Tokens []Tokens      // of the first group: the globals of a step with KeepTokens
}

// Tokens are output tokens of which some are patches of a modality that is there:
// video before audio, in one sequence or in one each.
type Tokens struct {
	All    engine.Tensor // (views, N, D), CLS first
	Lo, Hi int           // patches are Lo to Hi−1
}

// Features returns those of the last Step or Embed. The slice is the model's own.
// With two towers the CLS of a global view is the mean of both.
func (m *Model) Features() Features {
	f := Features{CLS: m.clipCLS(), Tokens: m.tokens[:0]}
	for i := len(m.Towers) - 1; i >= 0; i-- { // video before audio, as in a sequence of both
		t := m.Towers[i]
		if len(t.groups) == 0 || t.cache.CLSOnly {
			continue
		}
		lo, hi := t.groups[0].Patches(t.Encoder.Config)
		f.Tokens = append(f.Tokens, Tokens{t.cache.Tokens(0), lo, hi})
	}
	m.tokens = f.Tokens
	return f
}

// ErrDual says that a model has an encoder for each modality, so no token of one
// attends to tokens of the other.
var ErrDual = errors.New("jepa: a model with two encoders has no attention between sound and " +
	"picture")

// QueryKey returns query and key of the last block for the views of the last Embed,
// side by side: (views, N, 2D), F32. The tokens are those of Features, CLS first. It
// returns ErrDual for a model with two encoders. Valid until the next Step or Embed.
func (m *Model) QueryKey() (engine.Tensor, error) {
	if len(m.Towers) != 1 {
		return engine.Tensor{}, ErrDual
	}
	t := m.Towers[0]
	return t.Encoder.QueryKey(&m.cx, &t.cache, 0), nil
}

// clipCLS returns the CLS (V·B, D) of the clips' views.
func (m *Model) clipCLS() engine.Tensor {
	if m.joint.Nil() || m.cls.Nil() {
		return m.cls
	}
	m.engine.Fill(m.joint, 0)
	for _, t := range m.Towers {
		from, to := t.first*m.batch, 0
		for _, k := range m.kinds() {
			n := k.views * m.batch
			if t.takes(k) {
				m.engine.AddTo(m.joint.Slice(to, to+n), m.cls.Slice(from, from+n),
					1/float32(m.takers(k)))
				from += n
			}
			to += n
		}
	}
	return m.joint
}

// takers returns how many towers take such views.
func (m *Model) takers(k kind) int {
	n := 0
	for _, t := range m.Towers {
		if t.takes(k) {
			n++
		}
	}
	return n
}
