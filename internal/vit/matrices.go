package vit

import "avjepa/internal/engine"

// Matrices returns the weights (out, in) of all blocks' products.
func (m *Encoder) Matrices() []engine.Tensor {
	var all []engine.Tensor
	for _, b := range m.blocks {
		all = append(all, b.Matrices()...)
	}
	return all
}
