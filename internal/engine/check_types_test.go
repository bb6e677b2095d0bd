package engine

import (
	"testing"

	"avjepa/internal/rng"
)

// TestCheckTypes: an operand that must be F32 is refused otherwise by name, and so
// are attention's of two types and BF16 frames.
func TestCheckTypes(t *testing.T) {
	c := NewCounting()
	f := func(dims ...int) Tensor { return counted(c, F32, dims...) }
	h := func(dims ...int) Tensor { return counted(c, BF16, dims...) }
	x, y, w, dw := h(8, 16), h(8, 4), f(4, 16), f(4, 16)
	attention := func() AttentionArgs {
		return AttentionArgs{Out: h(2, 3, 4), LSE: f(2, 2, 3), Q: h(2, 3, 4), K: h(2, 3, 4),
			V: h(2, 3, 4), Heads: 2}
	}
	for want, call := range map[string]func(){
		"Linear: W is bf16 4×16, want f32": func() { c.Linear(LinearArgs{Y: y, X: x, W: h(4, 16)}) },
		"Linear: Bias is bf16 4, want f32": func() {
			c.Linear(LinearArgs{Y: y, X: x, W: w, Bias: h(4)})
		},
		"LinearInput: W is bf16 4×16, want f32": func() {
			c.LinearInput(LinearInputArgs{DX: x, DY: y, W: h(4, 16)})
		},
		"LinearWeight: DW is bf16 4×16, want f32": func() {
			c.LinearWeight(LinearWeightArgs{DW: h(4, 16), DY: y, X: x})
		},
		"LinearWeight: DBias is bf16 4, want f32": func() {
			c.LinearWeight(LinearWeightArgs{DW: dw, DBias: h(4), DY: y, X: x})
		},
		"LayerNorm: Gain is bf16 16, want f32": func() {
			c.LayerNorm(LayerNormArgs{Y: x, X: x, Gain: h(16), Bias: f(16)})
		},
		"LayerNorm: RStd is bf16 8, want f32": func() {
			c.LayerNorm(LayerNormArgs{Y: x, X: x, Mean: f(8), RStd: h(8), Gain: f(16), Bias: f(16)})
		},
		"LayerNormBackward: DGain is bf16 16, want f32": func() {
			c.LayerNormBackward(LayerNormBackwardArgs{DX: x, DY: x, X: h(8, 16), Mean: f(8),
				RStd: f(8), Gain: f(16), DGain: h(16), DBias: f(16)})
		},
		"BatchNorm: X is bf16 8×16, want f32": func() { c.BatchNorm(BatchNormArgs{X: x, Y: f(8, 16)}) },
		"BatchNormBackward: DY is bf16 8×16, want f32": func() {
			c.BatchNormBackward(BatchNormBackwardArgs{DX: f(8, 16), DY: x, X: f(8, 16)})
		},
		"Attention: K is bf16 2×3×4 but Q is f32 2×3×4: types differ": func() {
			a := attention()
			a.Q = f(2, 3, 4)
			c.Attention(a)
		},
		"Attention: Out is f32 2×3×4 but Q is bf16 2×3×4: types differ": func() {
			a := attention()
			a.Out = f(2, 3, 4)
			c.Attention(a)
		},
		"Attention: LSE is bf16 2×2×3, want f32": func() {
			a := attention()
			a.LSE = h(2, 2, 3)
			c.Attention(a)
		},
		"AttentionBackward: DV is f32 2×3×4 but Q is bf16 2×3×4: types differ": func() {
			a := attention()
			c.AttentionBackward(AttentionBackwardArgs{DQ: h(2, 3, 4), DK: h(2, 3, 4), DV: f(2, 3, 4),
				DOut: h(2, 3, 4), Out: a.Out, LSE: a.LSE, Delta: f(2, 2, 3), Q: a.Q, K: a.K, V: a.V,
				Heads: 2})
		},
		"AttentionBackward: Delta is bf16 2×2×3, want f32": func() {
			a := attention()
			c.AttentionBackward(AttentionBackwardArgs{DQ: h(2, 3, 4), DK: h(2, 3, 4), DV: h(2, 3, 4),
				DOut: h(2, 3, 4), Out: a.Out, LSE: a.LSE, Delta: h(2, 2, 3), Q: a.Q, K: a.K, V: a.V,
				Heads: 2})
		},
		"AttentionWeights: w is bf16 2×2×3×3, want f32": func() {
			a := attention()
			c.AttentionWeights(h(2, 2, 3, 3), a.Q, a.K, 2)
		},
		"PatchifyVideo: X is bf16 1×3×1×2×2, want u8 or f32": func() {
			c.PatchifyVideo(PatchifyVideoArgs{Y: h(1, 12), X: h(1, 3, 1, 2, 2), PatchT: 1, P: 2})
		},
		"PatchifyVideo: Y is u8 1×12, want f32 or bf16": func() {
			c.PatchifyVideo(PatchifyVideoArgs{Y: counted(c, U8, 1, 12), X: f(1, 3, 1, 2, 2),
				PatchT: 1, P: 2})
		},
		"PatchifyAudio: X is bf16 1×2×2, want f32": func() {
			c.PatchifyAudio(PatchifyAudioArgs{Y: h(1, 4), X: h(1, 2, 2), PF: 2, PT: 2})
		},
		"AssembleTokens: Y is bf16 2×7×4, want f32": func() {
			c.AssembleTokens(AssembleArgs{Y: h(2, 7, 4), CLS: f(4)})
		},
		"AssembleTokens: Video: bias is bf16 4, want f32": func() {
			c.AssembleTokens(AssembleArgs{Y: f(2, 7, 4), CLS: f(4), Video: h(12, 4),
				VideoBias: h(4), VideoTime: f(2, 4), VideoSpace: f(3, 4)})
		},
		"AssembleTokens: Video: second position is bf16 3×4, want f32": func() {
			c.AssembleTokens(AssembleArgs{Y: f(2, 7, 4), CLS: f(4), Video: h(12, 4),
				VideoBias: f(4), VideoTime: f(2, 4), VideoSpace: h(3, 4)})
		},
		"Cast: src is u8 8×16, want f32 or bf16":                   func() { c.Cast(x, counted(c, U8, 8, 16)) },
		"Copy: dst is f32 8×16 but src is bf16 8×16: types differ": func() { c.Copy(f(8, 16), x) },
		"Fill: dst is bf16 8×16, want f32":                         func() { c.Fill(x, 1) },
		"Scale: x is bf16 8×16, want f32":                          func() { c.Scale(x, 1) },
		"Upload: dst is bf16 4, want f32":                          func() { c.Upload(h(4), make([]float32, 4)) },
		"Download: src is bf16 4, want f32":                        func() { c.Download(make([]float32, 4), h(4)) },
		"UploadBytes: dst is bf16 4, want u8":                      func() { c.UploadBytes(h(4), make([]byte, 4)) },
		"ColumnStats: x is bf16 8×16, want f32":                    func() { c.ColumnStats(f(16), f(16), x) },
		"Center: Z is bf16 2×3×4, want f32":                        func() { c.Center(f(3, 4), h(2, 3, 4), 1) },
		"SquaredNorm: x is bf16 8×16, want f32":                    func() { c.SquaredNorm(f(1), x) },
		"ClipScale: sq is bf16 1, want f32":                        func() { c.ClipScale(f(1), h(1), 1) },
		"AdamW: M is bf16 3, want f32": func() {
			c.AdamW(AdamWArgs{Param: f(3), Grad: f(3), M: h(3), V: f(3), Step: 1})
		},
		"CrossEntropy: Logits is bf16 2×3, want f32": func() {
			c.CrossEntropy(CrossEntropyArgs{Loss: f(1), Logits: h(2, 3), Labels: f(2)})
		},
		"ECF: P is bf16 2×3×4, want f32": func() {
			c.ECF(ECFArgs{P: h(2, 3, 4), E: f(2, 4, 17, 2), Knots: Knots{5, 17, false}})
		},
	} {
		if got := panicOf(call); got != "engine: "+want {
			t.Errorf("panic %q, want %q", got, "engine: "+want)
		}
	}
}

// TestCheckMixes: what may be BF16 may be so by itself.
func TestCheckMixes(t *testing.T) {
	c := NewCounting()
	f := func(dims ...int) Tensor { return counted(c, F32, dims...) }
	for mix := range 1 << 4 {
		of := func(bit int, dims ...int) Tensor { return counted(c, DType(mix>>bit&1), dims...) }
		c.Linear(LinearArgs{X: of(0, 8, 16), Y: of(1, 8, 4), W: f(4, 16), Bias: f(4),
			Residual: of(2, 8, 4), Pre: of(3, 8, 4), GELU: true})
		c.LinearInput(LinearInputArgs{DX: of(0, 8, 16), DY: of(1, 8, 4), W: f(4, 16),
			Pre: of(2, 8, 16), Act: of(3, 8, 16)})
		c.LinearWeight(LinearWeightArgs{DW: f(4, 16), DBias: f(4), DY: of(0, 8, 4), X: of(1, 8, 16)})
		c.LayerNorm(LayerNormArgs{X: of(0, 8, 16), Y: of(1, 8, 16), Mean: f(8), RStd: f(8),
			Gain: f(16), Bias: f(16)})
		c.LayerNormBackward(LayerNormBackwardArgs{DX: of(0, 8, 16), DY: of(1, 8, 16),
			X: of(2, 8, 16), Mean: f(8), RStd: f(8), Gain: f(16), DGain: f(16), DBias: f(16)})
		c.GELU(of(0, 7), of(1, 7))
		c.GELUBackward(of(0, 7), of(1, 7), of(2, 7))
		c.Dropout(of(0, 7), of(1, 7), rng.Mask{})
		c.AddTo(of(0, 7), of(1, 7), 1)
		c.Cast(of(0, 7), of(1, 7))
		c.PatchifyVideo(PatchifyVideoArgs{Y: of(0, 1, 12), X: f(1, 3, 1, 2, 2), PatchT: 1, P: 2})
		c.PatchifyAudio(PatchifyAudioArgs{Y: of(0, 1, 4), X: f(1, 2, 2), PF: 2, PT: 2})
		c.AssembleTokens(AssembleArgs{Y: f(2, 13, 4), CLS: f(4), Video: of(0, 12, 4),
			VideoBias: f(4), VideoTime: f(2, 4), VideoSpace: f(3, 4), Audio: of(1, 12, 4),
			AudioBias: f(4), AudioFreq: f(2, 4), AudioTime: f(3, 4)})
		q := of(0, 2, 3, 4)
		c.Attention(AttentionArgs{Out: of(0, 2, 3, 4), LSE: f(2, 2, 3), Q: q, K: q, V: q, Heads: 2})
		c.AttentionWeights(f(2, 2, 3, 3), q, q, 2)
	}
	x := counted(c, BF16, 7)
	c.Copy(counted(c, BF16, 7), x)
}
