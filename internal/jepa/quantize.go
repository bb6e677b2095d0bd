package jepa

import (
	"errors"
	"fmt"

	"avjepa/internal/engine"
)

// Quantize makes Embed multiply by 8-bit copies of the blocks' present weights,
// and by activations put in bytes row by row: faster, and not quite the same
// embeddings. The patch embedding, the attention's own products, the norms and
// the projector stay in 32-bit floats. It returns an error when the model can
// train or the engine or the machine has no 8-bit products.
func (m *Model) Quantize() error {
	if m.batch > 0 {
		return errors.New("jepa: a model that trains cannot be quantised")
	}
	q, ok := m.engine.(engine.Quantizer)
	if !ok {
		return fmt.Errorf("jepa: engine %s has no 8-bit products", m.engine.Info().Name)
	}
	var all []engine.Tensor
	for _, t := range m.Towers {
		all = append(all, t.Encoder.Matrices()...)
	}
	return q.QuantizeWeights(all...)
}
