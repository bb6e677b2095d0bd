package timed

import (
	"fmt"

	"avjepa/internal/engine"
)

var _ engine.Quantizer = (*Engine)(nil)

// QuantizeWeights hands on to an engine that can, and is not measured.
func (e *Engine) QuantizeWeights(ws ...engine.Tensor) error {
	q, ok := e.inner.(engine.Quantizer)
	if !ok {
		return fmt.Errorf("timed: engine %s has no 8-bit products", e.inner.Info().Name)
	}
	return q.QuantizeWeights(ws...)
}
