package ref

import (
	"math"
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/rng"
	"avjepa/internal/tensor"
)

// of returns a tensor of the given values.
func of(e *Engine, values []float64, dims ...int) engine.Tensor {
	t := tensorOf(e, dims...)
	e.UploadFloat64(t, values)
	return t
}

// want compares a tensor with values worked out by hand.
func want(t *testing.T, e *Engine, name string, x engine.Tensor, values ...float64) {
	t.Helper()
	for i, v := range e.load(x) {
		if !(math.Abs(v-values[i]) <= 1e-9*(1+math.Abs(values[i]))) {
			t.Errorf("%s[%d] is %.12g, want %.12g", name, i, v, values[i])
		}
	}
}

// TestMemoryIsScrambled shows that what lies in a block is not what was put in.
func TestMemoryIsScrambled(t *testing.T) {
	e := New()
	x := of(e, []float64{1, 2}, 2)
	for i, w := range e.block(x).words {
		if w == math.Float64bits(float64(i+1)) {
			t.Errorf("word %d lies there as it is", i)
		}
	}
	want(t, e, "x", x, 1, 2)
	x.Buffer().Free()
	defer func() {
		if recover() == nil {
			t.Error("a freed buffer can still be read")
		}
	}()
	e.load(x)
}

func TestGELUValues(t *testing.T) {
	e := New()
	x := of(e, []float64{0, 1, -1, 3, math.Inf(1), math.Inf(-1)}, 6)
	y := tensorOf(e, 6)
	e.GELU(y, x)
	want(t, e, "gelu", y.Slice(0, 4), 0, 0.841344746068543, -0.158655253931457, 2.995950305881095)
	if v := e.load(y); !math.IsInf(v[4], 1) || v[5] != 0 {
		t.Errorf("gelu of ±Inf is %v, %v, want +Inf, 0", v[4], v[5])
	}
}

func TestNormValues(t *testing.T) {
	e := New()
	x := of(e, []float64{1, 3, 5, 11}, 2, 2)
	gain, bias := of(e, []float64{2, 1}, 2), of(e, []float64{0.5, 0}, 2)
	y, mean, rstd := tensorOf(e, 2, 2), tensorOf(e, 2), tensorOf(e, 2)
	e.LayerNorm(engine.LayerNormArgs{Y: y, Mean: mean, RStd: rstd, X: x, Gain: gain, Bias: bias,
		Eps: 3}) // rows: mean 2 and 8, variance 1 and 9
	want(t, e, "mean", mean, 2, 8)
	want(t, e, "rstd", rstd, 0.5, 1/math.Sqrt(12))
	want(t, e, "y", y, -0.5, 0.5, 0.5-6/math.Sqrt(12), 3/math.Sqrt(12))

	runMean, runVar := of(e, []float64{1, 1}, 2), of(e, []float64{1, 1}, 2)
	a := engine.BatchNormArgs{Y: y, Mean: mean, RStd: rstd, X: x, Gain: gain, Bias: bias,
		RunMean: runMean, RunVar: runVar, Eps: 0, Momentum: 0.25, Train: true}
	e.BatchNorm(a) // columns: mean 3 and 7, variance 4 and 16, unbiased 8 and 32
	want(t, e, "y", y, -1.5, -1, 2.5, 1)
	want(t, e, "running mean", runMean, 1.5, 2.5)
	want(t, e, "running variance", runVar, 2.75, 8.75)
	a.Train, a.Mean, a.RStd = false, engine.Tensor{}, engine.Tensor{}
	e.BatchNorm(a)
	want(t, e, "y", y.Slice(0, 1), 2*(1-1.5)/math.Sqrt(2.75)+0.5, (3-2.5)/math.Sqrt(8.75))

	e.ColumnStats(mean, rstd, x)
	want(t, e, "column mean", mean, 3, 7)
	want(t, e, "column std", rstd, math.Sqrt(8), math.Sqrt(32))
}

func TestAttentionValues(t *testing.T) {
	e := New()
	ln := math.Log
	// One head of width 4, so scores are halved: 2·ln 3 / 2 = ln 3 against 0.
	q := of(e, []float64{2 * ln(3), 0, 0, 0}, 1, 1, 4)
	k := of(e, []float64{1, 0, 0, 0, 0, 1, 0, 0}, 1, 2, 4)
	v := of(e, []float64{4, 0, 0, 8, 0, 4, 0, 8}, 1, 2, 4)
	out, lse, w := tensorOf(e, 1, 1, 4), tensorOf(e, 1, 1, 1), tensorOf(e, 1, 1, 1, 2)
	e.Attention(engine.AttentionArgs{Out: out, LSE: lse, Q: q, K: k, V: v, Heads: 1})
	want(t, e, "out", out, 3, 1, 0, 8)
	want(t, e, "lse", lse, ln(4))
	e.AttentionWeights(w, q, k, 1)
	want(t, e, "weights", w, 0.75, 0.25)
}

func TestDropoutValues(t *testing.T) {
	e := New()
	const rows, cols, p = 200, 50, 0.2
	x, key := tensorOf(e, rows, cols), rng.NewKey(1, 2, 3)
	e.Fill(x, 4)
	e.Dropout(x, x, rng.Mask{P: p, Key: key})
	kept := 0
	for i, v := range e.load(x) {
		k0, k1 := key.Row(i / cols)
		keep := rng.RowBits(k0, k1, uint32(i%cols)) >= rng.Threshold(p)
		if keep {
			kept++
		}
		if expected := map[bool]float64{true: 5, false: 0}[keep]; v != expected {
			t.Fatalf("element %d is %v, want %v", i, v, expected)
		}
	}
	if share := float64(kept) / (rows * cols); !(math.Abs(share-0.8) < 0.02) {
		t.Errorf("kept %.3f of the elements, want 0.8", share)
	}
}

// TestPatchifyValues numbers pixels by their coordinates and reads these back
// from the tokens.
func TestPatchifyValues(t *testing.T) {
	e := New()
	const b, c, frames, h, w, pt, p = 2, 3, 4, 4, 6, 2, 2
	buf, err := e.NewBuffer(engine.U8, b*frames*h*w*c)
	if err != nil {
		t.Fatal(err)
	}
	u8 := engine.NewTensor(buf, 0, tensor.Of(b, frames, h, w, c))
	f32 := tensorOf(e, b, c, frames, h, w)
	bytes, floats := make([]byte, u8.Elems()), make([]float64, f32.Elems())
	code := func(bi, ci, ti, hi, wi int) int { return ((((bi*c+ci)*frames+ti)*h+hi)*w + wi) % 251 }
	y := tensorOf(e, b*2*2*3, c*pt*p*p)
	expected := make([]float64, y.Elems())
	for i := range floats {
		wi, hi, ti, ci, bi := i%w, i/w%h, i/(w*h)%frames, i/(w*h*frames)%c, i/(w*h*frames*c)
		v := code(bi, ci, ti, hi, wi)
		floats[i] = float64(v)
		bytes[(((bi*frames+ti)*h+hi)*w+wi)*c+ci] = byte(v)
		token := ((bi*2+ti/pt)*2+hi/p)*3 + wi/p
		expected[token*c*pt*p*p+((ci*pt+ti%pt)*p+hi%p)*p+wi%p] = float64(v)
	}
	e.UploadFloat64(f32, floats)
	e.UploadBytes(u8, bytes)
	a := engine.PatchifyVideoArgs{Y: y, X: f32, PatchT: pt, P: p}
	e.PatchifyVideo(a)
	want(t, e, "tokens of floats", y, expected...)
	a.X, a.Mean, a.Std = u8, [3]float32{0.5, 0.25, 0}, [3]float32{0.5, 0.25, 1}
	e.PatchifyVideo(a)
	for i, v := range expected {
		ch := i / (pt * p * p) % c
		expected[i] = (v/255 - float64(a.Mean[ch])) / float64(a.Std[ch])
	}
	want(t, e, "tokens of bytes", y, expected...)

	mel := tensorOf(e, 2, 4, 7) // two bands × three frames; the last frame is unused
	melValues, patches := make([]float64, 56), make([]float64, 48)
	for i := range melValues {
		melValues[i] = float64(i)
		if bi, f, s := i/28, i/7%4, i%7; s < 6 {
			patches[((bi*2+f/2)*2+s/3)*6+f%2*3+s%3] = float64(i)
		}
	}
	e.UploadFloat64(mel, melValues)
	audio := tensorOf(e, 8, 6)
	e.PatchifyAudio(engine.PatchifyAudioArgs{Y: audio, X: mel, PF: 2, PT: 3})
	want(t, e, "audio patches", audio, patches...)
}

// TestAssembleValues gives every operand a decimal place of its own.
func TestAssembleValues(t *testing.T) {
	e := New()
	a := engine.AssembleArgs{CLS: of(e, []float64{7}, 1),
		Video: of(e, []float64{1, 2}, 2, 1), VideoBias: of(e, []float64{10}, 1),
		VideoTime: of(e, []float64{100, 200}, 2, 1), VideoSpace: of(e, []float64{1000}, 1, 1),
		VideoType: of(e, []float64{10000}, 1), AudioBias: of(e, []float64{20}, 1),
		AudioFreq: of(e, []float64{300, 400}, 2, 1), AudioTime: of(e, []float64{3000, 4000}, 2, 1),
		AudioType: of(e, []float64{30000}, 1), Y: tensorOf(e, 1, 7, 1)}
	e.AssembleTokens(a)
	want(t, e, "tokens", a.Y, 7, 11111, 11212, 33320, 34320, 33420, 34420)
	a.Y, a.Drop = tensorOf(e, 1, 3, 1), true
	e.AssembleTokens(a)
	want(t, e, "tokens without audio", a.Y, 7, 11111, 11212)
}

func TestObjectiveValues(t *testing.T) {
	e := New()
	// Views 0 and 2 of one clip in two dimensions, then a third view.
	z := of(e, []float64{0, 0, 2, 4, 4, 0}, 3, 1, 2)
	c, loss := tensorOf(e, 1, 2), tensorOf(e, 1)
	e.Center(c, z, 2)
	want(t, e, "center", c, 1, 2)
	a := engine.PredictionLossArgs{Loss: loss, Z: z, C: c, G: 2}
	e.PredictionLoss(a) // (1+4) + (1+4) + (9+4) = 23
	want(t, e, "prediction loss", loss, 23.0/6)
	a.Sum = true
	e.PredictionLoss(a)
	want(t, e, "summed prediction loss", loss, 23.0/3)

	logits := of(e, []float64{math.Log(3), 0, 0, 0}, 2, 2) // p = 3/4, 1/4; 1/2, 1/2
	e.CrossEntropy(engine.CrossEntropyArgs{Loss: loss, Logits: logits,
		Labels: of(e, []float64{0, 1}, 2), Smoothing: 0.2})
	want(t, e, "cross-entropy", loss,
		(-0.9*math.Log(0.75)-0.1*math.Log(0.25)+math.Log(2))/2)
}

// TestOptimValues takes two steps by hand, the second with clipping.
func TestOptimValues(t *testing.T) {
	e := New()
	p, grad := of(e, []float64{1, -2}, 2), of(e, []float64{3, 4}, 2)
	m, v := tensorOf(e, 2), tensorOf(e, 2)
	sq, scale := tensorOf(e, 1), tensorOf(e, 1)
	a := engine.AdamWArgs{Param: p, Grad: grad, M: m, V: v, LR: 0.1, Beta1: 0.9, Beta2: 0.99,
		Eps: 1, WeightDecay: 0.5, Step: 1}
	e.AdamW(a) // the corrected moments are the gradient and its square
	want(t, e, "param", p, 0.95-0.1*3/(3+1), -1.9-0.1*4/(4+1))
	want(t, e, "m", m, 0.3, 0.4)
	want(t, e, "v", v, 0.09, 0.16)

	e.SquaredNorm(sq, grad)
	want(t, e, "squared norm", sq, 25)
	e.ClipScale(scale, sq, 10)
	want(t, e, "scale", scale, 1)
	e.ClipScale(scale, sq, 0)
	want(t, e, "scale without clipping", scale, 1)
	e.ClipScale(scale, sq, 1)
	want(t, e, "scale", scale, 1/(5+1e-6))
	s := 1 / (5 + 1e-6)
	a.Scale, a.Step, a.LR, a.WeightDecay = scale, 2, 0, 0
	e.AdamW(a)
	want(t, e, "m", m, 0.27+0.1*3*s, 0.36+0.1*4*s)
	want(t, e, "v", v, 0.0891+0.01*9*s*s, 0.1584+0.01*16*s*s)
}
