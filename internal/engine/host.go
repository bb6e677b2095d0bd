package engine

// HostMemory is what an Engine may also be: one whose tensors lie in this process's
// memory. A Group sums them where they are, while the engine computes on.
type HostMemory interface {
	// HostFloats returns the elements of t (F32, contiguous), not a copy. They are
	// valid until t's buffer is freed.
	HostFloats(t Tensor) []float32
}

// CheckDenseFloats panics unless x is F32 and contiguous, as the operands of a Group
// must be. The operation is named in the message.
func CheckDenseFloats(operation string, x Tensor) { op(operation).float32s("x", x) }
