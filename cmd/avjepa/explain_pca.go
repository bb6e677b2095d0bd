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
	"avjepa/internal/dataset"
	"avjepa/internal/encoder"
	"avjepa/internal/explain"
	"avjepa/internal/media"
)

// pcaOptions are the flags of explain pca.
type pcaOptions struct {
	explainOptions
	data   string
	filter clipFilter
	clips  int
}

// mostPCAClips are on one sheet.
const mostPCAClips = 64

func newExplainPCACommand(g *globals) *cobra.Command {
	o := &pcaOptions{}
	c := &cobra.Command{
		Use:   "pca MODEL [FILE...]",
		Short: "What the tokens of several clips' pictures have in common, as colours",
		Long: `Fits one set of three principal components to the last layer's video tokens of all
clips, and draws them as red, green and blue over the frames: what has the same hue is
alike to the encoder. The clips are FILEs, or some of a data set (--data, --label).
Clips of one class show best what the encoder takes it for. A hue means nothing across
sheets.`,
		Example: `  avjepa explain pca runs/demo a.mp4 b.mp4 c.mp4 d.mp4
  avjepa explain pca runs/mine --data data/mine --label "playing piano"`,
		Args: takesMore("MODEL", "FILE", 0),
		RunE: func(cmd *cobra.Command, args []string) error {
			p := g.progress()
			r, err := runPCA(cmd.Context(), args[0], args[1:], o, p)
			p.wait()
			if r == nil {
				return err
			}
			return errors.Join(showPCA(cmd.OutOrStdout(), r, g.json), err)
		},
	}
	o.addFlags(c)
	f := c.Flags()
	f.StringVar(&o.data, "data", "", "data set to take clips of instead of files")
	o.filter.addFlags(c)
	f.IntVar(&o.clips, "clips", 4, "clips of the data set, evenly chosen")
	return c
}

// pcaResult is what explain pca prints.
type pcaResult struct {
	Sheets   []string   `json:"sheets"`
	Clips    []string   `json:"clips"`
	Variance [3]float64 `json:"variance"` // shares of components 1 to 3
}

func showPCA(out io.Writer, r *pcaResult, asJSON bool) error {
	if asJSON {
		return writeJSON(out, r)
	}
	for _, s := range r.Sheets {
		fmt.Fprintln(out, s)
	}
	return nil
}

func runPCA(ctx context.Context, model string, files []string, o *pcaOptions, p *progress) (
	*pcaResult, error) {
	if (o.data == "") == (len(files) == 0) {
		return nil, usageError(errors.New("explain pca takes either FILEs or --data DIR"))
	}
	if o.clips < 1 || o.clips > mostPCAClips || len(files) > mostPCAClips {
		return nil, usageError(fmt.Errorf("--clips %d, %d files: a sheet shows 1 to %d clips", o.clips,
			len(files), mostPCAClips))
	}
	x, closeModel, err := o.open(model)
	if err != nil {
		return nil, err
	}
	defer closeModel()
	if err := o.makeOut(); err != nil {
		return nil, err
	}
	read, title := o.readFiles, amount(len(files), "files")
	if o.data != "" {
		read, title = o.readSet, o.data
		if o.filter.label != "" {
			title = o.filter.label
		}
	}
	clips, names, err := read(ctx, x, files, p)
	if err != nil {
		return nil, err
	}
	c, err := explain.Compare(ctx, x, clips)
	if err != nil {
		return nil, explainError(err, model)
	}
	r := &pcaResult{Clips: names, Variance: c.Variance}
	name := "pca"
	if o.filter.label != "" {
		name = pictureNames([]string{o.filter.label + ".x"})[0] + "-pca"
	}
	r.Sheets, err = o.writePictures(name, func(t chart.Theme) (*image.RGBA, error) {
		return c.Sheet(title, names, t)
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// readFiles reads the middle window of every file.
func (o *pcaOptions) readFiles(ctx context.Context, x *encoder.Encoder, files []string,
	p *progress) (clips []*encoder.Clip, names []string, err error) {
	tools, err := media.Find()
	if err != nil {
		return nil, nil, err
	}
	st := p.stage(ctx, "reading", int64(len(files)), "files")
	defer func() { st.endWith(err) }()
	for i, path := range files {
		c, err := x.ReadFile(ctx, tools, path, encoder.ReadOptions{})
		if err == nil && !c.HasVideo {
			err = explain.ErrNoVideo
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", path, err)
		}
		clips, names = append(clips, c), append(names, filepath.Base(path))
		st.set(int64(i+1), int64(len(files)), "")
	}
	return clips, names, nil
}

// readSet reads the middle window of evenly chosen clips of a data set.
func (o *pcaOptions) readSet(ctx context.Context, x *encoder.Encoder, _ []string, p *progress) (
	clips []*encoder.Clip, names []string, err error) {
	set, err := openSet(ctx, o.data, p)
	if err != nil {
		return nil, nil, err
	}
	flagging := clipFlagging{}
	if o.filter.flag != "" {
		if flagging, _, err = readFlagging(ctx, o.data, p); err != nil {
			return nil, nil, err
		}
	}
	if set, err = o.filter.choose(o.data, set, flagging); err != nil {
		return nil, nil, err
	}
	set = set.Where(func(f *dataset.Info) bool { return f.HasVideo() })
	if set.Len() == 0 {
		return nil, nil, fmt.Errorf("%s has no such clip with a picture (--split, --label, --flag)",
			o.data)
	}
	n := min(o.clips, set.Len())
	for k := range n {
		i := (2*k + 1) * set.Len() / (2 * n)
		var stored dataset.Clip
		if err := set.Read(ctx, i, &stored); err != nil {
			return nil, nil, err
		}
		c, err := x.ReadStored(&stored, encoder.ReadOptions{})
		if err != nil {
			return nil, nil, fmt.Errorf("clip %s of %s: %w", set.Key(i), o.data, err)
		}
		clips, names = append(clips, c), append(names, set.Key(i))
	}
	return clips, names, nil
}
