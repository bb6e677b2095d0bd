package probe

import (
	"fmt"
	"math"

	"avjepa/internal/engine"
	"avjepa/internal/jepa"
)

// Step sets the gradients of all parameters from the features of a model's last
// Step and the clips' classes (B). It waits for nothing. A label outside the
// classes is an error, and nothing is changed.
func (o *Online) Step(f jepa.Features, labels []int) error {
	if len(labels) != o.batch {
		panic(fmt.Sprintf("probe: %d labels for %d clips", len(labels), o.batch))
	}
	for i, l := range labels {
		if l < 0 || l >= o.Classes {
			return fmt.Errorf("probe: label %d of clip %d is outside 0 to %d", l, i, o.Classes-1)
		}
		o.hostLabels[i] = float32(l)
	}
	o.engine.Upload(o.labels, o.hostLabels)
	o.train(f.CLS, f.Tokens)
	return nil
}

// train sets gradients and losses from cls (V·B, D) and the tokens (G·B, N, D) of
// the globals.
func (o *Online) train(cls engine.Tensor, tokens []jepa.Tokens) {
	o.cx.Arena.Release(engine.Mark{})
	o.Params.ZeroGrads()
	o.engine.Fill(o.report.all, 0)
	o.trainLinear(cls)
	if o.Attentive != nil {
		o.trainAttentive(tokens)
	}
	o.engine.SquaredNorm(o.report.square, o.Params.Grads)
}

// trainLinear runs the linear head once, over the rows of the globals' mean and,
// with Unimodal, those of the audio-only and of the video-only locals.
func (o *Online) trainLinear(cls engine.Tensor) {
	cx, b, d := &o.cx, o.batch, o.model.Encoder.Width
	g, a, v := o.model.Globals, o.model.AudioLocals(), o.model.VideoLocals()
	parts := []struct {
		lo, hi int // views
		loss   engine.Tensor
		weight float64
	}{{0, g, o.report.linear, 1}, {g, g + a, o.report.audio, 0.5},
		{g + a, g + a + v, o.report.video, 0.5}}
	if !o.Unimodal {
		parts = parts[:1]
	}
	x := cx.Arena.New(len(parts)*b, d)
	logits, dlogits := cx.Arena.New(len(parts)*b, o.Classes), cx.Arena.New(len(parts)*b, o.Classes)
	for i, p := range parts {
		meanCLS(cx, x.Slice(i*b, (i+1)*b), cls, p.lo, p.hi)
	}
	var c LinearCache
	o.Linear.Forward(cx, &c, logits, x)
	for i, p := range parts {
		o.engine.CrossEntropy(engine.CrossEntropyArgs{Loss: p.loss, Labels: o.labels,
			DLogits: dlogits.Slice(i*b, (i+1)*b), Logits: logits.Slice(i*b, (i+1)*b),
			Smoothing: o.LinearSmoothing, Weight: p.weight})
	}
	o.Linear.Backward(cx, &c, engine.Tensor{}, dlogits)
}

// trainAttentive runs the attentive head over the mean of the globals' patches.
func (o *Online) trainAttentive(tokens []jepa.Tokens) {
	cx, b := &o.cx, o.batch
	x := cx.Arena.New(b, patches(tokens), o.model.Encoder.Width)
	logits, dlogits := cx.Arena.New(b, o.Classes), cx.Arena.New(b, o.Classes)
	meanTokens(cx, x, tokens)
	var c AttentiveCache
	o.Attentive.Forward(cx, &c, logits, x)
	o.engine.CrossEntropy(engine.CrossEntropyArgs{Loss: o.report.attended, Labels: o.labels,
		DLogits: dlogits, Logits: logits, Smoothing: o.AttentiveSmoothing, Weight: 1})
	o.Attentive.Backward(cx, &c, engine.Tensor{}, dlogits)
}

// GradSquare returns the squared norm (1) of the gradients of the last Step.
func (o *Online) GradSquare() engine.Tensor { return o.report.square }

// JointSquare returns the sum (1) of GradSquare and that of the encoder's and
// projector's gradients: with it both optimisers clip by one norm over all
// parameters, as the published code does. Then the probes slow the encoder down.
func (o *Online) JointSquare(encoder engine.Tensor) engine.Tensor {
	o.engine.Copy(o.report.joint, o.report.square)
	o.engine.AddTo(o.report.joint, encoder, 1)
	return o.report.joint
}

// OnlineLosses are cross-entropies with the smoothing that is trained with.
type OnlineLosses struct {
	Linear    float64
	Unimodal  float64 // mean over audio-only and video-only locals; 0 without
	Attentive float64 // 0 without
	GradNorm  float64 // of the probes' gradients
}

// Losses waits for the last Step and returns its numbers.
func (o *Online) Losses() OnlineLosses {
	host := o.report.host[:]
	o.engine.Download(host, o.report.all)
	return OnlineLosses{Linear: float64(host[0]),
		Unimodal:  (float64(host[1]) + float64(host[2])) / 2,
		Attentive: float64(host[3]), GradNorm: math.Sqrt(float64(host[4]))}
}
