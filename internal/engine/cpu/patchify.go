package cpu

import (
	"avjepa/internal/engine"
	"avjepa/internal/kernel"
)

// PatchifyVideo cuts frames into tubelets. A part is one row of tokens.
func (e *Engine) PatchifyVideo(a engine.PatchifyVideoArgs) {
	a.Check()
	_, c, t, h, w := a.Dims()
	k := &e.videoTask
	*k = videoTask{y: vec(a.Y), c: c, t: t, h: h, w: w, pt: a.PatchT, p: a.P}
	if a.X.DType() == engine.U8 {
		k.bytes = own(a.X).bytes()[a.X.Offset():][:a.X.Elems()]
		for ch := range k.scale {
			std := float64(a.Std[ch])
			k.scale[ch] = float32(1 / (255 * std))
			k.shift[ch] = float32(-float64(a.Mean[ch]) / std)
		}
	} else {
		k.x = vec(a.X)
	}
	if a.Y.Elems() > 0 {
		e.pool.Run(k, a.Y.Rows()/(w/a.P))
	}
}

type videoTask struct {
	y, x              []float32
	bytes             []byte // instead of x
	c, t, h, w, pt, p int
	scale, shift      [3]float32
}

// Run makes row i = (b·Tv + t)·Hv + h of tokens.
func (t *videoTask) Run(_, i int) {
	hv, tv, wv := t.h/t.p, t.t/t.pt, t.w/t.p
	row, slab, b := i%hv*t.p, i/hv%tv*t.pt, i/hv/tv
	plane := t.pt * t.p * t.p
	width := t.c * plane
	for f := range t.pt {
		for py := range t.p {
			in := f*t.p*t.p + py*t.p // inside a token's plane
			if t.bytes != nil {
				x := t.bytes[((b*t.t+slab+f)*t.h+row+py)*t.w*3:][:t.w*3]
				for col := range wv {
					kernel.PixelRow(t.y[(i*wv+col)*width+in:], x[col*t.p*3:], t.p, plane,
						&t.scale, &t.shift)
				}
				continue
			}
			for ch := range t.c {
				x := t.x[(((b*t.c+ch)*t.t+slab+f)*t.h+row+py)*t.w:][:t.w]
				for col := range wv {
					copy(t.y[(i*wv+col)*width+ch*plane+in:], x[col*t.p:][:t.p])
				}
			}
		}
	}
}

// PatchifyAudio cuts log-mels into patches. A part is one row of tokens.
func (e *Engine) PatchifyAudio(a engine.PatchifyAudioArgs) {
	a.Check()
	t := &e.audioTask
	*t = audioTask{y: vec(a.Y), x: vec(a.X), f: a.X.Dim(1), s: a.X.Dim(2), pf: a.PF, pt: a.PT}
	e.pool.Run(t, a.X.Dim(0)*t.f/a.PF)
}

type audioTask struct {
	y, x         []float32
	f, s, pf, pt int
}

// Run makes row i = b·Fa + f of tokens: bands i·pf … of the stacked log-mels.
func (t *audioTask) Run(_, i int) {
	ta := t.s / t.pt
	for band := range t.pf {
		x := t.x[(i*t.pf+band)*t.s:][:t.s]
		for col := range ta {
			copy(t.y[((i*ta+col)*t.pf+band)*t.pt:], x[col*t.pt:][:t.pt])
		}
	}
}
