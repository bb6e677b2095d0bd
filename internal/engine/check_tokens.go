package engine

import "avjepa/internal/tensor"

// heads requires rank 3 and a width that the number of heads divides.
func (o op) heads(name string, t Tensor, heads int) {
	o.strided(name, t)
	o.rank(name, t, 3)
	if heads < 1 || t.Cols()%heads != 0 {
		o.fail("%s is %v: %d heads do not divide its width", name, t.shape, heads)
	}
}

// queriesAndKeys requires (B, Nq, D) and (B, Nk, D) of one type, and one key or
// more.
func (o op) queriesAndKeys(q, k Tensor, heads int) {
	o.heads("Q", q, heads)
	o.heads("K", k, heads)
	o.sameType("K", k, "Q", q)
	o.agree(q.Dim(0), k.Dim(0), "Q", q, "K", k, "batches")
	o.agree(q.Cols(), k.Cols(), "Q", q, "K", k, "widths")
	if k.Dim(1) < 1 {
		o.fail("K is %v: want one key or more", k.shape)
	}
}

// Check panics unless the operands fit.
func (a AttentionArgs) Check() {
	o := op("Attention")
	o.queriesAndKeys(a.Q, a.K, a.Heads)
	o.heads("V", a.V, a.Heads)
	o.heads("Out", a.Out, a.Heads)
	o.sameType("V", a.V, "Q", a.Q)
	o.sameType("Out", a.Out, "Q", a.Q)
	o.sameShape("V", a.V, "K", a.K)
	o.sameShape("Out", a.Out, "Q", a.Q)
	o.vectorOrNil("LSE", a.LSE, a.Q.Rows()*a.Heads, "Q", a.Q)
	o.mask(a.Drop, a.Q)
	o.apart("Out", a.Out, "LSE", a.LSE)
	for _, out := range [...]Tensor{a.Out, a.LSE} {
		o.apart("output", out, "Q", a.Q)
		o.apart("output", out, "K", a.K)
		o.apart("output", out, "V", a.V)
	}
}

// Check panics unless the operands fit.
func (a AttentionBackwardArgs) Check() {
	o := op("AttentionBackward")
	o.queriesAndKeys(a.Q, a.K, a.Heads)
	for i, t := range [...]Tensor{a.V, a.DQ, a.DK, a.DV, a.DOut, a.Out} {
		name := [...]string{"V", "DQ", "DK", "DV", "DOut", "Out"}[i]
		o.heads(name, t, a.Heads)
		o.sameType(name, t, "Q", a.Q)
	}
	o.sameShape("V", a.V, "K", a.K)
	o.sameShape("DQ", a.DQ, "Q", a.Q)
	o.sameShape("DK", a.DK, "K", a.K)
	o.sameShape("DV", a.DV, "V", a.V)
	o.sameShape("DOut", a.DOut, "Q", a.Q)
	o.sameShape("Out", a.Out, "Q", a.Q)
	o.vector("LSE", a.LSE, a.Q.Rows()*a.Heads, "Q", a.Q)
	o.vector("Delta", a.Delta, a.Q.Rows()*a.Heads, "Q", a.Q)
	o.mask(a.Drop, a.Q)
	o.apart("DQ", a.DQ, "DK", a.DK)
	o.apart("DQ", a.DQ, "DV", a.DV)
	o.apart("DK", a.DK, "DV", a.DV)
	for _, out := range [...]Tensor{a.DQ, a.DK, a.DV, a.Delta} {
		o.apart("output", out, "Q", a.Q)
		o.apart("output", out, "K", a.K)
		o.apart("output", out, "V", a.V)
		o.apart("output", out, "Out", a.Out)
		o.apart("output", out, "DOut", a.DOut)
		o.apart("output", out, "LSE", a.LSE)
	}
	for _, out := range [...]Tensor{a.DQ, a.DK, a.DV} {
		o.apart("output", out, "Delta", a.Delta)
	}
}

// CheckAttentionWeights panics unless w is (B, A, Nq, Nk).
func CheckAttentionWeights(w, q, k Tensor, heads int) {
	o := op("AttentionWeights")
	o.queriesAndKeys(q, k, heads)
	o.float32s("w", w)
	if w.shape != tensor.Of(q.Dim(0), heads, q.Dim(1), k.Dim(1)) {
		o.fail("w is %v but q is %v and k is %v with %d heads", w.shape, q.shape, k.shape, heads)
	}
	o.apart("w", w, "q", q)
	o.apart("w", w, "k", k)
}

// Check panics unless the operands fit.
func (a PatchifyVideoArgs) Check() {
	o := op("PatchifyVideo")
	o.dense("Y", a.Y)
	if a.X.Nil() {
		o.fail("X is missing")
	}
	if a.X.DType() == BF16 {
		o.fail("X is %v, want u8 or f32", a.X)
	}
	o.contiguous("X", a.X)
	o.rank("X", a.X, 5)
	if a.PatchT < 1 || a.P < 1 {
		o.fail("tubelets of %d frames × %d×%d pixels", a.PatchT, a.P, a.P)
	}
	b, c, t, h, w := a.Dims()
	if t%a.PatchT != 0 || h%a.P != 0 || w%a.P != 0 {
		o.fail("X is %v: tubelets of %d×%d×%d do not fit", a.X.shape, a.PatchT, a.P, a.P)
	}
	if a.X.DType() == U8 && c != len(a.Mean) {
		o.fail("X is %v: want %d channels", a.X.shape, len(a.Mean))
	}
	rows, cols := b*(t/a.PatchT)*(h/a.P)*(w/a.P), c*a.PatchT*a.P*a.P
	if a.Y.Rows() != rows || a.Y.Cols() != cols {
		o.fail("Y is %v but X is %v: want %d×%d", a.Y.shape, a.X.shape, rows, cols)
	}
	o.apart("Y", a.Y, "X", a.X)
}

// Dims returns clips, channels, frames, height and width of X, whose order of
// dimensions depends on its type.
func (a PatchifyVideoArgs) Dims() (b, c, t, h, w int) {
	x := a.X.shape
	if a.X.DType() == U8 {
		return x.Dim(0), x.Dim(4), x.Dim(1), x.Dim(2), x.Dim(3)
	}
	return x.Dim(0), x.Dim(1), x.Dim(2), x.Dim(3), x.Dim(4)
}

// Check panics unless the operands fit.
func (a PatchifyAudioArgs) Check() {
	o := op("PatchifyAudio")
	o.dense("Y", a.Y)
	o.float32s("X", a.X)
	o.rank("X", a.X, 3)
	if a.PF < 1 || a.PT < 1 || a.X.Dim(1)%a.PF != 0 {
		o.fail("X is %v: patches of %d bands × %d frames do not fit", a.X.shape, a.PF, a.PT)
	}
	rows := a.X.Dim(0) * (a.X.Dim(1) / a.PF) * (a.X.Dim(2) / a.PT)
	if a.Y.Rows() != rows || a.Y.Cols() != a.PF*a.PT {
		o.fail("Y is %v but X is %v: want %d×%d", a.Y.shape, a.X.shape, rows, a.PF*a.PT)
	}
	o.apart("Y", a.Y, "X", a.X)
}

// modality is one half of the operands of AssembleTokens or its backward.
type modality struct {
	op                         op // "AssembleTokens: Video", for messages
	tokens, bias, kind, p1, p2 Tensor
	drop                       bool
}

// check returns the number of tokens the modality has in y. All its operands
// nil means that the model does not have it.
func (m modality) check(y Tensor) int {
	o := m.op
	if m.bias.Nil() && m.p1.Nil() && m.p2.Nil() && m.kind.Nil() && m.tokens.Nil() {
		return 0
	}
	d := y.Cols()
	o.vector("bias", m.bias, d, "Y", y)
	o.vectorOrNil("type", m.kind, d, "Y", y)
	o.float32s("first position", m.p1)
	o.float32s("second position", m.p2)
	o.agree(m.p1.Cols(), d, "first position", m.p1, "Y", y, "widths")
	o.agree(m.p2.Cols(), d, "second position", m.p2, "Y", y, "widths")
	n := m.p1.Rows() * m.p2.Rows()
	if m.tokens.Nil() {
		if m.drop {
			return 0
		}
		return n
	}
	o.dense("tokens", m.tokens)
	o.agree(m.tokens.Rows(), y.Dim(0)*n, "tokens", m.tokens, "Y", y, "numbers of tokens")
	o.agree(m.tokens.Cols(), d, "tokens", m.tokens, "Y", y, "widths")
	return n
}

// checkAssembly checks both modalities against y, which is Y or DY.
func (o op) checkAssembly(y, cls Tensor, video, audio modality) {
	o.float32s("Y", y)
	o.rank("Y", y, 3)
	o.vector("CLS", cls, y.Cols(), "Y", y)
	n := 1 + video.check(y) + audio.check(y)
	if y.Dim(1) != n {
		o.fail("Y is %v: want %d tokens", y.shape, n)
	}
	if !video.bias.Nil() && !audio.bias.Nil() && video.kind.Nil() != audio.kind.Nil() {
		o.fail("VideoType is %v but AudioType is %v: give both or none", video.kind, audio.kind)
	}
}

// Check panics unless the operands fit.
func (a AssembleArgs) Check() {
	o := op("AssembleTokens")
	v := modality{"AssembleTokens: Video",
		a.Video, a.VideoBias, a.VideoType, a.VideoTime, a.VideoSpace, a.Drop}
	s := modality{"AssembleTokens: Audio",
		a.Audio, a.AudioBias, a.AudioType, a.AudioFreq, a.AudioTime, a.Drop}
	o.checkAssembly(a.Y, a.CLS, v, s)
	o.apart("Y", a.Y, "CLS", a.CLS)
	for _, m := range [...]modality{v, s} {
		m.op.apart("Y", a.Y, "tokens", m.tokens)
		m.op.apart("Y", a.Y, "bias", m.bias)
		m.op.apart("Y", a.Y, "type", m.kind)
		m.op.apart("Y", a.Y, "first position", m.p1)
		m.op.apart("Y", a.Y, "second position", m.p2)
	}
}

// Check panics unless the operands fit.
func (a AssembleBackwardArgs) Check() {
	o := op("AssembleTokensBackward")
	v := modality{"AssembleTokensBackward: Video",
		a.DVideo, a.DVideoBias, a.DVideoType, a.DVideoTime, a.DVideoSpace, a.Drop}
	s := modality{"AssembleTokensBackward: Audio",
		a.DAudio, a.DAudioBias, a.DAudioType, a.DAudioFreq, a.DAudioTime, a.Drop}
	o.checkAssembly(a.DY, a.DCLS, v, s)
	outs := [...]Tensor{a.DY, a.DCLS, v.tokens, v.bias, v.kind, v.p1, v.p2,
		s.tokens, s.bias, s.kind, s.p1, s.p2}
	for i := range outs {
		for j := range i {
			o.apart("output", outs[i], "operand", outs[j])
		}
	}
}
