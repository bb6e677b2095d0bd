package explain

import (
	"context"
	"errors"
	"time"

	"avjepa/internal/chart"
	"avjepa/internal/encoder"
	"avjepa/internal/view"
	"avjepa/internal/vit"
)

// Source says whose attention is shown.
type Source string

const (
	FromOther Source = "other" // of the other modality: sound → picture, picture → sound
	FromCLS   Source = "cls"   // of the token that becomes the embedding
)

// MostWindows bounds what is watched of a clip.
const MostWindows = 64

// Watched is a clip with the attention of windows that cover it.
type Watched struct {
	Clip    *encoder.Clip
	Windows []encoder.Window
	Maps    []*Attention // of each window
	From    Source

	view    view.Config
	encoder vit.Config
	frames  frames
}

// Watch returns the attention of windows side by side over a clip that has sound and
// picture, the last one at its end. Errors are those of CrossAttention and ctx's.
func Watch(ctx context.Context, x *encoder.Encoder, c *encoder.Clip, from Source) (
	*Watched, error) {
	if !c.HasVideo || !c.HasAudio {
		return nil, ErrOneModality
	}
	w := newWatched(x, c, from)
	for _, at := range tiles(w.usedSeconds(), x.Maker().LastStart(c.Decoded)) {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		v := w.view
		win := encoder.Window{Start: at, Video: make([]byte, v.Frames*v.Side*v.Side*3),
			Audio: make([]float32, v.Bands*v.MelFrames())}
		if err := x.Maker().EvalAt(win.Video, win.Audio, c.Decoded, at, at); err != nil {
			return nil, err
		}
		if err := w.add(x, win); err != nil {
			return nil, err
		}
	}
	if len(w.Windows) == 0 {
		return nil, errors.New("explain: a clip without windows")
	}
	return w, nil
}

// Glance returns the attention of the windows that were read with a clip, as Watch does
// of windows that cover it.
func Glance(x *encoder.Encoder, c *encoder.Clip, from Source) (*Watched, error) {
	if len(c.Windows) == 0 {
		return nil, errors.New("explain: a clip without windows")
	}
	w := newWatched(x, c, from)
	for _, win := range c.Windows {
		if err := w.add(x, win); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func newWatched(x *encoder.Encoder, c *encoder.Clip, from Source) *Watched {
	w := &Watched{Clip: c, From: from, view: x.Maker().Config(), encoder: x.Model().Config.Encoder}
	w.frames = frames{clip: c, view: w.view}
	return w
}

// add computes the attention of a window.
func (w *Watched) add(x *encoder.Encoder, win encoder.Window) error {
	a, err := CrossAttention(x, win)
	if err != nil {
		return err
	}
	w.Windows, w.Maps = append(w.Windows, win), append(w.Maps, a)
	return nil
}

// tiles returns starts from 0 to last, seconds apart but for the last.
func tiles(seconds float64, last time.Duration) []time.Duration {
	step := time.Duration(seconds*100) * 10 * time.Millisecond
	var starts []time.Duration
	for at := time.Duration(0); at <= last && len(starts) < MostWindows; at += step {
		starts = append(starts, at)
	}
	if n := len(starts); n > 0 && n < MostWindows && last-starts[n-1] > step/10 {
		starts = append(starts, last)
	}
	return starts
}

// usedSeconds is the length of a window's log-mel that makes whole patches.
func (w *Watched) usedSeconds() float64 { return float64(w.usedFrames()) / 100 }

func (w *Watched) usedFrames() int {
	c := w.encoder
	return c.MelFrames / c.PatchMelT * c.PatchMelT
}

// video returns the map of window i over frame group t, and audio that over its log-mel.
func (w *Watched) video(i, t int) chart.Field {
	a := w.Maps[i]
	m := a.Video
	if w.From == FromCLS {
		m = a.CLSVideo
	}
	n := a.Rows * a.Cols
	return chart.Field{Rows: a.Rows, Cols: a.Cols, V: m[t*n : (t+1)*n]}
}

func (w *Watched) audio(i int) chart.Field {
	a := w.Maps[i]
	m := a.Audio
	if w.From == FromCLS {
		m = a.CLSAudio
	}
	f := chart.Field{Rows: a.Bands, Cols: a.Times}
	for b := a.Bands - 1; b >= 0; b-- { // the highest band is at the top
		f.V = append(f.V, m[b*a.Times:(b+1)*a.Times]...)
	}
	return f
}

// exposures are those that all windows share.
func (w *Watched) exposures() (video, audio chart.Exposure) {
	var fv, fa []chart.Field
	for i, a := range w.Maps {
		for t := range a.Frames {
			fv = append(fv, w.video(i, t))
		}
		fa = append(fa, w.audio(i))
	}
	return chart.ExposureOf(fv), chart.ExposureOf(fa)
}

// groupTime returns the middle of frame group t of a window, in seconds of the clip.
func (w *Watched) groupTime(i, t int) float64 {
	return w.Windows[i].Start.Seconds() + (float64(t)+.5)*w.view.Seconds/float64(w.Maps[i].Frames)
}

// hertz marks the vertical axis of a log-mel.
func hertz(c view.Config) []chart.Mark {
	var marks []chart.Mark
	for _, m := range []struct {
		hz    float64
		label string
	}{{125, "125 Hz"}, {500, "500"}, {1000, "1 k"}, {2000, "2 k"}, {4000, "4 k"}, {8000, "8 k"},
		{16000, "16 k"}} {
		if m.hz < float64(c.SampleRateHz)/2 {
			at := (c.Mel().Band(m.hz) + .5) / float64(c.Bands)
			marks = append(marks, chart.Mark{At: at, Label: m.label})
		}
	}
	return marks
}
