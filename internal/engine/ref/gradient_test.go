package ref

import (
	"fmt"
	"math"
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/rng"
)

// gradients holds a backward pass to central differences of its forward pass.
type gradients struct {
	e     *Engine
	r     *rng.Stream
	pairs []pair
}

// pair is an input and the gradient that the backward pass gives for it.
type pair struct {
	name  string
	x, dx engine.Tensor
	base  []float64 // what dx held before; nil when it is set
}

func newGradients(seed uint64) *gradients {
	return &gradients{e: New(), r: rng.New(seed, "gradients")}
}

// normal returns a tensor of standard normal numbers.
func (g *gradients) normal(dims ...int) engine.Tensor {
	t := tensorOf(g.e, dims...)
	v := make([]float64, t.Elems())
	for i := range v {
		v[i] = g.r.NormFloat64()
	}
	g.e.UploadFloat64(t, v)
	return t
}

// set returns an input and a gradient that the backward pass sets.
func (g *gradients) set(name string, dims ...int) (x, dx engine.Tensor) {
	x, dx = g.normal(dims...), g.normal(dims...)
	g.pairs = append(g.pairs, pair{name, x, dx, nil})
	return x, dx
}

// add returns an input and a gradient that the backward pass adds to.
func (g *gradients) add(name string, dims ...int) (x, dx engine.Tensor) {
	x, dx = g.normal(dims...), g.normal(dims...)
	g.pairs = append(g.pairs, pair{name, x, dx, g.e.load(dx)})
	return x, dx
}

// weighted returns Σ y·w: the loss of which w is the gradient.
func (g *gradients) weighted(y, w engine.Tensor) float64 { return dot(g.e.load(y), g.e.load(w)) }

// check runs forward and backward and compares every gradient with the central
// differences of forward's loss. Float64 throughout leaves errors of 1e-9.
func (g *gradients) check(t *testing.T, name string, forward func() float64, backward func()) {
	t.Helper()
	forward()
	backward()
	const h = 1e-5
	for _, p := range g.pairs {
		x, dx := g.e.load(p.x), g.e.load(p.dx)
		for i := range x {
			if p.base != nil {
				dx[i] -= p.base[i]
			}
			at := func(d float64) float64 {
				moved := append([]float64(nil), x...)
				moved[i] += d
				g.e.UploadFloat64(p.x, moved)
				return forward()
			}
			want := (at(h) - at(-h)) / (2 * h)
			if !(math.Abs(dx[i]-want) <= 1e-7*(1+math.Abs(want))) {
				t.Errorf("%s: d%s[%d] is %.9g, differences give %.9g", name, p.name, i, dx[i], want)
				break
			}
		}
		g.e.UploadFloat64(p.x, x)
	}
}

// TestLinearGradients checks a perceptron with residual: both weights and
// biases, the GELU between them taken by LinearInput's Pre, and the input,
// whose gradient arrives by two ways and is added up.
func TestLinearGradients(t *testing.T) {
	const rows, d, hidden = 3, 4, 5
	g := newGradients(1)
	x, dx := g.set("x", rows, d)
	w1, dw1 := g.add("w1", hidden, d)
	b1, db1 := g.add("b1", hidden)
	w2, dw2 := g.add("w2", d, hidden)
	b2, db2 := g.add("b2", d)
	h, pre, dh := g.normal(rows, hidden), g.normal(rows, hidden), g.normal(rows, hidden)
	y, dy := g.normal(rows, d), g.normal(rows, d)
	g.check(t, "perceptron", func() float64 {
		g.e.Linear(engine.LinearArgs{Y: h, X: x, W: w1, Bias: b1, Pre: pre, GELU: true})
		g.e.Linear(engine.LinearArgs{Y: y, X: h, W: w2, Bias: b2, Residual: x})
		return g.weighted(y, dy)
	}, func() {
		g.e.Copy(dx, dy)
		g.e.LinearWeight(engine.LinearWeightArgs{DW: dw2, DBias: db2, DY: dy, X: h})
		g.e.LinearInput(engine.LinearInputArgs{DX: dh, DY: dy, W: w2, Pre: pre})
		g.e.LinearWeight(engine.LinearWeightArgs{DW: dw1, DBias: db1, DY: dh, X: x})
		g.e.LinearInput(engine.LinearInputArgs{DX: dx, DY: dh, W: w1, Mode: engine.Add})
	})
}

func TestGELUAndDropoutGradients(t *testing.T) {
	g := newGradients(2)
	x, dx := g.set("x", 6, 7)
	y, dy, z := g.normal(6, 7), g.normal(6, 7), g.normal(6, 7)
	mask := rng.Mask{P: 0.4, Key: rng.NewKey(1, 2, 3)}
	g.check(t, "GELU, dropout", func() float64 {
		g.e.GELU(y, x)
		g.e.Dropout(z, y, mask)
		return g.weighted(z, dy)
	}, func() {
		g.e.Dropout(dx, dy, mask)
		g.e.GELUBackward(dx, dx, x)
	})
}

func TestLayerNormGradients(t *testing.T) {
	for _, mode := range []engine.Mode{engine.Set, engine.Add} {
		g := newGradients(3)
		input := g.set
		if mode == engine.Add {
			input = g.add
		}
		x, dx := input("x", 3, 6)
		gain, dgain := g.add("gain", 6)
		bias, dbias := g.add("bias", 6)
		y, dy, mean, rstd := g.normal(3, 6), g.normal(3, 6), g.normal(3), g.normal(3)
		g.check(t, "LayerNorm", func() float64 {
			g.e.LayerNorm(engine.LayerNormArgs{Y: y, Mean: mean, RStd: rstd, X: x, Gain: gain,
				Bias: bias, Eps: 1e-2})
			return g.weighted(y, dy)
		}, func() {
			g.e.LayerNorm(engine.LayerNormArgs{Y: y, Mean: mean, RStd: rstd, X: x, Gain: gain,
				Bias: bias, Eps: 1e-2})
			g.e.LayerNormBackward(engine.LayerNormBackwardArgs{DX: dx, DGain: dgain, DBias: dbias,
				DY: dy, X: x, Mean: mean, RStd: rstd, Gain: gain, Mode: mode})
		})
	}
}

func TestBatchNormGradients(t *testing.T) {
	const rows, c = 5, 3
	g := newGradients(4)
	x, dx := g.set("x", rows, c)
	gain, dgain := g.add("gain", c)
	bias, dbias := g.add("bias", c)
	y, dy, pre, dpre := g.normal(rows, c), g.normal(rows, c), g.normal(rows, c), g.normal(rows, c)
	mean, rstd, runMean, runVar := g.normal(c), g.normal(c), g.normal(c), g.normal(c)
	g.check(t, "BatchNorm", func() float64 {
		g.e.BatchNorm(engine.BatchNormArgs{Y: y, Pre: pre, Mean: mean, RStd: rstd, X: x, Gain: gain,
			Bias: bias, RunMean: runMean, RunVar: runVar, Eps: 1e-2, Momentum: 0.1, Train: true,
			GELU: true})
		return g.weighted(y, dy)
	}, func() {
		g.e.GELUBackward(dpre, dy, pre)
		g.e.BatchNormBackward(engine.BatchNormBackwardArgs{DX: dx, DGain: dgain, DBias: dbias,
			DY: dpre, X: x, Mean: mean, RStd: rstd, Gain: gain})
	})
}

func TestAttentionGradients(t *testing.T) {
	const b, nq, nk, d, heads = 2, 3, 4, 6, 2
	for _, p := range []float64{0, 0.4} {
		g := newGradients(5)
		q, dq := g.set("q", b, nq, d)
		k, dk := g.set("k", b, nk, d)
		v, dv := g.set("v", b, nk, d)
		out, dout := g.normal(b, nq, d), g.normal(b, nq, d)
		lse, delta := g.normal(b, heads, nq), g.normal(b, heads, nq)
		mask := rng.Mask{P: p, Key: rng.NewKey(4, 5, 6),
			Rows: rng.MaskRows{First: 1, Run: 1, Stride: 3, Tokens: 5}}
		g.check(t, fmt.Sprintf("attention, dropout %v", p), func() float64 {
			g.e.Attention(engine.AttentionArgs{Out: out, LSE: lse, Q: q, K: k, V: v, Heads: heads,
				Drop: mask})
			return g.weighted(out, dout)
		}, func() {
			g.e.AttentionBackward(engine.AttentionBackwardArgs{DQ: dq, DK: dk, DV: dv, DOut: dout,
				Out: out, LSE: lse, Delta: delta, Q: q, K: k, V: v, Heads: heads,
				Drop: mask})
		})
	}
}

// TestAssembleGradients checks every presence of the modalities, with and
// without type embeddings, absent tokens kept and dropped.
func TestAssembleGradients(t *testing.T) {
	const b, d = 2, 3
	for mask := range 16 {
		video, audio, types, drop := mask&1 != 0, mask&2 != 0, mask&4 != 0, mask&8 != 0
		g := newGradients(6)
		n := 1
		if video || !drop {
			n += 2 * 3
		}
		if audio || !drop {
			n += 2 * 2
		}
		var a engine.AssembleArgs
		var da engine.AssembleBackwardArgs
		a.Y, da.DY, a.Drop, da.Drop = g.normal(b, n, d), g.normal(b, n, d), drop, drop
		a.CLS, da.DCLS = g.add("cls", d)
		a.VideoBias, da.DVideoBias = g.add("videoBias", d)
		a.VideoTime, da.DVideoTime = g.add("videoTime", 2, d)
		a.VideoSpace, da.DVideoSpace = g.add("videoSpace", 3, d)
		a.AudioBias, da.DAudioBias = g.add("audioBias", d)
		a.AudioFreq, da.DAudioFreq = g.add("audioFreq", 2, d)
		a.AudioTime, da.DAudioTime = g.add("audioTime", 2, d)
		if types {
			a.VideoType, da.DVideoType = g.add("videoType", d)
			a.AudioType, da.DAudioType = g.add("audioType", d)
		}
		if video {
			a.Video, da.DVideo = g.set("video", b*6, d)
		}
		if audio {
			a.Audio, da.DAudio = g.set("audio", b*4, d)
		}
		name := fmt.Sprintf("video %v, audio %v, types %v, drop %v", video, audio, types, drop)
		g.check(t, name, func() float64 {
			g.e.AssembleTokens(a)
			return g.weighted(a.Y, da.DY)
		}, func() { g.e.AssembleTokensBackward(da) })
	}
}

// TestPredictionLossGradients takes the center's own gradient in: it is not
// detached.
func TestPredictionLossGradients(t *testing.T) {
	for _, views := range []int{1, 2, 4} {
		for _, sum := range []bool{false, true} {
			g := newGradients(7)
			z, dz := g.add("z", 4, 2, 3)
			c, loss := g.normal(2, 3), g.normal(1)
			a := engine.PredictionLossArgs{Loss: loss, Z: z, C: c, G: views, Weight: 0.7, Sum: sum}
			forward := func() float64 {
				g.e.Center(c, z, views)
				g.e.PredictionLoss(a)
				return 0.7 * g.e.load(loss)[0]
			}
			g.check(t, fmt.Sprintf("prediction loss, %d views, sum %v", views, sum), forward,
				func() {
					a.DZ = dz
					g.e.PredictionLoss(a)
					a.DZ = engine.Tensor{}
				})
		}
	}
}

func TestSIGRegGradients(t *testing.T) {
	for _, k := range []engine.Knots{{Max: 5, Count: 17}, {Max: 3, Count: 17, Half: true}} {
		const v, b, m = 3, 4, 5
		g := newGradients(8)
		p, dp := g.set("p", v, b, m)
		ecf, de, loss := g.normal(v, m, k.Count, 2), g.normal(v, m, k.Count, 2), g.normal(v)
		g.check(t, fmt.Sprintf("SIGReg %+v", k), func() float64 {
			g.e.ECF(engine.ECFArgs{E: ecf, P: p, Knots: k})
			g.e.SIGReg(engine.SIGRegArgs{Loss: loss, DE: de, E: ecf, Knots: k, N: b, Weight: 0.3})
			l := g.e.load(loss)
			return 0.3 * (l[0] + l[1] + l[2]) / v
		}, func() { g.e.ECFBackward(engine.ECFBackwardArgs{DP: dp, P: p, DE: de, Knots: k}) })
	}
}

func TestCrossEntropyGradients(t *testing.T) {
	for _, smoothing := range []float64{0, 0.1} {
		g := newGradients(9)
		x, dx := g.set("logits", 3, 5)
		labels, loss := tensorOf(g.e, 3), g.normal(1)
		g.e.UploadFloat64(labels, []float64{0, 4, 2})
		g.check(t, fmt.Sprintf("cross-entropy, smoothing %v", smoothing), func() float64 {
			g.e.CrossEntropy(engine.CrossEntropyArgs{Loss: loss, Logits: x, Labels: labels,
				Smoothing: smoothing, Weight: 0.4})
			return 0.4 * g.e.load(loss)[0]
		}, func() {
			g.e.CrossEntropy(engine.CrossEntropyArgs{Loss: loss, DLogits: dx, Logits: x,
				Labels: labels, Smoothing: smoothing, Weight: 0.4})
		})
	}
}
