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
//   - Operands are F32 unless the comment or the rules for BF16 say otherwise.
//   - Operations are queued in order. Only Download and Sync wait for them.
//   - NaN and Inf in an input reach every output that depends on it.
//   - An Engine is used by one goroutine at a time.
//   - In a steady state no operation allocates on the Go heap; engine/ref, which
//     is for tests, is excused.
//
// # Rules for BF16
//
// An engine whose Info says BF16 takes operands of that type in place of F32, each
// by itself and in any mix, for:
//
//   - the (R, ·) operands of Linear, LinearInput and LinearWeight;
//   - X and Y of LayerNorm, and DX, DY and X of its backward;
//   - GELU, GELUBackward, Dropout, AddTo and Cast; Copy between equal types;
//   - Y of PatchifyVideo and PatchifyAudio, Video and Audio of AssembleTokens, and
//     DVideo and DAudio of its backward;
//   - attention, where Q, K, V, Out and their gradients are all of one type.
//
// All else stays F32: parameters, their gradients, statistics (LSE, Mean, RStd),
// BatchNorm, losses, and the W of AttentionWeights. An operand of another type is a
// mistake like a wrong shape.
//
// By the definition a result is rounded once, when it is stored: to the nearest,
// ties to even, beyond the largest number to an infinity. An engine may besides
// round to BF16, where an operand of the operation is BF16:
//
//   - W and Bias of Linear and LinearInput, and the product before it is added to a
//     residual or to what DX, DW or DBias hold;
//   - in Attention and its backward the probabilities and the gradients of scores;
//     not the scores, of which exponentials are taken.
//
// What is added to is never rounded but by being stored, and sums are accumulated
// in F32 at least: so an F32 residual stream or gradient keeps its digits.
//
// Size letters: B batch, V views, N tokens, D width, A heads, R rows, C columns,
// K projection, M directions, Q knots, F mel bands, T frames, H W pixels.
package engine
