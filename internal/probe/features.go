package probe

import (
	"avjepa/internal/engine"
	"avjepa/internal/jepa"
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

// patches returns how many patches a view has.
func patches(all []jepa.Tokens) int {
	n := 0
	for _, t := range all {
		n += t.Hi - t.Lo
	}
	return n
}

// meanTokens sets y (B, N, D), N patches(all), to the mean over views of their
// patches, of one sequence after the other. Rows of a sequence's views are view·B +
// clip.
func meanTokens(cx *nn.Context, y engine.Tensor, all []jepa.Tokens) {
	at, b, views := 0, y.Dim(0), all[0].All.Dim(0)/y.Dim(0)
	for _, t := range all {
		n := t.Hi - t.Lo
		for clip := range b {
			to := sequence(y, clip).Slice(at, at+n)
			cx.Engine.Copy(to, sequence(t.All, clip).Slice(t.Lo, t.Hi))
			for v := 1; v < views; v++ {
				cx.Engine.AddTo(to, sequence(t.All, v*b+clip).Slice(t.Lo, t.Hi), 1)
			}
		}
		at += n
	}
	if views > 1 {
		cx.Engine.Scale(y, 1/float32(views))
	}
}

// sequence returns view i (N, D) of tokens (views, N, D).
func sequence(tokens engine.Tensor, i int) engine.Tensor {
	return tokens.Slice(i, i+1).Reshape(tokens.Dim(1), tokens.Dim(2))
}
