package explain

import (
	"context"
	"errors"
	"fmt"
	"image"
	"slices"

	"avjepa/internal/chart"
	"avjepa/internal/encoder"
	"avjepa/internal/pca"
	"avjepa/internal/tensor"
	"avjepa/internal/view"
)

// Sentinels of components that cannot be shown.
var (
	ErrNoVideo    = errors.New("explain: the picture's tokens of a clip without picture")
	ErrNotNumbers = errors.New("explain: the picture's tokens are no numbers: the model has diverged")
)

// Components are the first three principal components of the last layer's video tokens
// of several clips, one basis for all, as colours: component 1 is red, 2 green, 3 blue.
// A hue means the same in all of these clips, and nothing in others.
type Components struct {
	Clips    []*encoder.Clip
	Start    []float64        // of each clip's window, in seconds
	Colours  [][]chart.Colour // (Frames·Rows·Cols) of each clip
	Variance [3]float64       // shares of each component

	Frames, Rows, Cols int
	view               view.Config
}

// Ends of the scale of a component, in shares of the tokens below.
const scaleLow, scaleHigh = .02, .98

// VideoTokens returns the last layer's video tokens (Frames·Rows·Cols, D) of a window,
// which is encoded with its sound if it has one.
func VideoTokens(x *encoder.Encoder, w encoder.Window) (tensor.Array, error) {
	m := encoder.Video
	if !w.Has(m) {
		return tensor.Array{}, ErrNoVideo
	}
	if w.Has(encoder.Both) {
		m = encoder.Both
	}
	g, err := x.Group([]encoder.Window{w}, m)
	if err != nil {
		return tensor.Array{}, err
	}
	x.Model().Embed(g)
	t := x.Model().Features().Tokens[0] // video is the first, in one sequence or two
	all := make([]float32, t.All.Elems())
	x.Engine().Download(all, t.All)
	if err := x.Engine().Sync(); err != nil {
		return tensor.Array{}, err
	}
	c, d := x.Model().Config.Encoder, t.All.Cols()
	n := c.VideoTokens()
	return tensor.From(all[t.Lo*d:(t.Lo+n)*d], n, d), nil
}

// Compare fits the components to the first window of every clip. Errors are ctx's, those
// of VideoTokens, and ErrNotNumbers.
//
// Source: paper, appendix K and figure 20.
func Compare(ctx context.Context, x *encoder.Encoder, clips []*encoder.Clip) (*Components, error) {
	c := x.Model().Config.Encoder
	r := &Components{Clips: clips, view: x.Maker().Config(), Frames: c.Frames / c.PatchT,
		Rows: c.Side / c.Patch, Cols: c.Side / c.Patch}
	var all []float32
	for _, clip := range clips {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if len(clip.Windows) == 0 {
			return nil, errors.New("explain: a clip without windows")
		}
		t, err := VideoTokens(x, clip.Windows[0])
		if err != nil {
			return nil, err
		}
		all = append(all, t.Data...)
		r.Start = append(r.Start, clip.Windows[0].Start.Seconds())
	}
	for _, v := range all {
		if v-v != 0 {
			return nil, ErrNotNumbers
		}
	}
	n, d := len(all)/c.Width, c.Width
	tokens := tensor.From(all, n, d)
	b, err := pca.Fit(tokens, min(3, d))
	if err != nil {
		return nil, fmt.Errorf("explain: %w", err)
	}
	r.colour(b.Project(tokens), len(b.Variance), n/max(len(clips), 1))
	for i, v := range b.Variance {
		if b.Total > 0 {
			r.Variance[i] = v / b.Total
		}
	}
	return r, nil
}

// colour scales coordinates (n, k) between their percentiles to bytes, per tokens each.
func (r *Components) colour(y []float64, k, per int) {
	n := len(y) / k
	all := make([]chart.Colour, n)
	for i := range k {
		col := make([]float64, n)
		for j := range col {
			col[j] = y[j*k+i]
		}
		sorted := slices.Sorted(slices.Values(col))
		lo, hi := sorted[int(scaleLow*float64(n-1)+.5)], sorted[int(scaleHigh*float64(n-1)+.5)]
		for j, v := range col {
			all[j][i] = 128
			if hi > lo {
				all[j][i] = uint8(255*max(0, min(1, (v-lo)/(hi-lo))) + .5)
			}
		}
	}
	for at := 0; at < n; at += per {
		r.Colours = append(r.Colours, all[at:at+per])
	}
}

// Sheet draws the clips below each other, names beside them.
func (r *Components) Sheet(title string, names []string, theme chart.Theme) (*image.RGBA, error) {
	s := chart.TokenSheet{Title: title,
		Note: fmt.Sprintf("Last-layer video tokens of %d clips in one basis: components 1, 2, 3 "+
			"(%.0f, %.0f, %.0f %% of the variance) as red, green, blue.", len(r.Clips),
			100*r.Variance[0], 100*r.Variance[1], 100*r.Variance[2]),
		Caption: "Equal hues are alike to the encoder within this sheet. Across runs a hue means nothing."}
	for i := range r.Clips {
		row, err := r.row(i, sheetFrames)
		if err != nil {
			return nil, err
		}
		row.Name = names[i]
		s.Rows = append(s.Rows, row)
	}
	return s.Draw(theme)
}

// row is clip i with at most most of its frames.
func (r *Components) row(i, most int) (chart.TokenRow, error) {
	f := frames{clip: r.Clips[i], view: r.view}
	row := chart.TokenRow{Rows: r.Rows, Cols: r.Cols}
	n, size := min(most, r.Frames), r.Rows*r.Cols
	for k := range n {
		t := (2*k + 1) * r.Frames / (2 * n)
		at := r.Start[i] + (float64(t)+.5)*r.view.Seconds/float64(r.Frames)
		img, err := f.show(at)
		if err != nil {
			return row, err
		}
		row.Frames, row.Times = append(row.Frames, img), append(row.Times, at)
		row.Colours = append(row.Colours, r.Colours[i][t*size:(t+1)*size])
	}
	return row, nil
}
