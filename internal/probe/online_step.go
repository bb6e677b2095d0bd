package probe

import (
	"fmt"
	"math"

	"avjepa/internal/engine"
	"avjepa/internal/jepa"
)

// Step sets the gradients of all parameters from the features of a model's last
// Step and the clips' classes (B). It waits for nothing. A label outside the
// classes is an error, and no gradient is changed.
//
//	for i := range clips { err = o.Label(i, classes[i]) }
//	o.UploadLabels()
//	o.Train(f)
//
// is the same in parts, and for MultiLabel.
func (o *Online) Step(f jepa.Features, labels []int) error {
	if len(labels) != o.batch {
		panic(fmt.Sprintf("probe: %d labels for %d clips", len(labels), o.batch))
	}
	for i := range labels {
		if err := o.Label(i, labels[i:i+1]); err != nil {
			return err
		}
	}
	o.UploadLabels()
	o.Train(f)
	return nil
}

// Label notes the classes of a clip of the next step on the host: one, or with
// MultiLabel any number. On an error those noted before stay.
func (o *Online) Label(clip int, classes []int) error {
	if !o.MultiLabel && len(classes) != 1 {
		return fmt.Errorf("probe: clip %d has %d labels, want one", clip, len(classes))
	}
	for _, l := range classes {
		if l < 0 || l >= o.Classes {
			return fmt.Errorf("probe: label %d of clip %d is outside 0 to %d", l, clip, o.Classes-1)
		}
	}
	if !o.MultiLabel {
		o.hostLabels[clip] = float32(classes[0])
		return nil
	}
	row := o.hostLabels[clip*o.Classes : (clip+1)*o.Classes]
	clear(row)
	for _, l := range classes {
		row[l] = 1
	}
	return nil
}

// UploadLabels brings what Label noted to the engine. It is apart from Train, so that
// the latter can be part of a step that an engine records.
func (o *Online) UploadLabels() { o.engine.Upload(o.labels, o.hostLabels) }

// Train is Step with the labels as they are on the engine.
func (o *Online) Train(f jepa.Features) { o.train(f.CLS, f.Tokens) }

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
		o.loss(engine.CrossEntropyArgs{Loss: p.loss, Labels: o.labels,
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
	o.loss(engine.CrossEntropyArgs{Loss: o.report.attended, Labels: o.labels,
		DLogits: dlogits, Logits: logits, Smoothing: o.AttentiveSmoothing, Weight: 1})
	o.Attentive.Backward(cx, &c, engine.Tensor{}, dlogits)
}

// loss sets the loss and the gradient of logits (B, C): the cross-entropy, or with
// MultiLabel the binary one, mean over clips and classes. That is the cross-entropy of
// B·C rows of two logits, 0 and the class's: their softmax is the sigmoid.
func (o *Online) loss(a engine.CrossEntropyArgs) {
	if !o.MultiLabel {
		o.engine.CrossEntropy(a)
		return
	}
	e, mark, n, dlogits := o.engine, o.cx.Arena.Mark(), a.Logits.Elems(), a.DLogits
	pairs, dpairs := o.cx.Arena.New(n, 2), o.cx.Arena.New(n, 2)
	e.Fill(pairs, 0)
	e.Copy(pairs.Columns(1, 2), a.Logits.Reshape(n, 1))
	a.Logits, a.DLogits, a.Smoothing = pairs, dpairs, 0
	e.CrossEntropy(a)
	e.Copy(dlogits.Reshape(n, 1), dpairs.Columns(1, 2))
	o.cx.Arena.Release(mark)
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
	l := o.lossesOf(o.Numbers())
	l.GradNorm = math.Sqrt(float64(o.report.host[4]))
	return l
}

// Numbers waits for the last Step and returns what this process alone knows of it,
// for Combine. The slice is the probes' own until the next call.
func (o *Online) Numbers() []float32 {
	o.engine.Download(o.report.host[:], o.report.all)
	return o.report.host[:]
}

// Combine returns the losses of the last Step over all processes, which have as many
// clips each, from the Numbers of each. There is no GradNorm: each process knows that
// of its own gradients alone.
func (o *Online) Combine(all [][]float32) (OnlineLosses, error) {
	var mean OnlineLosses
	for rank, host := range all {
		if len(host) != len(o.report.host) {
			return mean, fmt.Errorf("probe: process %d reports %d numbers, want %d: all processes must "+
				"run the same program with the same configuration", rank, len(host), len(o.report.host))
		}
		l, w := o.lossesOf(host), float64(len(all))
		mean.Linear += l.Linear / w
		mean.Unimodal += l.Unimodal / w
		mean.Attentive += l.Attentive / w
	}
	return mean, nil
}

func (o *Online) lossesOf(host []float32) OnlineLosses {
	return OnlineLosses{Linear: float64(host[0]), Attentive: float64(host[3]),
		Unimodal: (float64(host[1]) + float64(host[2])) / 2}
}
