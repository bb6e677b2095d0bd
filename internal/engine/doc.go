// Package engine is the boundary between the model and the hardware: tensors
// that live in an engine's memory and the operations on them.
//
// Nothing outside an engine can reach an element of a Tensor except by Upload
// and Download, so a layer written against this package runs unchanged on a CPU
// and on a GPU. There is no graph and no autograd: a layer composes these
// operations in its Forward and, in reverse, in its Backward.
//
// # Rules that hold for every operation
//
//   - The operations are defined by package engine/ref, which accumulates in
//     float64; package engine/enginetest holds every engine to it.
//   - A doc comment says for each output whether it is set or added to. An
//     output may not overlap an input unless the comment allows it.
//   - "Strided" operands may have rows further apart than their length (see
//     Tensor.Columns and Tensor.Token); all others must be contiguous.
//   - Shapes are checked by the Check… functions here, which every engine calls
//     first. A mismatch is our own mistake, so it panics with the shapes.
//   - Operands are F32 unless the comment says otherwise. On an engine whose Info
//     says BF16, these may be BF16 as well, each by itself: the (R, ·) operands of
//     the linear operations; X and Y of LayerNorm, DX, DY and X of its backward; the
//     operands of GELU, Dropout, AddTo and Cast; patches and patch products. Q, K,
//     V, Out and their gradients are all of one type. Parameters, their gradients
//     and statistics are F32 always, and sums are accumulated in F32 at least.
//   - Operations are queued in order. Only Download and Sync wait for them.
//   - NaN and Inf in an input reach every output that depends on it.
//   - An Engine is used by one goroutine at a time.
//   - In a steady state no operation allocates on the Go heap; engine/ref, which
//     is for tests, is excused.
//
// Size letters: B batch, V views, N tokens, D width, A heads, R rows, C columns,
// K projection, M directions, Q knots, F mel bands, T frames, H W pixels.
package engine
