package probe

import (
	"avjepa/internal/engine"
	"avjepa/internal/nn"
)

// meanCLS sets y (B, D) to the mean over views lo…hi−1 of cls (V·B, D), whose
// rows are view·B + clip.
func meanCLS(cx *nn.Context, y, cls engine.Tensor, lo, hi int) {
	e, b := cx.Engine, y.Dim(0)
	e.Copy(y, cls.Slice(lo*b, (lo+1)*b))
	for v := lo + 1; v < hi; v++ {
		e.AddTo(y, cls.Slice(v*b, (v+1)*b), 1)
	}
	e.Scale(y, 1/float32(hi-lo))
}

// meanTokens sets y (B, hi−lo, D) to the mean over views of their tokens lo…hi−1.
// tokens is (views·B, N, D), its rows view·B + clip.
func meanTokens(cx *nn.Context, y, tokens engine.Tensor, lo, hi int) {
	b, views := y.Dim(0), tokens.Dim(0)/y.Dim(0)
	for clip := range b {
		to := sequence(y, clip)
		cx.Engine.Copy(to, sequence(tokens, clip).Slice(lo, hi))
		for v := 1; v < views; v++ {
			cx.Engine.AddTo(to, sequence(tokens, v*b+clip).Slice(lo, hi), 1)
		}
	}
	if views > 1 {
		cx.Engine.Scale(y, 1/float32(views))
	}
}

// sequence returns view i (N, D) of tokens (views, N, D).
func sequence(tokens engine.Tensor, i int) engine.Tensor {
	return tokens.Slice(i, i+1).Reshape(tokens.Dim(1), tokens.Dim(2))
}
