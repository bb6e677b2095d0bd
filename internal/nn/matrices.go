package nn

import "avjepa/internal/engine"

// Matrices returns the weights (out, in) of the block's products: of query, key
// and value together, of the attention's output and of the MLP's two layers.
func (b *Block) Matrices() []engine.Tensor {
	return []engine.Tensor{b.qkvW.Value, b.out.W.Value, b.dense1.W.Value, b.dense2.W.Value}
}
