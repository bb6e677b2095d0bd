package main

import (
	"cmp"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"avjepa/internal/chart"
	"avjepa/internal/dataset"
	"avjepa/internal/durable"
	"avjepa/internal/embed"
	"avjepa/internal/retrieval"
	"avjepa/internal/rng"
	"avjepa/internal/tensor"
	"avjepa/internal/tsne"
)

// tsneOptions are the flags of explain tsne.
type tsneOptions struct {
	explainOptions
	data, split, embedding string
	windows, most          int
	center                 bool
	layout                 tsne.Config
}

func newExplainTSNECommand(g *globals) *cobra.Command {
	o := &tsneOptions{}
	c := &cobra.Command{
		Use:   "tsne MODEL",
		Short: "A map of clips, each heard and seen: near points are alike to the encoder",
		Long: `Encodes every clip twice, heard only and seen only, and lays all embeddings out in one
plane with t-SNE. Writes the map coloured by modality and by class (more than 12: the
11 largest and grey), as PNG and SVG, light and dark, and the places as CSV. If the
modalities share one space, their points mix. Distances between groups and their sizes
mean nothing.`,
		Example: `  avjepa explain tsne runs/demo
  avjepa explain tsne runs/mine --data data/mine --split test --perplexity 50`,
		Args: takes("MODEL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p := g.progress()
			r, err := runTSNE(cmd.Context(), args[0], o, p)
			p.wait()
			if err != nil {
				return err
			}
			if err := showTSNE(cmd.OutOrStdout(), r, g.json); err != nil {
				return err
			}
			return partial(r.Unread, o.data)
		},
	}
	o.addFlags(c)
	f := c.Flags()
	f.StringVar(&o.data, "data", "", "data set; the run's own if not given")
	f.StringVar(&o.split, "split", "", "split of the clips; the run's eval.split if not given")
	f.StringVar(&o.embedding, "embedding", "",
		"projected, cls or patches; the run's eval.embedding if not given")
	f.IntVar(&o.windows, "windows", 0, "windows of a clip; the run's eval.windows if not given")
	f.IntVar(&o.most, "clips", 20_000, "most clips; of more, as many drawn at random")
	f.BoolVar(&o.center, "center", false, "subtract each modality's mean first")
	f.Float64Var(&o.layout.Perplexity, "perplexity", 30, "about how many neighbours of a point count")
	f.IntVar(&o.layout.Iterations, "iterations", 1000, "steps of the layout")
	f.Uint64Var(&o.layout.Seed, "seed", 1, "of the layout and of the draw of clips")
	return c
}

// tsneResult is what explain tsne prints.
type tsneResult struct {
	Points int      `json:"points"`
	Clips  int      `json:"clips"`
	Of     int      `json:"of"`     // clips of the split
	Unread int      `json:"unread"` // clips that could not be read
	Kept   float64  `json:"kept"`   // share of 10 nearest neighbours that are so in the plane
	Random float64  `json:"random"` // the same of random places
	Files  []string `json:"files"`
}

func showTSNE(out io.Writer, r *tsneResult, asJSON bool) error {
	if asJSON {
		return writeJSON(out, r)
	}
	fmt.Fprintf(out, "%d points of %d clips; of a point's 10 nearest, %.0f %% are nearest on the map "+
		"too (at random %.1f %%)\n", r.Points, r.Clips, 100*r.Kept, 100*r.Random)
	for _, f := range r.Files {
		fmt.Fprintln(out, f)
	}
	return nil
}

// mapped are the points of a map: all clips heard, then all seen.
type mapped struct {
	keys, classes []string // of a clip
	places        []float64
}

func (o *tsneOptions) fill(r *runState) {
	eval := evalOptions{data: o.data, split: o.split, embedding: o.embedding, windows: o.windows}
	eval.fill(r)
	o.data, o.split, o.embedding, o.windows = eval.data, eval.split, eval.embedding, eval.windows
}

func runTSNE(ctx context.Context, path string, o *tsneOptions, p *progress) (*tsneResult, error) {
	if most := tsne.MostRows / 2; o.most < 2 || o.most > most {
		return nil, usageError(fmt.Errorf("--clips %d is outside 2 to %d", o.most, most))
	}
	run, err := openRun(path)
	if err != nil {
		return nil, err
	}
	if err := setAll(run.cfg, o.set); err != nil {
		return nil, err
	}
	if err := validate(run.cfg); err != nil {
		return nil, err
	}
	o.fill(run)
	if _, err := (embed.Vectors{}).Pick(o.embedding); err != nil {
		return nil, usageError(err)
	}
	set, err := openSplit(ctx, o.data, o.split, p)
	if err != nil {
		return nil, err
	}
	if err := o.makeOut(); err != nil {
		return nil, err
	}
	r := &tsneResult{Of: set.Len()}
	set = drawClips(set, o.most, o.layout.Seed)
	f, err := o.embed(ctx, run, set, p)
	if err != nil {
		return nil, err
	}
	p.sayUnread(f.Skipped)
	r.Clips, r.Points, r.Unread = len(f.Index), 2*len(f.Index), len(f.Skipped)
	x, err := o.rows(f)
	if err != nil {
		return nil, err
	}
	m := &mapped{}
	for _, i := range f.Index {
		info := set.Info(i)
		m.keys, m.classes = append(m.keys, info.Key), append(m.classes, firstClass(set, &info))
	}
	st := p.stage(ctx, "layout", int64(o.layout.Iterations), "steps")
	m.places, err = tsne.Embed(ctx, x, o.layout, func(done, total int) {
		st.set(int64(done), int64(total), "")
	})
	st.endWith(err)
	if err != nil {
		return nil, err
	}
	const k = 10
	if r.Kept, err = tsne.Kept(ctx, x, m.places, k); err != nil {
		return nil, err
	}
	r.Random = min(1, k/float64(r.Points-1))
	r.Files, err = o.write(m, r)
	return r, err
}

// drawClips returns at most most clips of a set.
func drawClips(set *dataset.Set, most int, seed uint64) *dataset.Set {
	if set.Len() <= most {
		return set
	}
	left, need, r := set.Len(), most, rng.New(seed, "map")
	return set.Where(func(*dataset.Info) bool { // each as likely, in one pass
		take := r.IntN(left) < need
		left--
		if take {
			need--
		}
		return take
	})
}

func (o *tsneOptions) embed(ctx context.Context, run *runState, set *dataset.Set, p *progress) (
	*embed.Features, error) {
	var err error
	if run.cfg.Engine, err = localEngine(run.cfg.Engine, o.engine.Name, o.engine.Device); err != nil {
		return nil, err
	}
	e, err := openEngine(run.cfg)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	st := p.stage(ctx, "embed", int64(set.Len()), "clips")
	f, _, err := run.embed(ctx, e, set, precisionFloat, embed.Config{Windows: o.windows},
		func(n int) { st.set(int64(n), int64(set.Len()), "") })
	st.endWith(err)
	return f, err
}

// rows returns the unit embeddings (2n, D): all clips heard, then all seen.
func (o *tsneOptions) rows(f *embed.Features) (tensor.Array, error) {
	var all []float32
	n, d := len(f.Index), 0
	for _, v := range []embed.Vectors{f.Audio, f.Video} {
		a, err := v.Pick(o.embedding)
		if err != nil {
			return tensor.Array{}, usageError(err)
		}
		d = a.Shape.Cols()
		part := slices.Clone(a.Data)
		if o.center {
			retrieval.Center(part, n, d)
		}
		all = append(all, part...)
	}
	retrieval.Normalise(all, 2*n, d)
	return tensor.From(all, 2*n, d), nil
}

// firstClass returns the title of a clip's first label.
func firstClass(set *dataset.Set, f *dataset.Info) string {
	if len(f.Labels) == 0 {
		return "no label"
	}
	one := *f
	one.Labels = f.Labels[:1]
	return set.Titles(&one)
}

// most classes on a map, and how many are singled out of more.
const (
	mapClasses = 12
	mapLargest = 11
)

// byClass groups the points of both modalities by class, largest first.
func (m *mapped) byClass() []chart.Dots {
	count := map[string]int{}
	for _, c := range m.classes {
		count[c]++
	}
	names := make([]string, 0, len(count))
	for c := range count {
		names = append(names, c)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(count[b]-count[a], cmp.Compare(a, b))
	})
	shown := len(names)
	if shown > mapClasses {
		shown = mapLargest
	}
	groups, at := []chart.Dots{}, map[string]int{}
	for i, c := range names[:shown] {
		groups, at[c] = append(groups, chart.Dots{Name: c}), i
	}
	if rest := len(names) - shown; rest > 0 {
		groups = append(groups, chart.Dots{Name: fmt.Sprintf("%d others", rest), Rest: true})
	}
	n := len(m.keys)
	for i := range 2 * n {
		g, ok := at[m.classes[i%n]]
		if !ok {
			g = len(groups) - 1
		}
		groups[g].Points = append(groups[g].Points, [2]float64{m.places[2*i], m.places[2*i+1]})
	}
	return groups
}

// byModality groups the points: seen, heard, as video and audio have their colours.
func (m *mapped) byModality() []chart.Dots {
	groups, n := []chart.Dots{{Name: "seen"}, {Name: "heard"}}, len(m.keys)
	for i := range 2 * n {
		g := &groups[1-i/n]
		g.Points = append(g.Points, [2]float64{m.places[2*i], m.places[2*i+1]})
	}
	return groups
}

// write writes the maps and the table, and returns their paths.
func (o *tsneOptions) write(m *mapped, r *tsneResult) ([]string, error) {
	shown := "all shown"
	if r.Clips < r.Of {
		shown = fmt.Sprintf("%d of %d clips", r.Clips, r.Of)
	}
	note := fmt.Sprintf("%d points, %s · t-SNE, seed %d, perplexity %g · %s embedding · "+
		"only nearness counts", r.Points, shown, o.layout.Seed, o.layout.Perplexity, o.embedding)
	var files []string
	save := func(name string, write func(io.Writer) error) error {
		path := filepath.Join(o.out, name)
		files = append(files, path)
		return durable.WriteFile(path, write)
	}
	for _, s := range []struct {
		name string
		plot chart.Scatter
	}{
		{"tsne-modality", chart.Scatter{Title: "Clips heard and seen", Note: note, Groups: m.byModality(),
			TwoShapes: true}},
		{"tsne-class", chart.Scatter{Title: "Clips by class", Note: note, Groups: m.byClass()}},
	} {
		for _, v := range themed {
			name := s.name + "-" + v.name
			err := save(name+".png", func(w io.Writer) error { return s.plot.WritePNG(w, v.theme) })
			if err == nil {
				err = save(name+".svg", func(w io.Writer) error { return s.plot.WriteSVG(w, v.theme) })
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return files, save("tsne.csv", m.writeCSV)
}

func (m *mapped) writeCSV(w io.Writer) error {
	c := csv.NewWriter(w)
	_ = c.Write([]string{"key", "modality", "class", "x", "y"})
	n := len(m.keys)
	number := func(x float64) string { return strconv.FormatFloat(x, 'g', 8, 64) }
	for i := range 2 * n {
		modality := [2]string{"audio", "video"}[i/n]
		_ = c.Write([]string{m.keys[i%n], modality, m.classes[i%n], number(m.places[2*i]),
			number(m.places[2*i+1])})
	}
	c.Flush()
	return c.Error()
}
