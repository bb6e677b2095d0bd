package vit

import (
	"avjepa/internal/engine"
	"avjepa/internal/nn"
	"avjepa/internal/tensor"
)

// Mean and deviation of ImageNet's pixels, with which 8-bit frames are
// normalised.
var (
	pixelMean = [3]float32{0.485, 0.456, 0.406}
	pixelStd  = [3]float32{0.229, 0.224, 0.225}
)

// PixelNorm returns the mean and deviation of red, green and blue on [0, 1] with
// which frames are normalised.
func PixelNorm() (mean, std [3]float32) { return pixelMean, pixelStd }

// Group is a number of views with the same modalities.
//
//	Video  (Views, T, H, W, 3) U8, or (Views, 3, T, H, W) F32 and normalised;
//	       nil when absent
//	Audio  (Views, F, S) log-mel, normalised; nil when absent
type Group struct {
	Views        int
	Video, Audio engine.Tensor
}

// Patches returns the bounds lo…hi−1 of the output tokens that are patches of a
// modality the group has. An absent modality's tokens, which hold its bias,
// positions and type alone, are outside, unless the encoder drops them anyway.
func (g Group) Patches(c Config) (lo, hi int) {
	lo, hi = 1, c.tokens(!g.Video.Nil(), !g.Audio.Nil())
	if g.Video.Nil() && !c.DropAbsent {
		lo += c.VideoTokens()
	}
	if g.Audio.Nil() && !c.DropAbsent {
		hi -= c.AudioTokens()
	}
	return lo, hi
}

// embedding turns a view's frames and log-mel into tokens:
//
//	token = patch·W + b + position in time + position in space or frequency + type
//
// then a LayerNorm and dropout over all, CLS included. The patches are cut again
// in backward: they are larger than everything a block keeps. What an encoder of
// one modality lacks is nil.
type embedding struct {
	cfg                  Config
	audioFreq, audioTime *nn.Param // (1, Fa, 1, D), (1, 1, Ta, D)
	videoTime, videoArea *nn.Param // (1, Tv, 1, D), (1, 1, Sv, D)
	cls                  *nn.Param // (1, 1, D)
	video, audio         nn.Linear // weights (D, 3, PatchT, Patch, Patch), (D, 1, ·, ·)
	types                *nn.Param // (2, D): video, audio
	norm                 nn.LayerNorm
}

// newEmbedding registers the parameters that the modality needs.
func newEmbedding(ps *nn.Params, name string, c Config) embedding {
	d, w := c.Width, nn.Normal(c.InitStd)
	vt, vs := c.videoGrid()
	af, at := c.audioGrid()
	add := func(n string, spared bool, in nn.Init, dims ...int) *nn.Param {
		return ps.Add(name+"."+n, tensor.Of(dims...), in, spared)
	}
	m := embedding{cfg: c}
	if c.Modality != VideoOnly {
		m.audioFreq = add("audio_freq_pos_embed", true, w, 1, af, 1, d)
		m.audioTime = add("audio_time_pos_embed", true, w, 1, 1, at, d)
	}
	if c.Modality != AudioOnly {
		m.videoTime = add("video_time_embed", true, w, 1, vt, 1, d)
		m.videoArea = add("video_spatial_embed", true, w, 1, 1, vs, d)
	}
	m.cls = add("cls_token", true, w, 1, 1, d)
	if c.Modality != AudioOnly {
		m.video = nn.Linear{
			W: add("video_patch_embed.projection.weight", false, w, d, 3, c.PatchT, c.Patch, c.Patch),
			B: add("video_patch_embed.projection.bias", true, nn.Zeros(), d),
		}
	}
	if c.Modality != VideoOnly {
		m.audio = nn.Linear{
			W: add("audio_patch_embed.projection.weight", false, w, d, 1, c.PatchMel, c.PatchMelT),
			B: add("audio_patch_embed.projection.bias", true, nn.Zeros(), d),
		}
	}
	if c.Modality == Both {
		m.types = add("modality_type_embeddings.weight", true, w, 2, d)
	}
	if c.EmbedNorm {
		m.norm = nn.NewLayerNorm(ps, name+".layernorm", d, 1e-6)
	}
	return m
}

// forward sets y (views, N, D) to the tokens of a group before the LayerNorm.
func (m *embedding) forward(cx *nn.Context, y engine.Tensor, g Group) {
	mark := cx.Arena.Mark()
	c, d := m.cfg, m.cfg.Width
	args := engine.AssembleArgs{Y: y, CLS: m.cls.Value.Reshape(d), Drop: c.DropAbsent}
	if c.Modality != AudioOnly {
		args.VideoBias = m.video.B.Value
		args.VideoTime = m.videoTime.Value.Reshape(m.videoTime.Shape.Dim(1), d)
		args.VideoSpace = m.videoArea.Value.Reshape(m.videoArea.Shape.Dim(2), d)
	}
	if c.Modality != VideoOnly {
		args.AudioBias = m.audio.B.Value
		args.AudioFreq = m.audioFreq.Value.Reshape(m.audioFreq.Shape.Dim(1), d)
		args.AudioTime = m.audioTime.Value.Reshape(m.audioTime.Shape.Dim(2), d)
	}
	if c.Modality == Both {
		args.VideoType = m.types.Value.Slice(0, 1).Reshape(d)
		args.AudioType = m.types.Value.Slice(1, 2).Reshape(d)
	}
	if !g.Video.Nil() {
		args.Video = cx.Arena.NewCompute(g.Views*c.VideoTokens(), d)
		part := cx.Arena.Mark()
		cx.Engine.Linear(engine.LinearArgs{Y: args.Video, X: m.tubelets(cx, g),
			W: m.video.W.Value.Reshape(d, c.tubelet())})
		cx.Arena.Release(part)
	}
	if !g.Audio.Nil() {
		args.Audio = cx.Arena.NewCompute(g.Views*c.AudioTokens(), d)
		cx.Engine.Linear(engine.LinearArgs{Y: args.Audio, X: m.audioPatches(cx, g),
			W: m.audio.W.Value.Reshape(d, c.audioPatch())})
	}
	cx.Engine.AssembleTokens(args)
	cx.Arena.Release(mark)
}

// backward adds the gradients of all parameters but the LayerNorm's from dy
// (views, N, D).
func (m *embedding) backward(cx *nn.Context, dy engine.Tensor, g Group) {
	mark := cx.Arena.Mark()
	c, d := m.cfg, m.cfg.Width
	args := engine.AssembleBackwardArgs{DY: dy, DCLS: m.cls.Grad.Reshape(d), Drop: c.DropAbsent}
	if c.Modality != AudioOnly {
		args.DVideoBias = m.video.B.Grad
		args.DVideoTime = m.videoTime.Grad.Reshape(m.videoTime.Shape.Dim(1), d)
		args.DVideoSpace = m.videoArea.Grad.Reshape(m.videoArea.Shape.Dim(2), d)
	}
	if c.Modality != VideoOnly {
		args.DAudioBias = m.audio.B.Grad
		args.DAudioFreq = m.audioFreq.Grad.Reshape(m.audioFreq.Shape.Dim(1), d)
		args.DAudioTime = m.audioTime.Grad.Reshape(m.audioTime.Shape.Dim(2), d)
	}
	if c.Modality == Both {
		args.DVideoType = m.types.Grad.Slice(0, 1).Reshape(d)
		args.DAudioType = m.types.Grad.Slice(1, 2).Reshape(d)
	}
	if !g.Video.Nil() {
		args.DVideo = cx.Arena.NewCompute(g.Views*c.VideoTokens(), d)
	}
	if !g.Audio.Nil() {
		args.DAudio = cx.Arena.NewCompute(g.Views*c.AudioTokens(), d)
	}
	cx.Engine.AssembleTokensBackward(args)
	if !g.Video.Nil() {
		part := cx.Arena.Mark()
		cx.Engine.LinearWeight(engine.LinearWeightArgs{DY: args.DVideo, X: m.tubelets(cx, g),
			DW: m.video.W.Grad.Reshape(d, c.tubelet())})
		cx.Arena.Release(part)
	}
	if !g.Audio.Nil() {
		cx.Engine.LinearWeight(engine.LinearWeightArgs{DY: args.DAudio, X: m.audioPatches(cx, g),
			DW: m.audio.W.Grad.Reshape(d, c.audioPatch())})
	}
	cx.Arena.Release(mark)
}

func (m *embedding) tubelets(cx *nn.Context, g Group) engine.Tensor {
	y := cx.Arena.NewCompute(g.Views*m.cfg.VideoTokens(), m.cfg.tubelet())
	cx.Engine.PatchifyVideo(engine.PatchifyVideoArgs{Y: y, X: g.Video,
		PatchT: m.cfg.PatchT, P: m.cfg.Patch, Mean: pixelMean, Std: pixelStd})
	return y
}

func (m *embedding) audioPatches(cx *nn.Context, g Group) engine.Tensor {
	y := cx.Arena.NewCompute(g.Views*m.cfg.AudioTokens(), m.cfg.audioPatch())
	cx.Engine.PatchifyAudio(engine.PatchifyAudioArgs{Y: y, X: g.Audio,
		PF: m.cfg.PatchMel, PT: m.cfg.PatchMelT})
	return y
}
