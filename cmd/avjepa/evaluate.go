package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"avjepa/internal/config"
	"avjepa/internal/dataset"
	"avjepa/internal/finetune"
	"avjepa/internal/loader"
	"avjepa/internal/train"
	"avjepa/internal/view"
)

// evaluateOptions are the flags of evaluate.
type evaluateOptions struct {
	data, split, out string
	windows          int
	resamples        int
	seed             int64
	confused         int
	precision        string
	set              []string
	engine           config.Engine
}

func newEvaluateCommand(g *globals) *cobra.Command {
	o := &evaluateOptions{}
	c := &cobra.Command{
		Use:   "evaluate RUN",
		Short: "How good a classifier is on held-out clips",
		Long: `Scores every clip of a split once, in one process, with both heads, shown and heard,
heard alone and seen alone: top-1, top-5, and over classes mean average precision, area
under the ROC curve and d′. Intervals are the middle 95 % of resamples of the clips. RUN
is a run of finetune or probe, of which the best epoch is taken, or a checkpoint file.`,
		Example: `  avjepa evaluate runs/mine-probe
  avjepa evaluate runs/mine-finetune --windows 6 --out classes.csv
  avjepa evaluate runs/mine-finetune --data data/other --split test --json`,
		Args: takes("RUN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p := g.progress()
			r, err := runEvaluate(cmd.Context(), args[0], o, p)
			p.wait()
			if err != nil {
				return err
			}
			if err := showEvaluation(cmd.OutOrStdout(), r, g.json); err != nil {
				return err
			}
			return partial(r.Skipped, r.Data)
		},
	}
	f := c.Flags()
	f.StringVar(&o.data, "data", "", "data set; the run's own if not given")
	f.StringVar(&o.split, "split", "", "split of the clips; the one the run was judged by if not given")
	f.IntVar(&o.windows, "windows", 0,
		"windows of a clip, whose logits are averaged; the run's eval.windows if not given")
	f.StringVar(&o.out, "out", "", "CSV file to write every class to")
	f.IntVar(&o.resamples, "bootstrap", 1000, "resamples behind the intervals; 0 for none")
	f.Int64Var(&o.seed, "seed", 0, "seed of the resamples")
	f.IntVar(&o.confused, "confused", 10, "pairs of classes that are confused most to list")
	f.StringVar(&o.precision, "precision", "",
		"of the encoder's products: f32, or bf16 where the engine has it")
	f.StringArrayVar(&o.set, "set", nil,
		"one setting over the run's, such as --set view.seconds=4; may be repeated")
	engineFlags(f, &o.engine)
	return c
}

// classification is what evaluate found.
type classification struct {
	*finetune.Report
	Run     string `json:"run"`
	Step    int    `json:"step"`
	Data    string `json:"data"`
	Split   string `json:"split"`
	Windows int    `json:"windows"`
	Unknown int    `json:"unknown_clips"` // without a label that the heads know: left out
	Skipped int    `json:"skipped"`       // could not be read
	Out     string `json:"out,omitempty"`
}

// fill takes what was not given from the run, and refuses what cannot be.
func (o *evaluateOptions) fill(c *config.Config) error {
	if o.resamples < 0 || o.resamples > 1e6 {
		return usageError(fmt.Errorf("--bootstrap %d: want 0 to 1000000", o.resamples))
	}
	if o.windows < 0 || o.windows > embedViews {
		return usageError(fmt.Errorf("--windows %d: want 1 to %d", o.windows, embedViews))
	}
	if o.confused < 0 {
		return usageError(fmt.Errorf("--confused %d: want a count of pairs, 0 for none", o.confused))
	}
	if o.out != "" { // before an hour of scoring
		if at, err := os.Stat(filepath.Dir(o.out)); err != nil || !at.IsDir() {
			return usageError(fmt.Errorf("--out %s: its folder does not exist", o.out))
		}
	}
	if o.data == "" {
		o.data = c.Data.Dir
	}
	if o.split == "" {
		if o.split = c.Finetune.HoldOut; o.split == "" {
			o.split = c.Eval.Split
		}
	}
	if o.windows == 0 {
		o.windows = c.Eval.Windows
	}
	return nil
}

// runEvaluate scores the clips and measures the scores.
func runEvaluate(ctx context.Context, path string, o *evaluateOptions, p *progress) (
	*classification, error) {
	run, err := openRun(path)
	if err != nil {
		return nil, err
	}
	c := run.cfg
	if err := setAll(c, o.set); err != nil {
		return nil, err
	}
	own := o.data == ""
	if err := o.fill(c); err != nil {
		return nil, err
	}
	if err := run.checkHeads(); err != nil { // before data are looked for
		return nil, err
	}
	if c.Engine, err = localEngine(c.Engine, o.engine.Name, o.engine.Device); err != nil {
		return nil, err
	}
	if o.precision != "" {
		if err := c.Set("engine.precision", o.precision, "flag --precision"); err != nil {
			return nil, configError(err)
		}
	}
	if err := validate(c); err != nil {
		return nil, err
	}
	set, err := openShowing(ctx, o.data, c.Finetune.Modality, p)
	if err != nil {
		return nil, missing(err, own && o.data != "")
	}
	labels, err := run.heads(set)
	if err != nil {
		return nil, err
	}
	shown := set.Select(o.split)
	part, unknown := labels.Known(shown)
	if n := shown.Len(); n > 0 && part.Len() == 0 {
		return nil, fmt.Errorf("%s: in split %q none of %s has a class of %s (%s …): give the data set, or "+
			"one with the same classes (--data)", o.data, o.split, amount(n, "clips"), run.path,
			strings.Join(labels.Classes[:min(3, len(labels.Classes))], ", "))
	}
	if part.Len() == 0 {
		return nil, fmt.Errorf("%s has no clip in split %q with a class of %s: it has %s (--split chooses)",
			o.data, o.split, run.path, strings.Join(set.Splits(), ", "))
	}
	scores, err := run.score(ctx, part, labels, o, p)
	if err != nil {
		return nil, err
	}
	p.sayUnread(scores.Skipped)
	r := &classification{Run: run.path, Step: run.state.Step, Data: o.data, Split: o.split,
		Windows: o.windows, Unknown: unknown, Skipped: len(scores.Skipped)}
	st := p.stage(ctx, "measure", 1, "part")
	r.Report = finetune.Measure(scores, finetune.NewTruth(labels, part, scores.Clips),
		finetune.MeasureConfig{Resamples: o.resamples, Seed: uint64(o.seed), Workers: coresHere(),
			Names: titles(set, labels.Classes), Confused: o.confused})
	st.set(1, 1, "")
	st.endWith(nil)
	if o.out != "" {
		r.Out = o.out
		if err := writeClasses(o.out, r.PerClass); err != nil {
			return nil, err
		}
	}
	return r, ctx.Err()
}

// checkHeads returns an error that says so when a checkpoint has no heads.
func (r *runState) checkHeads() error {
	if _, head := r.linearHead(); !r.file.Has(head + ".weight") {
		return kind{fmt.Errorf("%s has no classifier: avjepa probe or avjepa finetune makes one of it",
			r.path), errCheckpoint}
	}
	return nil
}

// heads returns the classes of a checkpoint's heads.
func (r *runState) heads(set *dataset.Set) (*finetune.Labels, error) {
	_, head := r.linearHead()
	w, err := r.file.Float32(head + ".weight")
	if err != nil {
		return nil, kind{err, errCheckpoint}
	}
	own := finetune.LabelsOf(set)
	classes := r.state.Classes
	if len(classes) == 0 {
		classes = own.Classes // of an imported checkpoint: the order is the data set's
	}
	if w.Shape.Rank() != 2 || w.Shape.Dim(0) != len(classes) {
		return nil, kind{fmt.Errorf("%s: heads of shape %v for %d classes: it does not name its classes, "+
			"and those of the data set are others", r.path, w.Shape, len(classes)), errCheckpoint}
	}
	multi := own.Multi
	switch r.cfg.Finetune.Labels {
	case config.LabelsMulti:
		multi = true
	case config.LabelsSingle:
		multi = false
	}
	return finetune.NewLabels(classes, multi).Named(set.Classes()), nil
}

// linearHead returns the names of the linear head's layers: ours, which are those of the
// published online probes, or those of the published fine-tuned models.
func (r *runState) linearHead() (norm, head string) {
	if !r.file.Has("probe_head.weight") && r.file.Has("head.weight") && r.file.Has("norm.weight") {
		return "norm", "head"
	}
	return "probe_norm", "probe_head"
}

// score scores the clips of a set with the run's network.
func (r *runState) score(ctx context.Context, set *dataset.Set, labels *finetune.Labels,
	o *evaluateOptions, p *progress) (*finetune.Scores, error) {
	c := r.cfg
	c.Finetune.Attentive = r.file.Has("att_probe.query")
	c.Finetune.BackboneLR = 0
	model, _, err := c.FinetuneModel(len(labels.Classes))
	if err != nil {
		return nil, configError(err)
	}
	if err := r.holds(model); err != nil {
		return nil, err
	}
	e, err := openEngine(c)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	net, err := finetune.New(e, model, embedViews, finetune.Scoring)
	if err != nil {
		return nil, err
	}
	defer net.Free()
	if _, err := r.into(net, p); err != nil {
		return nil, err
	}
	arrays, err := train.Arrays(r.file)
	if err == nil {
		norm, head := r.linearHead()
		for _, what := range []string{".weight", ".bias"} {
			arrays["probe_norm"+what], arrays["probe_head"+what] = arrays[norm+what], arrays[head+what]
		}
		err = net.ImportHeads(arrays)
	}
	if err != nil {
		return nil, kind{err, errCheckpoint}
	}
	maker, err := view.NewMaker(c.FinetuneView())
	if err != nil {
		return nil, configError(err)
	}
	st := p.stage(ctx, "score", int64(set.Len()), "clips")
	s, err := net.Score(ctx, loader.NewClips(set, maker, 0), finetune.ScoreConfig{Windows: o.windows,
		Workers: workers(c), Modalities: finetune.Inputs(c.FinetuneConfig().Modality)},
		func(n int) { st.set(int64(n), int64(set.Len()), "") })
	st.endWith(err)
	return s, err
}

// titles returns the names of classes that a set knows by their IDs.
func titles(set *dataset.Set, ids []string) []string {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = id
		if at := set.Class(id); at >= 0 {
			names[i] = set.Classes()[at].Title()
		}
	}
	return names
}
