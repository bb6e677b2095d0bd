package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"avjepa/internal/config"
	"avjepa/internal/dataset"
	"avjepa/internal/embed"
	"avjepa/internal/engine"
	"avjepa/internal/loader"
	"avjepa/internal/manifest"
	"avjepa/internal/retrieval"
)

// evalOptions say which clips are embedded, and how.
type evalOptions struct {
	data, split, embedding string
	windows                int
	center                 bool
	shift                  float64  // seconds
	precision              string   // of the encoder's weights; "" is precisionFloat
	set                    []string // key=value, over the run's settings
	engine                 config.Engine

	perClass   int   // clips of every class; 0 for all
	subsetSeed int64 // that draws them
	resamples  int   // behind the intervals; 0 for none

	// group returns the processes that embed a share of the clips each; nil for this
	// one alone.
	group func(e engine.Engine) (engine.Group, error)
}

// Precisions of an encoder's weights and activations in its matrix products.
const (
	precisionFloat = "float32"
	precisionInt8  = "int8"
	precisionBF16  = "bf16"
)

func (o *evalOptions) addFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.data, "data", "", "data set; the run's own if not given")
	f.StringVar(&o.split, "split", "", "split of the clips; the run's eval.split if not given")
	f.StringVar(&o.embedding, "embedding", "",
		"projected, cls or patches; the run's eval.embedding if not given")
	f.IntVar(&o.windows, "windows", 0, "windows of a clip; the run's eval.windows if not given")
	f.Float64Var(&o.shift, "shift", 0, "seconds by which the picture's window starts after the sound's")
	f.StringArrayVar(&o.set, "set", nil,
		"one setting over the run's, such as --set view.seconds=4; may be repeated")
	f.BoolVar(&o.center, "center", false, "subtract each modality's mean first")
	engineFlags(f, &o.engine)
}

// fill takes what was not given from the run.
func (o *evalOptions) fill(r *runState) {
	if o.data == "" {
		o.data = r.cfg.Data.Dir
	}
	if o.split == "" {
		o.split = r.cfg.Eval.Split
	}
	if o.embedding == "" {
		o.embedding = r.cfg.Eval.Embedding
	}
	if o.windows == 0 {
		o.windows = r.cfg.Eval.Windows
	}
}

// check refuses what no data set could be embedded with, before one is read.
func (o *evalOptions) check() error {
	switch {
	case o.embedding != "projected" && o.embedding != "cls" && o.embedding != "patches":
		return usageError(fmt.Errorf("--embedding %q is none of projected, cls, patches", o.embedding))
	case o.windows < 1 || o.windows > embedViews:
		return usageError(fmt.Errorf("--windows %d: want 1 to %d", o.windows, embedViews))
	case !(o.shift >= 0 && o.shift <= 3600):
		return usageError(fmt.Errorf("--shift %v: want seconds, not negative", o.shift))
	case o.shift > 0 && o.windows != 1:
		return usageError(fmt.Errorf("--shift %v: takes one window of a clip, not --windows %d", o.shift,
			o.windows))
	}
	return nil
}

func newRetrieveCommand(g *globals) *cobra.Command {
	o := &evalOptions{}
	c := &cobra.Command{
		Use:   "retrieve RUN",
		Short: "How well sounds find their pictures, and pictures their sounds",
		Long: `Encodes every held-out clip twice, heard only and seen only, and ranks all
candidates by cosine. Intervals are the middle 95 % of resamples of the queries. RUN is
a run folder or a checkpoint file. With --set the views may be longer, larger or denser
than those trained on: positions are interpolated. Started as several processes (avjepa
launch), each encodes its share.`,
		Example: `  avjepa retrieve runs/demo
  avjepa retrieve runs/mine --data data/other --split test --json
  avjepa retrieve runs/mine --set view.side=224 --set view.resize=256
  avjepa retrieve runs/mine --split test --per-class 5 --embedding cls
  avjepa retrieve runs/mine --precision int8`,
		Args: takes("RUN"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			local := config.New()
			if err := local.ApplyEnviron(os.Environ()); err != nil {
				return configError(err)
			}
			procs, err := openProcesses(cmd.Context(), local)
			if err != nil {
				return err
			}
			defer func() { procs.leave(err) }()
			o.group = procs.openGroup
			p := g.progress()
			ev, err := evaluate(cmd.Context(), args[0], o, p)
			p.wait()
			if err != nil || !ev.leads {
				return err
			}
			if err := showRetrieval(cmd.OutOrStdout(), ev, g.json); err != nil {
				return err
			}
			return partial(len(ev.features.Skipped), ev.opts.data)
		},
	}
	o.addFlags(c)
	c.Flags().IntVar(&o.resamples, "bootstrap", 1000, "resamples behind the intervals; 0 for none")
	c.Flags().IntVar(&o.perClass, "per-class", 0,
		"only so many clips of every class, drawn as the published subsets are; 0 for all")
	c.Flags().Int64Var(&o.subsetSeed, "subset-seed", 0, "seed of --per-class")
	c.Flags().StringVar(&o.precision, "precision", precisionFloat,
		"float32; bf16 where the engine has it; int8: weights and activations in bytes, faster and less exact")
	return c
}

// balanced returns so many clips of every class, as the published evaluation draws them
// from those that are there.
func balanced(set *dataset.Set, perClass int, seed uint64) *dataset.Set {
	places := manifest.Balanced(perClass, seed, set.Len(), func(i int) (int, []string) {
		f := set.Info(i)
		return f.Row, f.Labels
	})
	i := -1
	return set.Where(func(*dataset.Info) bool {
		i++
		_, found := slices.BinarySearch(places, i)
		return found
	})
}

// evaluation is the retrieval of a run's held-out clips.
type evaluation struct {
	run      *runState
	opts     evalOptions
	set      *dataset.Set
	clips    *loader.Clips
	features *embed.Features
	metrics  retrieval.Metrics
	simA2V   []float32 // (n, n) cosines, audio queries
	simV2A   []float32
	n        int
	leads    bool // the first of several processes, or the only one
}

// evaluate embeds the clips and measures both directions.
func evaluate(ctx context.Context, path string, o *evalOptions, p *progress) (*evaluation, error) {
	switch o.precision {
	case "", precisionFloat, precisionInt8, precisionBF16:
	default:
		return nil, usageError(fmt.Errorf("--precision %q is none of %s, %s, %s", o.precision,
			precisionFloat, precisionInt8, precisionBF16))
	}
	if o.perClass < 0 || o.subsetSeed < 0 || o.resamples < 0 || o.resamples > 1e6 {
		return nil, usageError(fmt.Errorf("--per-class %d, --subset-seed %d, --bootstrap %d: want counts, "+
			"of resamples at most 1000000", o.perClass, o.subsetSeed, o.resamples))
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
	own := o.data == ""
	o.fill(run)
	if err := o.check(); err != nil {
		return nil, err
	}
	set, err := openSplit(ctx, o.data, o.split, p)
	if err != nil {
		return nil, missing(err, own && o.data != "")
	}
	if o.perClass > 0 {
		if set = balanced(set, o.perClass, uint64(o.subsetSeed)); set.Len() == 0 {
			return nil, fmt.Errorf("%s has no labelled clip in split %q for --per-class", o.data, o.split)
		}
	}
	run.cfg.Engine, err = localEngine(run.cfg.Engine, o.engine.Name, o.engine.Device)
	if err != nil {
		return nil, err
	}
	if o.precision == precisionBF16 {
		run.cfg.Engine.Precision = config.PrecisionBF16
	}
	e, err := openEngine(run.cfg)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	var g engine.Group
	if o.group != nil {
		if g, err = o.group(e); err != nil {
			return nil, err
		}
	}
	st := p.stage(ctx, "embed", int64(set.Len()), "clips")
	f, clips, err := run.embed(ctx, e, set, o.precision, embed.Config{Windows: o.windows, Both: true,
		Shift: time.Duration(o.shift * float64(time.Second)), Group: g},
		func(n int) { st.set(int64(n), int64(set.Len()), "") })
	st.endWith(err)
	if err != nil {
		return nil, err
	}
	p.sayFit(run.fit)
	p.sayUnread(f.Skipped)
	ev := &evaluation{run: run, opts: *o, set: set, clips: clips, features: f, n: len(f.Index),
		leads: g == nil || g.Rank() == 0}
	return ev, ev.measure()
}

// missing marks the error of a data set that could not be opened where the run names it,
// not the user.
func missing(err error, own bool) error {
	if own {
		return kind{err, errNoData}
	}
	return err
}

// measure ranks the embeddings the options name.
func (ev *evaluation) measure() error {
	audio, err := ev.features.Audio.Pick(ev.opts.embedding)
	if err != nil {
		return usageError(err)
	}
	video, err := ev.features.Video.Pick(ev.opts.embedding)
	if err != nil {
		return usageError(err)
	}
	n, d := ev.n, audio.Shape.Cols()
	a := append([]float32(nil), audio.Data...)
	v := append([]float32(nil), video.Data...)
	if ev.opts.center {
		retrieval.Center(a, n, d)
		retrieval.Center(v, n, d)
	}
	ev.metrics = retrieval.Measure(a, v, n, d) // normalises a and v
	ev.simA2V = retrieval.Similarities(a, v, n, d)
	ev.simV2A = retrieval.Similarities(v, a, n, d)
	if r := ev.opts.resamples; r > 0 && ev.leads {
		for _, x := range []struct {
			to  *retrieval.Direction
			sim []float32
		}{{&ev.metrics.A2V, ev.simA2V}, {&ev.metrics.V2A, ev.simV2A}} {
			x.to.CI = retrieval.Bootstrap(retrieval.Ranks(x.sim, n), r, coresHere(), 0)
		}
	}
	return nil
}

// retrievalRows is the table of both directions beside chance.
func retrievalRows(m retrieval.Metrics) [][]string {
	rows := [][]string{{"retrieval of " + fmt.Sprint(m.N), "R@1 %", "R@5 %", "R@10 %", "median rank"}}
	for _, d := range []struct {
		name string
		d    retrieval.Direction
	}{{"sound → picture", m.A2V}, {"picture → sound", m.V2A}, {"chance", retrieval.Chance(m.N)}} {
		row := []string{d.name, percent(d.d.R1), percent(d.d.R5), percent(d.d.R10),
			fmt.Sprintf("%.1f", d.d.Median)}
		if c := d.d.CI; c != nil {
			for i, x := range [][2]float64{c.R1, c.R5, c.R10} {
				row[1+i] += interval(x, 100)
			}
			row[4] += interval(c.Median, 1)
		}
		rows = append(rows, row)
	}
	return rows
}

// interval is one of scale times x, in whole numbers where that is per cent or a rank: a
// table with three of them has room in 80 columns, and resamples give no more. --json has
// all digits.
func interval(x [2]float64, scale float64) string {
	return fmt.Sprintf(" [%.0f, %.0f]", scale*x[0], scale*x[1])
}

func percent(x float64) string { return fmt.Sprintf("%.1f", 100*x) }

func showRetrieval(out io.Writer, ev *evaluation, asJSON bool) error {
	if asJSON {
		return writeJSON(out, ev.metrics)
	}
	table(out, "lrrrr", retrievalRows(ev.metrics))
	precise := ""
	if ev.opts.precision == precisionInt8 {
		precise = ", weights and activations in bytes"
	}
	if ev.opts.resamples > 0 {
		fmt.Fprintf(out, "\nin brackets: 95 %% of %d resamples of the queries", ev.opts.resamples)
	}
	fmt.Fprintf(out, "\n%s embedding, windows of a clip: %d, step %d%s\nsplit %q of %s\n",
		ev.opts.embedding, ev.opts.windows, ev.run.state.Step, precise, ev.opts.split, ev.opts.data)
	return nil
}
