package finetune

import (
	"fmt"

	"avjepa/internal/engine"
	"avjepa/internal/rng"
	"avjepa/internal/vit"
)

// begin starts a step: no gradients, an empty arena.
func (n *Network) begin(step int) {
	n.cx.Step = step
	n.cx.Arena.Release(engine.Mark{})
	n.Heads.ZeroGrads()
	if !n.Frozen {
		n.Backbone.ZeroGrads()
	}
}

// Losses are the means of a step's clips.
type Losses struct{ Linear, Attentive float64 }

// Total returns their sum, which is what is trained.
func (l Losses) Total() float64 { return l.Linear + l.Attentive }

func (l *Losses) add(m Losses, weight float64) {
	l.Linear += weight * m.Linear
	l.Attentive += weight * m.Attentive
}

// Step sets the gradients of all that is trained to those of a batch, views of it at
// once: the sums over its parts, which differ from those of one part by rounding alone.
// Dropout masks depend on seed, step and place in the batch.
//
//	video    (B, T, S, S, 3)  nothing with AudioOnly
//	audio    (B, F, M)        nothing with VideoOnly
//	targets  (B, C)
func (n *Network) Step(video []byte, audio, targets []float32, m vit.Modality, o *Objective,
	step int) Losses {
	batch := len(targets) / n.Classes
	var sum Losses
	n.begin(step)
	for lo := 0; lo < batch; lo += n.views {
		hi := min(lo+n.views, batch)
		n.cx.Arena.Release(engine.Mark{})
		n.cx.Train = !n.Frozen
		n.cx.Rows = rng.MaskRows{First: lo, Run: hi - lo, Stride: batch}
		n.upload(hi-lo, share(video, lo, hi, batch), share(audio, lo, hi, batch))
		l := n.encodeStep(n.group(hi-lo, m), targets[lo*n.Classes:hi*n.Classes], o, 1/float64(batch))
		sum.add(l, float64(hi-lo)/float64(batch))
	}
	return sum
}

// share returns rows lo to hi−1 of x, which has so many.
func share[T any](x []T, lo, hi, rows int) []T {
	each := len(x) / rows
	return x[lo*each : hi*each]
}

// encodeStep adds the gradients of a group's views.
func (n *Network) encodeStep(g vit.Group, targets []float32, o *Objective, scale float64) Losses {
	keep := vit.Keep
	switch {
	case n.Frozen:
		keep = vit.Discard
	case n.Recompute:
		keep = vit.KeepInputs
	}
	n.features = n.encode(g, keep)
	dCLS, dTokens, l := n.headsStep(targets, o, scale, !n.Frozen)
	if !n.Frozen {
		n.encodeBackward(dCLS, dTokens)
	}
	return l
}

// encode returns the features of a group, in the arena.
func (n *Network) encode(g vit.Group, keep vit.Keeping) features {
	var clss []engine.Tensor
	for i, t := range n.towers {
		t.groups = t.groups[:0]
		own := g
		if !t.audio {
			own.Audio = engine.Tensor{}
		}
		if !t.video {
			own.Video = engine.Tensor{}
		}
		if own.Audio.Nil() && own.Video.Nil() {
			continue
		}
		t.groups = append(t.groups, own)
		t.cache.CLSOnly = !n.Attentive
		n.cx.Part = i
		t.encoder.Forward(&n.cx, &t.cache, t.groups, keep)
		clss = append(clss, t.cache.CLS)
	}
	f := features{cls: clss[0]}
	if len(clss) > 1 {
		f.cls = n.cx.Arena.New(g.Views, n.Encoder.Width)
		n.engine.Fill(f.cls, 0)
		for _, x := range clss {
			n.engine.AddTo(f.cls, x, 1/float32(len(clss)))
		}
	}
	if n.Attentive {
		f.tokens = n.gather(g.Views)
	}
	return f
}

// gather returns the patches (views, N, D) of the modalities there are: video, then audio.
func (n *Network) gather(views int) engine.Tensor {
	count := 0
	n.eachTower(func(_ *tower, lo, hi int) { count += hi - lo })
	y, at := n.cx.Arena.New(views, count, n.Encoder.Width), 0
	n.eachTower(func(t *tower, lo, hi int) {
		for v := range views {
			n.engine.Copy(sequence(y, v).Slice(at, at+hi-lo), sequence(t.cache.Tokens(0), v).Slice(lo, hi))
		}
		at += hi - lo
	})
	return y
}

// eachTower calls f for the towers of the last encode, video before audio, with the
// bounds of their patches.
func (n *Network) eachTower(f func(t *tower, lo, hi int)) {
	for i := len(n.towers) - 1; i >= 0; i-- {
		if t := n.towers[i]; len(t.groups) > 0 {
			lo, hi := t.groups[0].Patches(t.encoder.Config)
			f(t, lo, hi)
		}
	}
}

// sequence returns view i (N, D) of tokens (views, N, D).
func sequence(tokens engine.Tensor, i int) engine.Tensor {
	return tokens.Slice(i, i+1).Reshape(tokens.Dim(1), tokens.Dim(2))
}

// encodeBackward adds the encoders' gradients from those of the features of the last
// encode: dCLS (views, D), and dTokens (views, N, D) or nil.
func (n *Network) encodeBackward(dCLS, dTokens engine.Tensor) {
	towers, at := 0, 0
	n.eachTower(func(*tower, int, int) { towers++ })
	if towers > 1 {
		n.engine.Scale(dCLS, 1/float32(towers))
	}
	for i := len(n.towers) - 1; i >= 0; i-- {
		t := n.towers[i]
		if len(t.groups) == 0 {
			continue
		}
		mark := n.cx.Arena.Mark()
		var d []engine.Tensor
		if !dTokens.Nil() {
			all := t.cache.Tokens(0)
			lo, hi := t.groups[0].Patches(t.encoder.Config)
			own := n.cx.Arena.New(all.Dim(0), all.Dim(1), all.Dim(2))
			n.engine.Fill(own, 0)
			for v := range all.Dim(0) {
				n.engine.Copy(sequence(own, v).Slice(lo, hi), sequence(dTokens, v).Slice(at, at+hi-lo))
			}
			at += hi - lo
			d = []engine.Tensor{own}
		}
		n.cx.Part = i
		t.encoder.Backward(&n.cx, &t.cache, t.groups, dCLS, d)
		n.cx.Arena.Release(mark)
	}
}

// headsStep adds the heads' gradients from n.features and, when the encoder wants them,
// returns those of the features.
func (n *Network) headsStep(targets []float32, o *Objective, scale float64, wanted bool) (
	dCLS, dTokens engine.Tensor, l Losses) {
	f, rows := n.features, n.features.cls.Dim(0)
	y, z := n.heads()
	gradient := func(host []float32, logits engine.Tensor) (engine.Tensor, float64) {
		host = host[:rows*n.Classes]
		n.engine.Download(host, logits)
		loss := o.Loss(host, host, targets, n.Classes, scale)
		n.engine.Upload(logits, host) // which are not needed any more
		return logits, loss
	}
	if wanted {
		dCLS = n.cx.Arena.New(rows, n.Encoder.Width)
	}
	dy, loss := gradient(n.hostLinear, y)
	l.Linear = loss
	n.linear.Backward(&n.cx, &n.linearCache, dCLS, dy)
	if n.attentive == nil {
		return dCLS, dTokens, l
	}
	if wanted {
		dTokens = n.cx.Arena.New(rows, f.tokens.Dim(1), n.Encoder.Width)
	}
	dz, loss := gradient(n.hostAttentive, z)
	l.Attentive = loss
	n.attentive.Backward(&n.cx, &n.attentiveCache, dTokens, dz)
	return dCLS, dTokens, l
}

// heads returns both heads' logits (rows, C) of n.features; attentive is nil without.
func (n *Network) heads() (linear, attentive engine.Tensor) {
	rows := n.features.cls.Dim(0)
	linear = n.cx.Arena.New(rows, n.Classes)
	n.linear.Forward(&n.cx, &n.linearCache, linear, n.features.cls)
	if n.attentive != nil {
		attentive = n.cx.Arena.New(rows, n.Classes)
		n.attentive.Forward(&n.cx, &n.attentiveCache, attentive, n.features.tokens)
	}
	return linear, attentive
}

// classify returns both heads' logits of a group, without dropout.
func (n *Network) classify(g vit.Group) (linear, attentive engine.Tensor) {
	n.cx.Arena.Release(engine.Mark{})
	n.cx.Train, n.cx.Rows = false, rng.MaskRows{}
	n.features = n.encode(g, vit.Discard)
	return n.heads()
}

// Logits returns both heads' (rows, C) of views on the host; attentive is nil without
// that head. The slices are the network's, valid until the next call. video is (rows, T,
// S, S, 3), audio (rows, F, M); of a modality that m lacks nothing is read.
func (n *Network) Logits(video []byte, audio []float32, rows int, m vit.Modality) (
	linear, attentive []float32) {
	if rows < 1 || rows > n.views {
		panic(fmt.Sprintf("finetune: %d views to score, memory for %d", rows, n.views))
	}
	n.upload(rows, video, audio)
	return n.logits(rows, m)
}

// logits is Logits of the inputs that were uploaded last.
func (n *Network) logits(rows int, m vit.Modality) (linear, attentive []float32) {
	return n.download(n.classify(n.group(rows, m)))
}

func (n *Network) download(y, z engine.Tensor) (linear, attentive []float32) {
	linear = n.hostLinear[:y.Elems()]
	n.engine.Download(linear, y)
	if !z.Nil() {
		attentive = n.hostAttentive[:z.Elems()]
		n.engine.Download(attentive, z)
	}
	return linear, attentive
}

// readFeatures sets cls (rows, D) and, with an attentive head, tokens (rows, N, D) to the
// features of the inputs that were uploaded last, without dropout.
func (n *Network) readFeatures(cls, tokens []float32, rows int, m vit.Modality) {
	n.cx.Arena.Release(engine.Mark{})
	n.cx.Train, n.cx.Rows = false, rng.MaskRows{}
	f := n.encode(n.group(rows, m), vit.Discard)
	n.engine.Download(cls, f.cls)
	if n.Attentive {
		n.engine.Download(tokens, f.tokens)
	}
}

// useFeatures sets n.features from the host, for headsStep and heads.
func (n *Network) useFeatures(cls, tokens []float32, rows int) {
	n.cx.Arena.Release(engine.Mark{})
	d := n.Encoder.Width
	n.features = features{cls: n.cx.Arena.New(rows, d)}
	n.engine.Upload(n.features.cls, cls)
	if n.Attentive {
		n.features.tokens = n.cx.Arena.New(rows, len(tokens)/rows/d, d)
		n.engine.Upload(n.features.tokens, tokens)
	}
}

// GradSquare returns the squared norm (1) of the gradients of all that is trained.
func (n *Network) GradSquare() engine.Tensor {
	all, backbone := n.square.Slice(0, 1), n.square.Slice(1, 2)
	n.engine.SquaredNorm(all, n.Heads.Grads)
	if !n.Frozen {
		n.engine.SquaredNorm(backbone, n.Backbone.Grads)
		n.engine.AddTo(all, backbone, 1)
	}
	return all
}
