package enginetest

import (
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/rng"
)

// testMasks cuts clips 1 and 2 of 4 out of a tensor of 3 views of every clip, and
// the first token out of those: dropout and attention must give what they give
// for the whole.
func testMasks(t *testing.T, e engine.Engine) {
	const views, batch, lo, hi, tokens, d = 3, 4, 1, 3, 5, 8
	m := &memory{t: t, e: e}
	defer func() { m.free() }()
	x := m.in("x", views*batch, tokens, d)
	cut := func(t engine.Tensor) engine.Tensor {
		y := m.scratch("cut", views*(hi-lo), t.Dim(1), t.Dim(2))
		for v := range views {
			e.Copy(y.Slice(v*(hi-lo), (v+1)*(hi-lo)), t.Slice(v*batch+lo, v*batch+hi))
		}
		return y
	}
	first := func(t engine.Tensor) engine.Tensor {
		y := m.scratch("first", t.Dim(0), 1, t.Dim(2))
		e.Copy(y.Reshape(t.Dim(0), t.Dim(2)), t.Token(0))
		return y
	}
	mask := rng.Mask{P: 0.5, Key: rng.NewKey(1, 2, 3)}
	part := mask
	part.Rows = rng.MaskRows{First: lo, Run: hi - lo, Stride: batch}
	same := func(what string, got, want engine.Tensor) {
		t.Helper()
		a, b := make([]float32, got.Elems()), make([]float32, want.Elems())
		e.Download(a, got)
		e.Download(b, want)
		for i := range b {
			// Heads may be dealt in another way, and sums rounded otherwise.
			if diff := float64(a[i] - b[i]); !(diff*diff <= 1e-12) {
				t.Errorf("%s, element %d: %v in a part, %v in the whole", what, i, a[i], b[i])
				return
			}
		}
	}
	whole := m.scratch("whole", views*batch, tokens, d)
	run := func(what string, f func(y, q, k engine.Tensor, mask rng.Mask)) {
		f(whole, x, x, mask)
		xs := cut(x)
		y, one := cut(x), first(xs)
		f(y, xs, xs, part)
		same(what, y, cut(whole))
		cls := part
		cls.Rows.Tokens = tokens
		y = first(xs)
		f(y, one, xs, cls)
		same(what+" of the first token", y, first(cut(whole)))
	}
	run("Dropout", func(y, q, _ engine.Tensor, mask rng.Mask) { e.Dropout(y, q, mask) })
	run("Attention", func(y, q, k engine.Tensor, mask rng.Mask) {
		e.Attention(engine.AttentionArgs{Out: y, Q: q, K: k, V: k, Heads: 2, Drop: mask})
	})
}
