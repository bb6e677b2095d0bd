package torch

import (
	"unsafe"

	"avjepa/internal/engine"
)

type patchifyVideoArgs struct {
	y, x      tensorArg
	patchT, p int64
	mean, std [3]float64
}

// PatchifyVideo cuts frames into tubelets.
func (e *Engine) PatchifyVideo(a engine.PatchifyVideoArgs) {
	a.Check()
	c := &e.args.video
	*c = patchifyVideoArgs{y: e.arg(a.Y), x: e.arg(a.X), patchT: int64(a.PatchT), p: int64(a.P)}
	for i := range c.mean {
		c.mean[i], c.std[i] = float64(a.Mean[i]), float64(a.Std[i])
	}
	e.do("PatchifyVideo", e.lib.patchifyVideo, uintptr(unsafe.Pointer(c)), unsafe.Sizeof(*c))
}

type patchifyAudioArgs struct {
	y, x   tensorArg
	pf, pt int64
}

// PatchifyAudio cuts log-mels into patches.
func (e *Engine) PatchifyAudio(a engine.PatchifyAudioArgs) {
	a.Check()
	c := &e.args.audio
	*c = patchifyAudioArgs{y: e.arg(a.Y), x: e.arg(a.X), pf: int64(a.PF), pt: int64(a.PT)}
	e.do("PatchifyAudio", e.lib.patchifyAudio, uintptr(unsafe.Pointer(c)), unsafe.Sizeof(*c))
}

// modalityArg is avj_modality.
type modalityArg struct{ tokens, bias, kind, first, second tensorArg }

type assembleArgs struct {
	y, cls       tensorArg
	video, audio modalityArg
	drop         int64
}

func (e *Engine) modality(tokens, bias, kind, first, second engine.Tensor) modalityArg {
	return modalityArg{e.arg(tokens), e.arg(bias), e.arg(kind), e.arg(first), e.arg(second)}
}

// AssembleTokens: token 0 is CLS, a token of a modality is
// product + bias + first position + second position + type.
func (e *Engine) AssembleTokens(a engine.AssembleArgs) {
	a.Check()
	c := &e.args.assemble
	*c = assembleArgs{y: e.arg(a.Y), cls: e.arg(a.CLS),
		video: e.modality(a.Video, a.VideoBias, a.VideoType, a.VideoTime, a.VideoSpace),
		audio: e.modality(a.Audio, a.AudioBias, a.AudioType, a.AudioFreq, a.AudioTime),
		drop:  flag(a.Drop)}
	e.do("AssembleTokens", e.lib.assemble, uintptr(unsafe.Pointer(c)), unsafe.Sizeof(*c))
}

// AssembleTokensBackward: the gradient of a token goes to each of its summands.
func (e *Engine) AssembleTokensBackward(a engine.AssembleBackwardArgs) {
	a.Check()
	c := &e.args.assemble
	*c = assembleArgs{y: e.arg(a.DY), cls: e.arg(a.DCLS),
		video: e.modality(a.DVideo, a.DVideoBias, a.DVideoType, a.DVideoTime, a.DVideoSpace),
		audio: e.modality(a.DAudio, a.DAudioBias, a.DAudioType, a.DAudioFreq, a.DAudioTime),
		drop:  flag(a.Drop)}
	e.do("AssembleTokensBackward", e.lib.assembleBackward, uintptr(unsafe.Pointer(c)),
		unsafe.Sizeof(*c))
}
