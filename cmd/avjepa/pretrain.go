package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"avjepa/internal/config"
	"avjepa/internal/dataset"
	"avjepa/internal/engine"
	"avjepa/internal/jepa"
	"avjepa/internal/train"
)

// pretrainOptions are the flags of pretrain that are no settings.
type pretrainOptions struct {
	runs, name string
	resume     bool
	dryRun     bool
}

func newPretrainCommand(g *globals) *cobra.Command {
	s := &settings{preset: "tiny"}
	o := &pretrainOptions{}
	c := &cobra.Command{
		Use:   "pretrain",
		Short: "Train an encoder on a data set, without labels",
		Long: `Trains AV-JEPA and writes runs/NAME: the resolved configuration, metrics.jsonl and
checkpoints. Ctrl-C saves and leaves; --resume continues, bit for bit.`,
		Example: `  avjepa pretrain --data data/mine --preset tiny --name first
  avjepa pretrain --data data/mine --preset tiny --dry-run
  avjepa pretrain --data data/mine --preset tiny --name first --resume`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.resolve()
			if err != nil {
				return err
			}
			for flag, key := range pretrainKeys {
				if err := override(c, cmd, flag, key); err != nil {
					return configError(err)
				}
			}
			if o.name == "" {
				o.name = s.preset
			}
			p := g.progress()
			sum, err := runPretrain(cmd.Context(), c, o, p, cmd.OutOrStdout())
			p.wait()
			if o.dryRun || sum == nil {
				return err
			}
			return errors.Join(err, showPretrain(cmd.OutOrStdout(), sum, g.json))
		},
	}
	s.addFlags(c)
	f := c.Flags()
	f.String("data", "", "folder written by avjepa ingest")
	f.Int("batch-size", 0, "clips a step")
	f.Int("epochs", 0, "passes over the clips")
	f.Int("steps", 0, "optimiser steps, instead of epochs")
	f.Float64("lr", 0, "peak learning rate")
	f.Int64("seed", 0, "run seed")
	f.Int("threads", 0, "worker threads, 0 for one per core")
	f.StringVar(&o.runs, "runs", "runs", "folder of runs")
	f.StringVar(&o.name, "name", "", "name of the run; the preset's if not given")
	f.BoolVar(&o.resume, "resume", false, "continue the run of this name")
	f.BoolVar(&o.dryRun, "dry-run", false, "only say what it would take")
	return c
}

// pretrainKeys maps the flags to the settings they are short for.
var pretrainKeys = map[string]string{
	"data": "data.dir", "batch-size": "train.batch_size", "epochs": "train.epochs",
	"steps": "train.steps", "lr": "train.lr", "seed": "seed", "threads": "engine.threads",
}

// pretrainSummary is how a run ended, for --json and summary.json.
type pretrainSummary struct {
	Run        string  `json:"run"`
	Checkpoint string  `json:"checkpoint"`
	Steps      int     `json:"steps"`
	Clips      int     `json:"clips"`
	Seconds    float64 `json:"seconds"`
	ClipsPerS  float64 `json:"clips_per_s"`
	GFLOPS     float64 `json:"gflops"`
	WaitShare  float64 `json:"wait_share"`
	PeakRSSMB  float64 `json:"peak_rss_mb"`
	Skipped    int     `json:"skipped"`

	Last train.Metrics `json:"last"`
}

// runPretrain trains as configured. The summary is nil when nothing was trained.
func runPretrain(ctx context.Context, c *config.Config, o *pretrainOptions, p *progress,
	out io.Writer) (*pretrainSummary, error) {
	if err := c.Validate(); err != nil {
		return nil, configError(err)
	}
	set, err := openSplit(c.Data.Dir, c.Data.Split)
	if err != nil {
		return nil, err
	}
	if set.Len() < c.Train.BatchSize {
		return nil, fmt.Errorf("%s has %d clips with picture and sound to train on, fewer than "+
			"train.batch_size = %d: ingest more, or lower it", c.Data.Dir, set.Len(), c.Train.BatchSize)
	}
	if err := useStats(ctx, c, set, p); err != nil {
		return nil, err
	}
	e, err := openEngine(c)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	if o.dryRun {
		return nil, dryRun(out, c, e, set)
	}
	dir := filepath.Join(o.runs, o.name)
	run, err := train.Open(dir)
	if err != nil {
		return nil, err
	}
	defer run.Close()
	return trainIn(ctx, run, c, o, e, set, p)
}

// trainIn trains in an open run folder.
func trainIn(ctx context.Context, run *train.Folder, c *config.Config, o *pretrainOptions,
	e engine.Engine, set *dataset.Set, p *progress) (*pretrainSummary, error) {
	jc, err := c.JEPAConfig()
	if err != nil {
		return nil, configError(err)
	}
	model, err := jepa.New(e, jc, uint64(c.Seed), c.Train.BatchSize)
	if err != nil {
		return nil, err
	}
	defer model.Free()
	clips, err := newClips(c, set)
	if err != nil {
		return nil, err
	}
	tc := c.TrainConfig(set.Len())
	tc.Resume, tc.Workers = o.resume, workers(c)
	if err := run.Write("config.toml", []byte(tc.TOML)); err != nil {
		return nil, err
	}
	pointLatest(run.Dir)
	total := int64(tc.Schedule.Steps)
	st := p.stage("pretrain", total, "steps")
	var last train.Metrics
	first := true
	res, err := train.Pretrain(ctx, run, e, model, clips, tc, func(m train.Metrics) {
		if first {
			st.from(int64(m.Step - 1))
			first = false
		}
		last = m
		st.set(int64(m.Step), total, fmt.Sprintf("loss %.3f · std %.2f · %.0f clips/s · %.0f GFLOP/s",
			m.Total, m.Std, m.ClipsPerS, m.GFLOPS))
	})
	if errors.Is(err, train.ErrMismatch) {
		err = kind{err, errCheckpoint}
	}
	if err != nil {
		st.stop()
	} else {
		st.done()
	}
	for key, why := range res.Skipped {
		p.say("skipped %s: %v", key, why)
	}
	if errors.Is(err, errInterrupted) && res.Checkpoint != "" {
		p.say("saved %s; continue with --resume", res.Checkpoint)
	}
	if res.Seconds == 0 {
		return nil, err
	}
	sum := &pretrainSummary{Run: run.Dir, Checkpoint: res.Checkpoint, Steps: res.Steps, Clips: set.Len(),
		Seconds: res.Seconds, GFLOPS: res.GFLOPS, WaitShare: res.WaitShare,
		ClipsPerS: float64((res.Steps-res.First)*c.Train.BatchSize) / res.Seconds,
		PeakRSSMB: float64(peakRSSBytes()) / (1 << 20), Skipped: len(res.Skipped), Last: last}
	return sum, errors.Join(err, run.WriteJSON("pretrain.json", sum))
}

// pointLatest makes runs/latest point at a run. It is a convenience: a file
// system without links goes without.
func pointLatest(dir string) {
	link := filepath.Join(filepath.Dir(dir), "latest")
	if info, err := os.Lstat(link); err == nil && info.Mode()&os.ModeSymlink == 0 {
		return // somebody's own run of that name
	}
	tmp := link + ".new"
	os.Remove(tmp)
	if os.Symlink(filepath.Base(dir), tmp) == nil {
		os.Rename(tmp, link)
	}
}

func showPretrain(out io.Writer, s *pretrainSummary, asJSON bool) error {
	if asJSON {
		return writeJSON(out, s)
	}
	fmt.Fprintf(out, "%d steps in %s: loss %.4f, invariance %.4f, SIGReg %.3f, std %.3f\n",
		s.Steps, span(time.Duration(s.Seconds*float64(time.Second))),
		s.Last.Total, s.Last.Invariance, s.Last.SIGReg, s.Last.Std)
	fmt.Fprintf(out, "%.0f clips/s, %.0f GFLOP/s, %.1f %% of the time waiting for data, %.0f MB at most\n",
		s.ClipsPerS, s.GFLOPS, 100*s.WaitShare, s.PeakRSSMB)
	if s.Checkpoint != "" {
		fmt.Fprintf(out, "%s\n\nNext: avjepa report %s\n", s.Checkpoint, s.Run)
	}
	return nil
}

// dryRun prints what a run would take, without taking it.
func dryRun(out io.Writer, c *config.Config, e engine.Engine, set *dataset.Set) error {
	jc, err := c.JEPAConfig()
	if err != nil {
		return configError(err)
	}
	plan, err := jepa.PlanTraining(jc, c.Train.BatchSize)
	if err != nil {
		return err
	}
	rate, err := measureRate(e, jc)
	if err != nil {
		return err
	}
	tc := c.TrainConfig(set.Len())
	perStep := float64(plan.StepFLOPs) / rate
	perEpoch := max(1, set.Len()/c.Train.BatchSize)
	mb := func(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/(1<<20)) }
	const batchesAhead = 3 // of the loader, on the host
	cache := min(int64(c.Data.CacheMB)<<20, int64(set.Len())*decodedBytes(c, set))
	all := plan.Total() + batchesAhead*plan.Inputs + cache
	table(out, "lr", [][]string{
		{"parameters", fmt.Sprintf("%d", plan.Parameters)},
		{"tokens of a view", fmt.Sprintf("%d", jc.Encoder.Tokens())},
		{"clips", fmt.Sprintf("%d", set.Len())},
		{"steps", fmt.Sprintf("%d of %d clips", tc.Schedule.Steps, c.Train.BatchSize)},
		{"parameters, gradients, moments", mb(plan.Values + plan.Gradients + plan.Moments)},
		{"activations", mb(plan.Activations)},
		{"batches", mb((1 + batchesAhead) * plan.Inputs)},
		{"decoded clips kept", mb(cache)},
		{"memory in all", mb(all)},
		{"work of a step", fmt.Sprintf("%.1f GFLOP at %.0f GFLOP/s", float64(plan.StepFLOPs)/1e9, rate/1e9)},
		{"time of an epoch", hours(perStep * float64(perEpoch))},
		{"time of the run", hours(perStep * float64(tc.Schedule.Steps))},
	})
	return nil
}

// decodedBytes estimates one cached clip from the first of the set.
func decodedBytes(c *config.Config, set *dataset.Set) int64 {
	if set.Len() == 0 {
		return 0
	}
	clips, err := newClips(c, set)
	if err != nil {
		return 0
	}
	d, err := clips.Get(0)
	if err != nil {
		return 0
	}
	return d.MemoryBytes()
}

// measureRate times steps of the model with one block and few clips, and
// returns its speed in operations a second: the estimate for --dry-run.
func measureRate(e engine.Engine, jc jepa.Config) (float64, error) {
	const clips = 4
	jc.Encoder.Depth = 1
	plan, err := jepa.PlanTraining(jc, clips)
	if err != nil {
		return 0, err
	}
	model, err := jepa.New(e, jc, 0, clips)
	if err != nil {
		return 0, err
	}
	defer model.Free()
	batch, err := model.NewBatch(engine.U8)
	if err != nil {
		return 0, err
	}
	best := 0.0
	for i, start := 0, time.Now(); i < 2 || time.Since(start) < time.Second; i++ {
		t := time.Now()
		model.Step(batch, i)
		model.Losses()
		best = max(best, float64(plan.StepFLOPs)/time.Since(t).Seconds())
	}
	return best, nil
}
