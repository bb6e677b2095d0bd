package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html/template"

	"avjepa/internal/chart"
	"avjepa/internal/dataset"
	"avjepa/internal/embed"
	"avjepa/internal/encoder"
	"avjepa/internal/explain"
	"avjepa/internal/jepa"
	"avjepa/internal/report"
	"avjepa/internal/rng"
	"avjepa/internal/tensor"
	"avjepa/internal/tsne"
)

// Shown in a report from inside the encoder.
const (
	attendedClips  = 3
	componentClips = 4
	mapClips       = 500 // of more, as many drawn at random
)

// panels draws what the encoder attends to and how it groups the evaluated clips. What
// cannot be drawn of this model is a sentence in its panel; errors are the context's, the
// engine's and of clips that cannot be read.
func (ev *evaluation) panels(ctx context.Context, p *progress) ([]report.Panel, error) {
	e, err := openEngine(ev.run.cfg)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	run := encoder.Run{Path: ev.run.path, Config: ev.run.cfg, State: ev.run.state, File: ev.run.file}
	x, err := run.Open(e, encoder.Options{Views: 1})
	if err != nil {
		return nil, modelError(err)
	}
	defer x.Close()
	st := p.stage(ctx, "pictures", attendedClips+componentClips, "clips")
	done := int64(0)
	step := func() { done++; st.set(done, attendedClips+componentClips, "") }
	attention, err := ev.attentionPanel(ctx, x, step)
	var components report.Panel
	if err == nil {
		components, err = ev.componentPanel(ctx, x, step)
	}
	st.endWith(err)
	if err != nil {
		return nil, err
	}
	points, err := ev.mapPanel(ctx, p)
	return []report.Panel{attention, components, points}, err
}

// evenly returns n of the places, evenly chosen.
func evenly(from []int, n int) []int {
	n = min(n, len(from))
	var out []int
	for k := range n {
		out = append(out, from[(2*k+1)*len(from)/(2*n)])
	}
	return out
}

// allRows are the places of all evaluated clips.
func (ev *evaluation) allRows() []int {
	all := make([]int, ev.n)
	for i := range all {
		all[i] = i
	}
	return all
}

// read reads the middle window of an evaluated clip, and what the page calls it.
func (ev *evaluation) read(ctx context.Context, x *encoder.Encoder, row int) (*encoder.Clip, string, error) {
	i := ev.features.Index[row]
	info := ev.set.Info(i)
	name := info.Key
	if titles := ev.set.Titles(&info); titles != "" {
		name += " · " + titles
	}
	var stored dataset.Clip
	if err := ev.set.Read(ctx, i, &stored); err != nil {
		return nil, name, err
	}
	c, err := x.ReadStored(&stored, encoder.ReadOptions{})
	return c, name, err
}

// attentionPanel has a few clips, evenly chosen.
//
// Source: paper, figure 4.
func (ev *evaluation) attentionPanel(ctx context.Context, x *encoder.Encoder, step func()) (
	report.Panel, error) {
	panel := report.Panel{Title: "Where the last layer looks",
		Read: "Above as it is, below lit by attention: of the sound over the frames, of the picture over " +
			"the log-mel (low frequencies at the bottom); outlined is the heavier half, unless the " +
			"weight is spread evenly."}
	for _, row := range evenly(ev.allRows(), attendedClips) {
		if ctx.Err() != nil {
			return panel, context.Cause(ctx)
		}
		c, name, err := ev.read(ctx, x, row)
		if err != nil {
			return panel, err
		}
		w, err := explain.Glance(x, c, explain.FromOther)
		switch {
		case errors.Is(err, jepa.ErrDual):
			panel.Note = "This model has an encoder for each modality, so there is no attention between them."
			return panel, nil
		case errors.Is(err, explain.ErrNotFinite):
			panel.Note = "There is none to show: the model has diverged, its attention is not a number."
			return panel, nil
		case err != nil:
			return panel, err
		}
		frames, mel, err := w.Strips(0, report.PictureWidth)
		if err != nil {
			return panel, err
		}
		a := w.Maps[0]
		panel.Shots = append(panel.Shots, report.Shot{Title: name, Images: []report.Picture{
			report.NewPicture("frames of "+name+", below lit by the attention of its sound", frames),
			report.NewPicture("log-mel of "+name+", below lit by the attention of its picture", mel)},
			Caption: fmt.Sprintf("Of the sound's weight %.0f %% is on the picture (evenly spread: %.0f %%), "+
				"of the picture's %.0f %% on the sound (%.0f %%). Attention is weight, not cause.",
				100*a.VideoShare, 100*a.EvenVideo, 100*a.AudioShare, 100*a.EvenAudio)})
		step()
	}
	return panel, nil
}

// componentRows are clips of the class that has most, as they show best what the encoder
// takes it for; where no class has enough, clips of all. The title names the class.
func (ev *evaluation) componentRows() (rows []int, class string) {
	of := map[string][]int{}
	for row := range ev.n {
		info := ev.set.Info(ev.features.Index[row])
		if len(info.Labels) > 0 {
			class := firstClass(ev.set, &info)
			of[class] = append(of[class], row)
		}
	}
	for c, all := range of {
		if len(all) >= componentClips && (len(all) > len(of[class]) || len(all) == len(of[class]) && c < class) {
			class = c
		}
	}
	if class == "" {
		return evenly(ev.allRows(), componentClips), ""
	}
	return evenly(of[class], componentClips), class
}

// componentPanel has the principal components of the video tokens of a few clips.
//
// Source: paper, appendix K and figure 20.
func (ev *evaluation) componentPanel(ctx context.Context, x *encoder.Encoder, step func()) (
	report.Panel, error) {
	panel := report.Panel{Title: "What the picture's tokens have in common",
		Read: "Below each frame stand the first three principal components of its last-layer tokens as red, " +
			"green and blue, one basis for these clips: equal hues are alike to the encoder, and across " +
			"runs a hue means nothing."}
	rows, class := ev.componentRows()
	if class != "" {
		panel.Title += ": " + class
	}
	var clips []*encoder.Clip
	var names []string
	for _, row := range rows {
		c, name, err := ev.read(ctx, x, row)
		if err != nil {
			return panel, err
		}
		clips, names = append(clips, c), append(names, name)
	}
	r, err := explain.Compare(ctx, x, clips)
	switch {
	case errors.Is(err, explain.ErrNotNumbers):
		panel.Note = "There is nothing to show: the model has diverged, its tokens are not numbers."
		return panel, nil
	case err != nil:
		return panel, err
	}
	for i, name := range names {
		img, err := r.Strip(i, report.PictureWidth)
		if err != nil {
			return panel, err
		}
		panel.Shots = append(panel.Shots, report.Shot{Title: name, Images: []report.Picture{
			report.NewPicture("frames of "+name+", below in the colours of their tokens", img)}})
		step()
	}
	if n := len(panel.Shots); n > 0 {
		panel.Shots[n-1].Caption = fmt.Sprintf("The three components have %.0f, %.0f and %.0f %% of the "+
			"variance.", 100*r.Variance[0], 100*r.Variance[1], 100*r.Variance[2])
	}
	return panel, nil
}

// mapPanel lays the evaluated clips out, each heard and seen, by modality and by class.
//
// Source: paper, appendices I and J, figures 11 and 12.
func (ev *evaluation) mapPanel(ctx context.Context, p *progress) (report.Panel, error) {
	panel := report.Panel{Title: "How it groups clips",
		Read: "Every clip stands here twice, heard alone and seen alone, near to what is alike to the " +
			"encoder: where the modalities share one space their points mix, and sizes of groups and " +
			"distances between them mean nothing."}
	rows := ev.allRows()
	if ev.n > mapClips {
		rows = rows[:0]
		r, need := rng.New(1, "map"), mapClips
		for i := range ev.n {
			if r.IntN(ev.n-i) < need {
				rows = append(rows, i)
				need--
			}
		}
	}
	o := &tsneOptions{embedding: ev.opts.embedding, center: ev.opts.center,
		layout: tsne.Config{Perplexity: 30, Iterations: 1000, Seed: 1}}
	x, err := o.rows(&embed.Features{Index: pickInts(ev.features.Index, rows),
		Audio: pickRows(ev.features.Audio, rows), Video: pickRows(ev.features.Video, rows)})
	if err != nil {
		return panel, err
	}
	if n := 2 * len(rows); n < leastPoints {
		panel.Note = fmt.Sprintf("%d clips are too few for a map.", len(rows))
		return panel, nil
	}
	for _, v := range x.Data {
		if v-v != 0 {
			panel.Note = "There is no map: the model has diverged, its embeddings are not numbers."
			return panel, nil
		}
	}
	m := &mapped{}
	for _, row := range rows {
		info := ev.set.Info(ev.features.Index[row])
		m.keys, m.classes = append(m.keys, info.Key), append(m.classes, firstClass(ev.set, &info))
	}
	st := p.stage(ctx, "map", int64(o.layout.Iterations), "steps")
	m.places, err = tsne.Embed(ctx, x, o.layout, func(done, total int) { st.set(int64(done), int64(total), "") })
	st.endWith(err)
	if err != nil {
		return panel, err
	}
	shown := "all clips"
	if len(rows) < ev.n {
		shown = fmt.Sprintf("%d of %d clips", len(rows), ev.n)
	}
	note := fmt.Sprintf("%d points, %s · t-SNE, seed 1, perplexity %.3g · %s embedding", 2*len(rows), shown,
		min(o.layout.Perplexity, float64(2*len(rows)-1)/3), ev.opts.embedding)
	for _, s := range []chart.Scatter{
		{Title: "Clips heard and seen", Note: note, Groups: m.byModality(), TwoShapes: true},
		{Title: "Clips by class", Note: note, Groups: m.byClass()}} {
		shot := report.Shot{Caption: s.Note}
		picture := report.Picture{Alt: s.Title + ", " + note}
		for _, v := range themed {
			var b bytes.Buffer
			if err := s.WriteSVG(&b, v.theme); err != nil {
				return panel, err
			}
			uri := report.SVG(b.Bytes())
			if v.name == "dark" {
				picture.Dark = template.Srcset(uri)
			} else {
				picture.Light = uri
			}
		}
		shot.Images = append(shot.Images, picture)
		panel.Shots = append(panel.Shots, shot)
	}
	return panel, nil
}

// leastPoints are those of a map.
const leastPoints = 4

func pickInts(x []int, rows []int) []int {
	out := make([]int, len(rows))
	for i, r := range rows {
		out[i] = x[r]
	}
	return out
}

// pickRows returns some rows of embeddings.
func pickRows(v embed.Vectors, rows []int) embed.Vectors {
	pick := func(a tensor.Array) tensor.Array {
		if len(a.Data) == 0 {
			return a
		}
		d := a.Shape.Cols()
		out := make([]float32, 0, len(rows)*d)
		for _, r := range rows {
			out = append(out, a.Data[r*d:(r+1)*d]...)
		}
		return tensor.From(out, len(rows), d)
	}
	return embed.Vectors{CLS: pick(v.CLS), Projected: pick(v.Projected), Patches: pick(v.Patches)}
}
