package ref

import (
	"avjepa/internal/engine"
	"avjepa/internal/tensor"
)

// tensorOf returns a new zeroed tensor with a buffer of its own.
func tensorOf(e *Engine, dims ...int) engine.Tensor {
	s := tensor.Of(dims...)
	buf, err := e.NewBuffer(engine.F32, s.Elems())
	if err != nil {
		panic(err)
	}
	return engine.NewTensor(buf, 0, s)
}
