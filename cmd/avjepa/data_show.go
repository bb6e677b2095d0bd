package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"avjepa/internal/chart"
	"avjepa/internal/dataset"
	"avjepa/internal/durable"
	"avjepa/internal/rng"
	"avjepa/internal/view"
)

// dataShowOptions are the flags of data show.
type dataShowOptions struct {
	filter clipFilter
	keys   []string
	out    string
	clips  int
	random bool // seed is given
	seed   uint64
	dark   bool
}

const mostSheetRows = 500

func newDataShowCommand(g *globals) *cobra.Command {
	o := &dataShowOptions{}
	c := &cobra.Command{
		Use:   "show DATA [KEY...]",
		Short: "A contact sheet of clips: frames and log-mel as one picture",
		Long: `Draws the clips with these keys or, without any, clips evenly spaced over the data set
(with --seed, drawn at random) and prints the path of the picture.`,
		Example: "  avjepa data show data/mine --out sheet.png\n" +
			"  avjepa data show data/mine --label dog --seed 1 --dark\n" +
			"  avjepa data show data/mine dog/a dog/b --out two.png",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return takes("DATA")(c, args)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.keys, o.random = args[1:], cmd.Flags().Changed("seed")
			p := g.progress()
			rows, err := runDataShow(cmd.Context(), args[0], o, p)
			p.wait()
			if rows == 0 {
				return err
			}
			return errors.Join(showSheet(cmd.OutOrStdout(), o.out, rows, g.json), err)
		},
	}
	o.filter.addFlags(c)
	f := c.Flags()
	f.StringVar(&o.out, "out", "sheet.png", "PNG file to write")
	f.IntVar(&o.clips, "clips", 24, "clips to show when no keys are given")
	f.Uint64Var(&o.seed, "seed", 0, "draw the clips at random, with this seed")
	f.BoolVar(&o.dark, "dark", false, "light on dark")
	return c
}

func showSheet(out io.Writer, path string, rows int, asJSON bool) error {
	if asJSON {
		return writeJSON(out, map[string]any{"sheet": path, "clips": rows})
	}
	_, err := fmt.Fprintln(out, path)
	return err
}

// runDataShow writes the sheet and returns how many clips are on it; with clips that
// cannot be read also the error of partial.
func runDataShow(ctx context.Context, dir string, o *dataShowOptions, p *progress) (int, error) {
	if o.clips < 1 || o.clips > mostSheetRows || len(o.keys) > mostSheetRows {
		return 0, usageError(fmt.Errorf("--clips %d, %d keys: a sheet shows 1 to %d clips",
			o.clips, len(o.keys), mostSheetRows))
	}
	set, err := openSet(ctx, dir, p)
	if err != nil {
		return 0, err
	}
	flagging, _, err := readFlagging(ctx, dir, p)
	if err != nil {
		return 0, err
	}
	all := set.Len()
	if set, err = o.filter.choose(dir, set, flagging); err != nil {
		return 0, err
	}
	places, err := o.places(dir, set)
	if err != nil {
		return 0, err
	}
	st := p.stage(ctx, "drawing", int64(len(places)), "clips")
	sheet := chart.Sheet{Title: dir, Note: fmt.Sprintf("%d of %d clips · log-mel, %.0f to %.0f dB",
		len(places), all, sheetLow, sheetHigh)}
	unread := 0
	var c dataset.Clip
	for n, i := range places {
		row := sheetRow(set, i, flagging)
		if err := fillRow(ctx, set, i, &c, &row); err != nil {
			if ctx.Err() != nil {
				st.stop()
				return 0, context.Cause(ctx)
			}
			unread++
			row.Fault = err.Error()
		}
		sheet.Rows = append(sheet.Rows, row)
		st.set(int64(n+1), int64(len(places)), "")
	}
	st.done()
	theme := chart.Light
	if o.dark {
		theme = chart.Dark
	}
	img, err := sheet.Draw(theme)
	if err != nil {
		return 0, err
	}
	err = durable.WriteFile(o.out, func(w io.Writer) error { return png.Encode(w, img) })
	if err != nil {
		return 0, err
	}
	return len(places), partial(unread, dir)
}

// places returns the clips to show: those with the keys, or evenly spaced, or drawn.
func (o *dataShowOptions) places(dir string, set *dataset.Set) ([]int, error) {
	var places []int
	for _, key := range o.keys {
		i := 0
		for i < set.Len() && set.Info(i).Key != key {
			i++
		}
		if i == set.Len() {
			return nil, fmt.Errorf("%s has no clip %q, or the filters leave it out: "+
				"avjepa data ls %s lists keys", dir, key, dir)
		}
		places = append(places, i)
	}
	if len(o.keys) > 0 {
		return places, nil
	}
	if set.Len() == 0 {
		return nil, fmt.Errorf("%s has no such clip (--split, --label, --flag)", dir)
	}
	n := min(o.clips, set.Len())
	if !o.random {
		for i := range n {
			places = append(places, i*set.Len()/n)
		}
		return places, nil
	}
	r := rng.New(o.seed, "sheet")
	chosen := map[int]bool{}
	for len(chosen) < n {
		if i := r.IntN(set.Len()); !chosen[i] {
			chosen[i] = true
			places = append(places, i)
		}
	}
	slices.Sort(places)
	return places, nil
}

// Of a log-mel on a sheet: dB of its darkest and brightest colour, the same for all
// clips so that quiet ones look it; frames of a strip.
const (
	sheetLow, sheetHigh = -45.0, 45.0
	sheetBands          = 60
	sheetFrames         = 8
	sheetFFT            = 1024
)

// sheetRow is the text of a clip.
func sheetRow(set *dataset.Set, i int, x clipFlagging) chart.SheetRow {
	f := set.Info(i)
	labels := set.Titles(&f)
	if labels == "" {
		labels = "no label"
	}
	what := fmt.Sprintf("%.1f s", f.Seconds)
	if f.Split != "" {
		what += " · " + f.Split
	}
	kinds := []string{}
	if f.HasVideo() {
		kinds = append(kinds, fmt.Sprintf("%d×%d, %g fps", f.Width, f.Height, f.FPS))
	}
	if f.HasAudio() {
		kinds = append(kinds, fmt.Sprintf("%g kHz", float64(f.SampleRateHz)/1000))
	}
	row := chart.SheetRow{Name: f.Key, Seconds: f.Seconds, Silent: f.Silent,
		Lines: []string{labels, what, strings.Join(kinds, " · ")}}
	if flags := x.of(&f); len(flags) > 0 {
		row.Flags = []string{strings.Join(flags, ", ")}
	}
	return row
}

// fillRow reads a clip and draws its frames and log-mel.
func fillRow(ctx context.Context, set *dataset.Set, i int, c *dataset.Clip, row *chart.SheetRow) error {
	if err := set.Read(ctx, i, c); err != nil {
		return err
	}
	n := min(sheetFrames, len(c.Frames))
	for k := range n {
		img, err := decodePicture(c.Frames[(2*k+1)*len(c.Frames)/(2*n)])
		if err != nil {
			row.Frames = nil
			return err
		}
		row.Frames = append(row.Frames, img)
	}
	if len(c.Samples) == 0 {
		return nil
	}
	mel, err := view.NewLogMel(view.MelConfig{SampleRateHz: c.SampleRateHz, NFFT: sheetFFT,
		Hop: max(1, len(c.Samples)/chart.SheetWidth), Bands: sheetBands,
		FMax: float64(c.SampleRateHz) / 2})
	if err != nil {
		return err
	}
	x := make([]float32, len(c.Samples))
	for k, s := range c.Samples {
		x[k] = float32(s) / 32768
	}
	frames := mel.Frames(len(x))
	levels := make([]float32, sheetBands*frames)
	mel.Compute(levels, x, mel.NewScratch())
	row.Mel = chart.Mel(levels, sheetBands, frames, sheetLow, sheetHigh, 1, 1)
	return nil
}

// mostSheetPixels bounds the memory for one frame.
const mostSheetPixels = 1 << 25

func decodePicture(data []byte) (image.Image, error) {
	conf, err := jpeg.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	if conf.Width*conf.Height > mostSheetPixels || conf.Width*conf.Height == 0 {
		return nil, fmt.Errorf("frame of %d×%d pixels, at most %d are drawn",
			conf.Width, conf.Height, mostSheetPixels)
	}
	return jpeg.Decode(bytes.NewReader(data))
}
