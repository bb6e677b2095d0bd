package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"avjepa/internal/config"
	"avjepa/internal/dataset"
	"avjepa/internal/embed"
	"avjepa/internal/engine"
	"avjepa/internal/jepa"
	"avjepa/internal/media"
	"avjepa/internal/metrics"
	"avjepa/internal/probe"
	"avjepa/internal/report"
	"avjepa/internal/retrieval"
	"avjepa/internal/scenes"
	"avjepa/internal/train"
)

// demoOptions are the flags of demo.
type demoOptions struct {
	data    string
	work    string
	runs    string
	name    string
	seed    int64
	minutes float64
	fresh   bool
	preset  string
	set     []string
}

func newDemoCommand(g *globals) *cobra.Command {
	o := &demoOptions{}
	c := &cobra.Command{
		Use:   "demo",
		Short: "From nothing to a trained encoder and a report, in one command",
		Long: `Makes a small set of sounding scenes (real MP4 files), ingests it, pretrains a tiny
encoder on it without labels, measures retrieval and linear probes on held-out
scenes, and writes a report with pictures. With --data it does the same on your
own videos. Interrupted, it goes on where it was.`,
		Example: `  avjepa demo
  avjepa demo --seed 1 --name demo-1
  avjepa demo --data ~/Videos`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p := g.progress()
			sum, err := runDemo(cmd.Context(), o, p)
			p.wait()
			if err != nil {
				return err
			}
			return showDemo(cmd.OutOrStdout(), sum, g.json)
		},
	}
	f := c.Flags()
	f.StringVar(&o.data, "data", "", "your own videos: a folder, a file or a CSV")
	f.StringVar(&o.work, "work", "data/demo", "folder for scenes and shards")
	f.StringVar(&o.runs, "runs", "runs", "folder of runs")
	f.StringVar(&o.name, "name", "demo", "name of the run")
	f.Int64Var(&o.seed, "seed", 0, "seed of the model and its training")
	f.Float64Var(&o.minutes, "minutes", 8, "most minutes in all; training is shortened to fit")
	f.BoolVar(&o.fresh, "fresh", false, "train again from the start when the run exists")
	f.StringVar(&o.preset, "preset", "", "preset: demo for the scenes, tiny for your own videos")
	f.StringArrayVar(&o.set, "set", nil, "one setting, as for pretrain")
	return c
}

// demoSummary is summary.json and what demo --json prints.
type demoSummary struct {
	Seconds   float64            `json:"seconds"`
	Stages    map[string]float64 `json:"stages"` // seconds each
	Seed      int64              `json:"seed"`
	Run       string             `json:"run"`
	Report    string             `json:"report"`
	Clips     map[string]int     `json:"clips"` // by split
	Retrieval retrieval.Metrics  `json:"retrieval"`
	Probe     *probeSummary      `json:"probe,omitempty"`
	Pretrain  *pretrainSummary   `json:"pretrain"`
}

// probeSummary is the accuracy of linear probes on the frozen encoder.
type probeSummary struct {
	Classes int         `json:"classes"`
	Audio   probeResult `json:"audio"`
	Video   probeResult `json:"video"`
	Both    probeResult `json:"both"`
}

type probeResult struct {
	Top1 float64 `json:"top1"`
}

// demo is a demo in progress.
type demo struct {
	*demoOptions
	p     *progress
	start time.Time
	sum   *demoSummary
	cfg   *config.Config
	own   bool // the user's own videos
}

func runDemo(ctx context.Context, o *demoOptions, p *progress) (*demoSummary, error) {
	d := &demo{demoOptions: o, p: p, start: time.Now(), own: o.data != "",
		sum: &demoSummary{Stages: map[string]float64{}, Seed: o.seed}}
	if o.preset == "" {
		o.preset = "demo"
		if d.own {
			o.preset = "tiny"
		}
	}
	cfg, err := (&settings{preset: o.preset, set: o.set}).resolve()
	if err != nil {
		return nil, err
	}
	d.cfg = cfg
	cfg.Data.Dir = filepath.Join(o.work, "clips")
	if d.own {
		cfg.Data.Dir = filepath.Join(o.work, "own")
	}
	cfg.Seed = o.seed
	for _, s := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"scenes", d.makeScenes}, {"ingest", d.ingest}, {"pretrain", d.pretrain}, {"evaluate", d.evaluate},
	} {
		began := time.Now()
		if err := s.run(ctx); err != nil {
			return nil, err
		}
		d.sum.Stages[s.name] = time.Since(began).Seconds()
	}
	d.sum.Seconds = time.Since(d.start).Seconds()
	run, err := train.Open(d.dir())
	if err != nil {
		return nil, err
	}
	defer run.Close()
	return d.sum, run.WriteJSON("summary.json", d.sum)
}

func (d *demo) dir() string { return filepath.Join(d.runs, d.name) }

// makeScenes writes the sounding scenes, unless there are videos already.
func (d *demo) makeScenes(ctx context.Context) error {
	if d.own {
		return nil
	}
	tools, err := media.Find()
	if err != nil {
		return err
	}
	cfg := scenes.Default()
	cfg.Workers = runtime.NumCPU()
	st := d.p.stage("scenes", int64(cfg.Train+cfg.HeldOut), "scenes")
	err = scenes.Write(ctx, tools, filepath.Join(d.work, "scenes"), cfg,
		func(done, total int) { st.set(int64(done), int64(total), "") })
	if err != nil {
		st.stop()
		return err
	}
	st.done()
	return nil
}

// ingest turns the videos into shards.
func (d *demo) ingest(ctx context.Context) error {
	def := dataset.DefaultIngestConfig().Settings
	o := &ingestOptions{sources: []string{d.data}, out: d.cfg.Data.Dir, shortSide: d.cfg.View.Resize,
		fps: def.FPS, clipSeconds: 10, valFraction: 0.2}
	if !d.own {
		o.sources = []string{filepath.Join(d.work, "scenes", scenes.ManifestName)}
		o.fps = scenes.Default().FPS
	}
	sum, err := runIngest(ctx, o, d.p)
	if err != nil {
		return err
	}
	d.sum.Clips = sum.Splits
	if n := len(sum.LeftOut); n > 0 {
		d.p.say("%d clips left out, with reasons in %s", n, filepath.Join(o.out, "left-out.csv"))
	}
	return nil
}

// evaluateSeconds is kept back for evaluation and the report.
const evaluateSeconds = 25

// pretrain trains, for as many steps as the minutes allow.
func (d *demo) pretrain(ctx context.Context) error {
	c := d.cfg
	set, err := openSplit(c.Data.Dir, c.Data.Split)
	if err != nil {
		return err
	}
	c.Train.BatchSize = min(c.Train.BatchSize, set.Len())
	if c.Train.BatchSize < 2 {
		return fmt.Errorf("only %d clips with picture and sound to train on: the demo needs at least 2, "+
			"and some hundreds to learn anything", set.Len())
	}
	if err := c.Validate(); err != nil {
		return configError(err)
	}
	if err := useStats(ctx, c, set, d.p); err != nil {
		return err
	}
	if d.fresh {
		if err := os.RemoveAll(d.dir()); err != nil {
			return err
		}
	}
	run, err := train.Open(d.dir())
	if err != nil {
		return err
	}
	defer run.Close()
	e, err := openEngine(c)
	if err != nil {
		return err
	}
	defer e.Close()
	if _, err := train.Latest(d.dir()); errors.Is(err, train.ErrNoCheckpoint) {
		if err := d.fit(e, set.Len()); err != nil {
			return err
		}
	} else if err := d.readSteps(); err != nil {
		return err
	}
	d.sum.Pretrain, err = trainIn(ctx, run, c, &pretrainOptions{resume: true}, e, set, d.p)
	return err
}

// fit shortens the schedule when the machine is too slow for the whole.
func (d *demo) fit(e engine.Engine, clips int) error {
	jc, err := d.cfg.JEPAConfig()
	if err != nil {
		return configError(err)
	}
	perStep, err := stepSeconds(e, jc, d.cfg.Train.BatchSize)
	if err != nil {
		return err
	}
	left := d.minutes*60 - time.Since(d.start).Seconds() - evaluateSeconds
	steps := d.cfg.TrainConfig(clips).Schedule.Steps
	most := max(20, int(left/(perStep*1.1)))
	if most < steps || d.own {
		d.cfg.Train.Steps = min(most, max(steps, 20))
	}
	if most < steps {
		d.p.say("this machine takes %.2f s a step: training %d steps instead of %d to end within %g minutes "+
			"(--minutes gives more)", perStep, most, steps, d.minutes)
	}
	return nil
}

// readSteps takes the length of an interrupted run from its configuration.
func (d *demo) readSteps() error {
	old := config.New()
	if err := old.ApplyFile(filepath.Join(d.dir(), "config.toml")); err != nil {
		return err
	}
	d.cfg.Train.Steps = old.Train.Steps
	return nil
}

// stepSeconds times a few steps of the real model on empty input.
func stepSeconds(e engine.Engine, jc jepa.Config, batch int) (float64, error) {
	model, err := jepa.New(e, jc, 0, batch)
	if err != nil {
		return 0, err
	}
	defer model.Free()
	in, err := model.NewBatch(engine.U8)
	if err != nil {
		return 0, err
	}
	best := 0.0
	for i, began := 0, time.Now(); i < 2 || i < 8 && time.Since(began) < 3*time.Second; i++ {
		t := time.Now()
		model.Step(in, i)
		model.Losses()
		if s := time.Since(t).Seconds(); best == 0 || s < best {
			best = s
		}
	}
	return best, nil
}

// evaluate measures retrieval and probes on held-out clips and writes the report.
func (d *demo) evaluate(ctx context.Context) error {
	ev, err := evaluate(ctx, d.dir(), &evalOptions{}, d.p)
	if err != nil {
		return err
	}
	d.sum.Retrieval, d.sum.Run = ev.metrics, d.dir()
	if d.sum.Probe, err = d.probe(ctx, ev); err != nil {
		return err
	}
	data, err := reportData(d.dir(), ev, 8)
	if err != nil {
		return err
	}
	if t := d.probeTable(); t != nil {
		data.Tables = append(data.Tables, *t)
	}
	data.Limits = demoLimits(d.own)
	data.Repeat = fmt.Sprintf("avjepa demo --fresh --seed %d --name %s", d.seed, d.name)
	if d.own {
		data.Repeat += " --data " + d.data
	}
	d.sum.Report, err = writeReport(d.dir(), data)
	return err
}

// probeClips is how many training clips the probes are fitted on.
const probeClips = 1200

// probe fits linear probes on frozen embeddings of training clips, one per
// modality, and tests them on the held-out ones. Without labels there is none.
func (d *demo) probe(ctx context.Context, ev *evaluation) (*probeSummary, error) {
	labels := ev.set.Labels()
	if len(labels) < 2 {
		return nil, nil
	}
	class := map[string]int{}
	for i, l := range labels {
		class[l] = i
	}
	set, err := openSplit(d.cfg.Data.Dir, d.cfg.Data.Split)
	if err != nil {
		return nil, err
	}
	seen := 0
	set = set.Where(func(f *dataset.Info) bool { // keys are sorted by file: take them evenly
		_, known := class[f.Label]
		seen++
		return known && seen*probeClips/max(set.Len(), 1) != (seen-1)*probeClips/max(set.Len(), 1)
	})
	e, err := openEngine(d.cfg)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	st := d.p.stage("probe", int64(set.Len()), "clips")
	f, _, err := ev.run.embed(ctx, e, set, ev.opts.windows, true,
		func(n int) { st.set(int64(n), int64(set.Len()), "") })
	if err != nil {
		st.stop()
		return nil, err
	}
	st.done()
	classes := func(s *dataset.Set, index []int) []int {
		var out []int
		for _, i := range index {
			out = append(out, class[s.Info(i).Label])
		}
		return out
	}
	want, known := classes(ev.set, ev.features.Index), classes(set, f.Index)
	sum := &probeSummary{Classes: len(labels)}
	for _, m := range []struct {
		to             *probeResult
		train, heldOut embed.Vectors
	}{{&sum.Audio, f.Audio, ev.features.Audio}, {&sum.Video, f.Video, ev.features.Video},
		{&sum.Both, f.Both, ev.features.Both}} {
		head, err := probe.Fit(e, probe.Default(), m.train.CLS, known, len(labels))
		if err != nil {
			return nil, err
		}
		m.to.Top1 = metrics.TopK(head.Scores(m.heldOut.CLS), want, len(labels), 1)
	}
	return sum, nil
}

func (d *demo) probeTable() *report.Table {
	s := d.sum.Probe
	if s == nil {
		return nil
	}
	return &report.Table{Title: "Linear probes on the frozen encoder",
		Read: "A linear layer fitted on embeddings of training clips names the kind of held-out ones, from sound or picture alone.",
		Head: []string{"input", "top-1 %", "chance %"},
		Rows: [][]string{
			{"sound", percent(s.Audio.Top1), percent(1 / float64(s.Classes))},
			{"picture", percent(s.Video.Top1), percent(1 / float64(s.Classes))},
			{"both", percent(s.Both.Top1), percent(1 / float64(s.Classes))},
		}}
}

// demoLimits says what to think of the figures.
func demoLimits(own bool) []string {
	if own {
		return []string{"Minutes of training on a CPU show that everything works, not how good the method is: " +
			"the paper trained for days on eight GPUs.",
			"A few held-out clips make noisy percentages; retrieval among n clips has a chance level of 1/n."}
	}
	return []string{
		"The scenes are a toy: one thing each, eight kinds, seen at 32 pixels. What the encoder matches is kind and size; " +
			"that it hears when a thing hits the floor has not been shown.",
		"Among 200 clips one clip is half a percentage point: R@1 is certain to about two points.",
		"SIGReg ends above its floor of 1.06: the run is short.",
	}
}

func showDemo(out io.Writer, s *demoSummary, asJSON bool) error {
	if asJSON {
		return writeJSON(out, s)
	}
	table(out, "lrrrr", retrievalRows(s.Retrieval))
	if p := s.Probe; p != nil {
		fmt.Fprintln(out)
		chance := percent(1 / float64(p.Classes))
		table(out, "lrr", [][]string{{"linear probe", "top-1 %", "chance %"},
			{"sound alone", percent(p.Audio.Top1), chance}, {"picture alone", percent(p.Video.Top1), chance},
			{"both", percent(p.Both.Top1), chance}})
	}
	if t := s.Pretrain; t != nil {
		fmt.Fprintf(out, "\n%d steps on %d clips at %.0f GFLOP/s; std %.2f, SIGReg %.2f; %.1f %% of training waiting for data\n",
			t.Steps, t.Clips, t.GFLOPS, t.Last.Std, t.Last.SIGReg, 100*t.WaitShare)
	}
	fmt.Fprintf(out, "%s in all. Look at it: %s\n", span(time.Duration(s.Seconds*float64(time.Second))), s.Report)
	return nil
}
