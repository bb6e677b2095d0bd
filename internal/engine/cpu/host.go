package cpu

import "avjepa/internal/engine"

var _ engine.HostMemory = (*Engine)(nil)

// HostFloats returns the elements of t, which must be contiguous.
func (e *Engine) HostFloats(t engine.Tensor) []float32 {
	engine.CheckDenseFloats("HostFloats", t)
	return vec(t)
}
