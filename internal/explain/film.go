package explain

import (
	"context"
	"math"

	"avjepa/internal/chart"
	"avjepa/internal/media"
)

// knotLeast is the least time between moments at which the overlay of a film may turn
// from brighter to darker or back, so nothing flashes more than 3 times a second
// (WCAG 2.2, 2.3.1).
const knotLeast = 1. / 6

// filmMost bounds the frames a second.
const filmMost = 25

// knot is the map over the frames at a moment; between knots it is interpolated.
type knot struct {
	t     float64
	field chart.Field
	count int // of maps averaged
}

// knots returns the maps of all windows in order of time. Where windows overlap the
// later one counts; maps nearer to each other than knotLeast are averaged.
func (w *Watched) knots() []knot {
	var all []knot
	for i, a := range w.Maps {
		end := math.Inf(1)
		if i+1 < len(w.Windows) {
			end = w.Windows[i+1].Start.Seconds()
		}
		for t := range a.Frames {
			at := w.groupTime(i, t)
			if at >= end {
				continue
			}
			f := w.video(i, t)
			if n := len(all); n > 0 && at-all[n-1].t < knotLeast-1e-9 {
				k := &all[n-1]
				k.count++
				sum := make([]float32, len(f.V))
				for j := range sum {
					sum[j] = k.field.V[j] + (f.V[j]-k.field.V[j])/float32(k.count)
				}
				k.field.V = sum
				continue
			}
			all = append(all, knot{at, f, 1})
		}
	}
	return all
}

// fieldAt interpolates knots at t seconds into v.
func fieldAt(knots []knot, t float64, v []float32) chart.Field {
	i := 0
	for i < len(knots) && knots[i].t <= t {
		i++
	}
	a, b := knots[max(i-1, 0)], knots[min(i, len(knots)-1)]
	f := float32(0)
	if b.t > a.t {
		f = float32((t - a.t) / (b.t - a.t))
	}
	for j := range v {
		v[j] = a.field.V[j] + f*(b.field.V[j]-a.field.V[j])
	}
	return chart.Field{Rows: a.field.Rows, Cols: a.field.Cols, V: v}
}

// filmSeconds is the length of a film: what windows cover of the clip.
func (w *Watched) filmSeconds() float64 {
	last := w.Windows[len(w.Windows)-1].Start.Seconds()
	return math.Min(w.Clip.Seconds, last+w.view.Seconds)
}

func (w *Watched) filmRate() float64 { return math.Min(filmMost, math.Max(12.5, w.Clip.FPS)) }

// FilmFrames returns how many frames Film draws.
func (w *Watched) FilmFrames() int {
	return max(1, int(math.Ceil(w.filmSeconds()*w.filmRate())))
}

// Film writes an MP4 file of the clip with its sound: what the encoder sees of the
// picture, lit by attention in step with playback, above the lit log-mel with a
// playhead. progress, if not nil, is told the frames done and all. The overlay changes
// evenly between moments at least a sixth of a second apart. Errors: ctx's, ffmpeg's.
func (w *Watched) Film(ctx context.Context, tools media.Tools, path string, theme chart.Theme,
	progress func(done, total int)) error {
	video, audio := w.exposures()
	c := w.view
	rate := float64(c.SampleRateHz)
	seconds := w.filmSeconds()
	columns := max(1, int(math.Round(seconds*100)))
	mel := make([]float32, c.Bands*columns)
	fields, at := []chart.Field{}, []int{}
	for i, win := range w.Windows {
		from := int(math.Round(win.Start.Seconds() * 100))
		fields, at = append(fields, w.audio(i)), append(at, from)
		for b := range c.Bands {
			row := win.Audio[b*c.MelFrames() : (b+1)*c.MelFrames()]
			if from < columns {
				copy(mel[b*columns+from:(b+1)*columns], row)
			}
		}
	}
	lit := chart.LitMel(chart.Mel(mel, c.Bands, columns, melLow, melHigh, 1, 1), fields, at,
		w.usedFrames(), audio, chart.FilmSide, 96)
	film, err := chart.NewFilm(lit, seconds, hertz(c), Caption, video, theme)
	if err != nil {
		return err
	}
	width, height := film.Size()
	fps, n := w.filmRate(), w.FilmFrames()
	samples := w.Clip.Samples
	if most := int(seconds * rate); len(samples) > most {
		samples = samples[:most]
	}
	knots := w.knots()
	v := make([]float32, len(knots[0].field.V))
	return tools.Encode(ctx, path, media.EncodeConfig{Width: width, Height: height, FPS: fps,
		SampleRateHz: c.SampleRateHz}, n,
		func(i int, rgb []byte) error {
			t := float64(i) / fps
			img, err := w.frames.show(t)
			if err != nil {
				return err
			}
			film.Draw(rgb, img, fieldAt(knots, t, v), t)
			if progress != nil {
				progress(i+1, n)
			}
			return nil
		}, samples)
}
