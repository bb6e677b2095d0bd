package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"avjepa/internal/chart"
	"avjepa/internal/encoder"
	"avjepa/internal/explain"
	"avjepa/internal/media"
)

// attentionOptions are the flags of explain attention.
type attentionOptions struct {
	explainOptions
	from    string
	seconds float64
	still   bool
}

func newExplainAttentionCommand(g *globals) *cobra.Command {
	o := &attentionOptions{}
	c := &cobra.Command{
		Use:   "attention MODEL FILE...",
		Short: "Where sound attends in the picture, and the picture in the sound",
		Long: `Draws the attention of the last layer, heads averaged: of sound to places in the
picture, and of the picture to times and frequencies of the sound. For every FILE with
both it writes a sheet (light and dark) and a film with sound in which the overlay runs
in step. MODEL is a run folder or a checkpoint file; one of two encoders (dual) has no
such attention. It shows where weight lies, not why an embedding is what it is.`,
		Example: `  avjepa explain attention runs/demo dog.mp4
  avjepa explain attention runs/mine *.mp4 --out pictures --still
  avjepa explain attention runs/mine dog.mp4 --from cls`,
		Args: takesMore("MODEL", "FILE", 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p := g.progress()
			done, err := runAttention(cmd.Context(), args[0], args[1:], o, p)
			p.wait()
			if len(done) == 0 {
				return err
			}
			return errors.Join(showAttention(cmd.OutOrStdout(), done, o.from, g.json), err)
		},
	}
	o.addFlags(c)
	f := c.Flags()
	f.StringVar(&o.from, "from", string(explain.FromOther),
		"whose attention: other (the other modality's tokens) or cls (what becomes the embedding)")
	f.Float64Var(&o.seconds, "seconds", 60, "most seconds of a file; a longer one is refused")
	f.BoolVar(&o.still, "still", false, "the sheet alone, no film")
	return c
}

// attentionResult is what became of one file.
type attentionResult struct {
	File    string             `json:"file"`
	Sheets  []string           `json:"sheets"`
	Film    string             `json:"film,omitempty"`
	Windows []attentionNumbers `json:"windows"`
}

// attentionNumbers are shares of weight in one window.
type attentionNumbers struct {
	Start      float64 `json:"start"`       // seconds
	AudioVideo float64 `json:"audio_video"` // of audio queries' weight that is on video
	VideoAudio float64 `json:"video_audio"`
	CLSVideo   float64 `json:"cls_video"`
	CLSAudio   float64 `json:"cls_audio"`
	EvenVideo  float64 `json:"even_video"` // if all tokens had the same
	EvenAudio  float64 `json:"even_audio"`
}

func showAttention(out io.Writer, done []attentionResult, from string, asJSON bool) error {
	if asJSON {
		return writeJSON(out, done)
	}
	cls := from == string(explain.FromCLS)
	rows := [][]string{{"file", "sound → picture %", "even %", "picture → sound %", "even %"}}
	if cls {
		rows[0][1], rows[0][3] = "CLS → picture %", "CLS → sound %"
	}
	percent := func(x float64) string { return fmt.Sprintf("%.0f", 100*x) }
	for _, r := range done {
		var av, va float64
		for _, w := range r.Windows {
			if cls {
				w.AudioVideo, w.VideoAudio = w.CLSVideo, w.CLSAudio
			}
			av, va = av+w.AudioVideo/float64(len(r.Windows)), va+w.VideoAudio/float64(len(r.Windows))
		}
		rows = append(rows, []string{filepath.Base(r.File), percent(av), percent(r.Windows[0].EvenVideo),
			percent(va), percent(r.Windows[0].EvenAudio)})
	}
	table(out, "lrrrr", rows)
	fmt.Fprintln(out)
	for _, r := range done {
		for _, s := range r.Sheets {
			fmt.Fprintln(out, s)
		}
		if r.Film != "" {
			fmt.Fprintln(out, r.Film)
		}
	}
	return nil
}

// runAttention draws every file that can be drawn; the error says which could not.
func runAttention(ctx context.Context, model string, files []string, o *attentionOptions,
	p *progress) ([]attentionResult, error) {
	from := explain.Source(o.from)
	if from != explain.FromOther && from != explain.FromCLS {
		return nil, usageError(fmt.Errorf("--from %q is neither %s nor %s", o.from, explain.FromOther,
			explain.FromCLS))
	}
	if !(o.seconds > 0 && o.seconds <= 600) {
		return nil, usageError(fmt.Errorf("--seconds %v is outside 0 to 600", o.seconds))
	}
	tools, err := media.Find()
	if err != nil {
		return nil, err
	}
	x, closeModel, err := o.open(model)
	if err != nil {
		return nil, err
	}
	defer closeModel()
	if err := o.makeOut(); err != nil {
		return nil, err
	}
	var done []attentionResult
	var faults []error
	names := pictureNames(files)
	for i, path := range files {
		r, err := o.draw(ctx, x, tools, path, names[i], from, p)
		var broken *media.FileError
		switch {
		case err == nil:
			done = append(done, *r)
		case ctx.Err() == nil && (errors.Is(err, explain.ErrOneModality) || errors.As(err, &broken)):
			faults = append(faults, err) // the other files may do
		default:
			return done, err
		}
	}
	if err := errors.Join(faults...); err != nil {
		if len(done) > 0 {
			err = kind{err, errPartial}
		}
		return done, err
	}
	return done, nil
}

// draw makes the pictures of one file.
func (o *attentionOptions) draw(ctx context.Context, x *encoder.Encoder, tools media.Tools,
	path, name string, from explain.Source, p *progress) (*attentionResult, error) {
	clip, err := x.ReadFile(ctx, tools, path, encoder.ReadOptions{MaxSeconds: o.seconds})
	if err != nil {
		return nil, explainError(err, path)
	}
	w, err := explain.Watch(ctx, x, clip, from)
	if err != nil {
		return nil, explainError(err, path)
	}
	r := &attentionResult{File: path}
	for i, a := range w.Maps {
		r.Windows = append(r.Windows, attentionNumbers{w.Windows[i].Start.Seconds(), a.VideoShare,
			a.AudioShare, a.CLSVideoShare, a.CLSAudioShare, a.EvenVideo, a.EvenAudio})
	}
	r.Sheets, err = o.writePictures(name+"-attention", func(t chart.Theme) (*image.RGBA, error) {
		return w.Sheet(filepath.Base(path), t)
	})
	if err != nil || o.still {
		return r, err
	}
	r.Film = filepath.Join(o.out, name+"-attention.mp4")
	st := p.stage(ctx, "film", int64(w.FilmFrames()), "frames")
	err = w.Film(ctx, tools, r.Film, chart.Dark, func(done, total int) {
		st.set(int64(done), int64(total), "")
	})
	st.endWith(err)
	return r, err
}
