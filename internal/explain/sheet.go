package explain

import (
	"fmt"
	"image"

	"avjepa/internal/chart"
)

// Caption stands below every picture of attention.
const Caption = "Where the last layer looks. It shows weight, not cause."

// Shown on a sheet: windows, and frames of each.
const (
	sheetWindows = 6
	sheetFrames  = 8
)

// Sheet draws the windows of a clip, at most six evenly chosen: frames and log-mel as
// they are, and below lit by attention.
func (w *Watched) Sheet(title string, theme chart.Theme) (*image.RGBA, error) {
	s := chart.AttentionSheet{Title: title, Caption: Caption}
	s.Video, s.Audio = w.exposures()
	n := min(sheetWindows, len(w.Windows))
	of := "the other modality"
	if w.From == FromCLS {
		of = "the CLS"
	}
	s.Note = "As it is, and lit by the attention of " + of + "; outlined: the heavier half of it, " +
		"unless that is spread evenly."
	if n < len(w.Windows) {
		s.Note += fmt.Sprintf(" %d of %d windows.", n, len(w.Windows))
	}
	for k := range n {
		row, err := w.row((2*k+1)*len(w.Windows)/(2*n), sheetFrames)
		if err != nil {
			return nil, err
		}
		s.Rows = append(s.Rows, row)
	}
	return s.Draw(theme)
}

// row is window i with at most most of its frames.
func (w *Watched) row(i, most int) (chart.Attended, error) {
	a, c, start := w.Maps[i], w.view, w.Windows[i].Start.Seconds()
	r := chart.Attended{Name: fmt.Sprintf("%.2f to %.2f s", start, start+c.Seconds), Lines: w.lines(i),
		Mel:   melPicture(w.Windows[i].Audio, c.Bands, c.MelFrames(), w.usedFrames()),
		Audio: w.audio(i), Start: start, Seconds: w.usedSeconds(), Hertz: hertz(c)}
	n := min(most, a.Frames)
	for k := range n {
		t := (2*k + 1) * a.Frames / (2 * n)
		at := w.groupTime(i, t)
		img, err := w.frames.show(at)
		if err != nil {
			return r, err
		}
		r.Frames, r.Times = append(r.Frames, img), append(r.Times, at)
		r.Video = append(r.Video, w.video(i, t))
	}
	return r, nil
}

// lines says in numbers what a window's row shows.
func (w *Watched) lines(i int) []string {
	a := w.Maps[i]
	percent := func(x float64) string { return fmt.Sprintf("%.0f %%", 100*x) }
	first, second, x, y := "sound → picture", "picture → sound", a.VideoShare, a.AudioShare
	if w.From == FromCLS {
		first, second, x, y = "CLS → picture", "CLS → sound", a.CLSVideoShare, a.CLSAudioShare
	}
	top := func(m []float32) string {
		v := float32(0)
		for _, x := range m {
			v = max(v, x)
		}
		return fmt.Sprintf("heaviest place: %.1f × the mean", v*float32(len(m)))
	}
	video, audio := a.Video, a.Audio
	if w.From == FromCLS {
		video, audio = a.CLSVideo, a.CLSAudio
	}
	return []string{
		fmt.Sprintf("%s: %s of the weight", first, percent(x)),
		fmt.Sprintf("(evenly spread: %s)", percent(a.EvenVideo)), top(video), "",
		fmt.Sprintf("%s: %s of the weight", second, percent(y)),
		fmt.Sprintf("(evenly spread: %s)", percent(a.EvenAudio)), top(audio)}
}
