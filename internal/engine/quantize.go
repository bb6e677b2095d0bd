package engine

// Quantizer is what an Engine may also be: one that multiplies by weights in
// signed bytes, which is faster and less exact. It serves embeddings; a model
// that trains is never quantised.
type Quantizer interface {
	// QuantizeWeights makes Linear multiply by 8-bit copies of the given matrices
	// (out, in) from now on, wherever its W is one of them and Pre is nil. Values
	// written to a matrix later are not seen, until it is given again. The copies
	// are freed with the matrix's buffer.
	//
	// It returns an error, and changes nothing, when this machine has no fast
	// 8-bit product.
	QuantizeWeights(ws ...Tensor) error
}

// CheckQuantize panics unless w is a contiguous matrix of type F32.
func CheckQuantize(w Tensor) {
	o := op("QuantizeWeights")
	o.float32s("W", w)
	o.rank("W", w, 2)
}
