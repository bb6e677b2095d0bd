package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

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
checkpoints. Ctrl-C saves and leaves; --resume continues, bit for bit, with the
settings in the run's config.toml; --set, --config and flags still change them.
--init begins with the weights of another run, which may have seen views of another
length, size or rate: it says what was interpolated and what was left out.
--online-probes trains classifiers beside the encoder where clips have labels, which it
never sees itself, and evaluates them on held-out clips: probes.jsonl.
Started as several processes (avjepa launch, torchrun, srun), they share every batch.`,
		Example: `  avjepa pretrain --data data/mine --preset tiny --name first
  avjepa pretrain --data data/mine --preset tiny --dry-run
  avjepa pretrain --name first --resume
  avjepa pretrain --data data/mine --preset demo,dual,lambda-0.10
  avjepa pretrain --data data/vggsound --preset paper --online-probes
  avjepa pretrain --data data/mine --preset tiny --init runs/first --set view.seconds=2`,
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.name == "" {
				o.name = strings.ReplaceAll(s.preset, ",", "-")
			}
			if err := checkName(o.name); err != nil {
				return err
			}
			if follows() { // process 0 has the run folder, and the configuration for all
				s.preset, s.file = "", ""
			} else if o.resume {
				dir := filepath.Join(o.runs, o.name)
				if existing(dir) == "" {
					return fmt.Errorf("no run %s to resume: check --runs and --name, or leave "+
						"--resume out to begin one", dir)
				}
				s.run = existing(filepath.Join(dir, "config.toml"))
			}
			c, err := s.resolve()
			if err != nil {
				return err
			}
			for _, k := range pretrainKeys {
				if err := override(c, cmd, k.flag, k.key); err != nil {
					return configError(err)
				}
			}
			p := g.progress()
			if o.dryRun && follows() {
				return nil // process 0 says it for all
			}
			if o.dryRun {
				plan, err := runDryRun(cmd.Context(), c)
				if err != nil {
					return err
				}
				return showPlan(cmd.OutOrStdout(), plan, g.json)
			}
			sum, err := runPretrain(cmd.Context(), c, o, p)
			p.wait()
			if sum == nil || follows() {
				return err
			}
			return errors.Join(err, showPretrain(cmd.OutOrStdout(), sum, g.json))
		},
	}
	s.addFlags(c)
	f := c.Flags()
	f.String("data", "", "folder written by avjepa ingest")
	f.String("init", "",
		"run or checkpoint whose weights a new run starts from; positions are interpolated")
	f.Int("batch-size", 0, "clips a step")
	f.Int("epochs", 0, "passes over the clips")
	f.Int("steps", 0, "optimiser steps, instead of epochs")
	f.Float64("lr", 0, "peak learning rate")
	f.Int64("seed", 0, "run seed")
	f.Int("threads", 0, "worker threads, 0 for one per core")
	engineFlags(f, &config.Engine{})
	f.String("precision", "", "of the encoder's products: f32, or bf16 where the engine has it")
	f.Bool("online-probes", false, "train and evaluate classifiers beside the encoder; needs labels")
	f.StringVar(&o.runs, "runs", "runs", "folder of runs")
	f.StringVar(&o.name, "name", "", "name of the run; the preset's if not given")
	f.BoolVar(&o.resume, "resume", false, "continue the run of this name")
	f.BoolVar(&o.dryRun, "dry-run", false, "only say what it would take")
	return c
}

// pretrainKeys are the flags that are short for settings.
var pretrainKeys = []struct{ flag, key string }{
	{"data", "data.dir"}, {"init", "train.init"}, {"batch-size", "train.batch_size"}, {"epochs", "train.epochs"},
	{"steps", "train.steps"}, {"lr", "train.lr"}, {"seed", "seed"}, {"threads", "engine.threads"},
	{"engine", "engine.name"}, {"device", "engine.device"}, {"precision", "engine.precision"},
	{"online-probes", "probe.online"},
}

// latestName is the link to the run begun last.
const latestName = "latest"

// checkName refuses names of runs that are not one folder below --runs.
func checkName(name string) error {
	if name == "" || name == "." || name == ".." || name != filepath.Base(name) {
		return usageError(fmt.Errorf("--name %q: want a plain name, without a path", name))
	}
	if name == latestName {
		return usageError(fmt.Errorf("--name %s: that is the link to the last run", name))
	}
	return nil
}

// existing returns path if there is something, else "".
func existing(path string) string {
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// openTraining checks a configuration and opens the clips it trains on.
func openTraining(ctx context.Context, c *config.Config, p *progress) (*dataset.Set, error) {
	if err := validate(c); err != nil {
		return nil, err
	}
	set, err := openSplit(ctx, c.Data.Dir, c.Data.Split, p)
	if err != nil {
		return nil, err
	}
	if set.Len() < c.Train.BatchSize {
		return nil, fmt.Errorf("%s has %d clips with picture and sound to train on, fewer than "+
			"train.batch_size = %d: ingest more, or lower it",
			c.Data.Dir, set.Len(), c.Train.BatchSize)
	}
	if _, err := onlineProbes(c, set); err != nil { // before anything takes time
		return nil, err
	}
	return set, nil
}

// runDryRun returns what a run, or one process of several, would take, and writes
// nothing.
func runDryRun(ctx context.Context, c *config.Config) (*runPlan, error) {
	set, err := openTraining(ctx, c, mute())
	if err != nil {
		return nil, err
	}
	e, err := openEngine(c)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	place, err := placeHere()
	if err != nil {
		return nil, err
	}
	if err := c.ResolveOrder(place.Size); err != nil {
		return nil, configError(err)
	}
	return planProcess(ctx, c, e, set, place.Size)
}

// runPretrain trains as configured. The summary is nil when nothing was trained.
func runPretrain(ctx context.Context, c *config.Config, o *pretrainOptions,
	p *progress) (sum *pretrainSummary, err error) {
	procs, err := openProcesses(ctx, c)
	if err != nil {
		return nil, err
	}
	defer func() { procs.leave(err) }()
	var run *train.Folder // process 0's
	if !procs.follow() {
		if err := prepare(ctx, c, p); err != nil { // before there is a folder
			return nil, err
		}
		if run, err = train.Open(filepath.Join(o.runs, o.name)); err != nil {
			return nil, err
		}
		defer run.Close()
	}
	if c, err = procs.shareConfig(c); err != nil {
		return nil, err
	}
	set, err := openTraining(ctx, c, p)
	if err != nil {
		return nil, err
	}
	e, err := openEngine(c)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	group, err := procs.openGroup(e)
	if err != nil {
		return nil, err
	}
	sum, err = trainIn(ctx, run, c, o.resume, e, group, set, p)
	switch {
	case err == nil && sum != nil:
		err = partial(sum.Skipped, c.Data.Dir)
	case errors.Is(err, errInterrupted) && sum != nil:
		err = fmt.Errorf("%w; go on with: avjepa pretrain --runs %s --name %s --resume",
			err, o.runs, o.name)
	}
	return sum, err
}

// prepare checks what a run needs and completes its configuration from the data.
func prepare(ctx context.Context, c *config.Config, p *progress) error {
	set, err := openTraining(ctx, c, p)
	if err != nil {
		return err
	}
	return useStats(ctx, c, set, p)
}

// trainIn trains in an open run folder, alone or with a group, of which process 0
// alone has the folder and gets a summary.
func trainIn(ctx context.Context, run *train.Folder, c *config.Config, resume bool,
	e engine.Engine, group engine.Group, set *dataset.Set, p *progress) (*pretrainSummary, error) {
	processes := 1
	if group != nil {
		processes = group.Size()
	}
	if err := c.ResolveOrder(processes); err != nil {
		return nil, configError(err)
	}
	jc, err := c.JEPAConfig()
	if err != nil {
		return nil, configError(err)
	}
	model, err := jepa.NewInGroup(e, jc, uint64(c.Seed), c.Train.BatchSize, group)
	if err != nil {
		return nil, err
	}
	defer model.Free()
	if run != nil { // the others get their values from process 0
		if err := startFrom(c.Train.Init, run, model, p); err != nil {
			return nil, err
		}
	}
	clips, err := newClips(c, set)
	if err != nil {
		return nil, err
	}
	tc := c.TrainConfig(set.Len())
	tc.Resume, tc.Workers = resume, workers(c)
	if tc.Probes, err = onlineProbes(c, set); err != nil {
		return nil, err
	}
	samples, err := newSampler(run, c, set, group, p)
	if err != nil {
		return nil, err
	}
	if samples != nil {
		tc.Saved = func(ctx context.Context, step int) error { return samples.write(ctx, e, model, step) }
	}
	news := "" // of the last evaluation
	if tc.Probes != nil {
		tc.Probes.Observe = func(l train.ProbeLog) { news = probeNews(&l) }
		tc.Probes.Say = func(text string) { p.say("%s", text) }
	}
	total := int64(tc.Schedule.Steps)
	st := p.stageThat(ctx, "pretrain", total, "steps", func(n int64) string {
		return fmt.Sprintf("saving step %d", min(n+1, total)) // the one being taken
	})
	first := true
	res, err := train.Pretrain(ctx, run, e, model, clips, tc, func(m train.Metrics) {
		if first {
			if run != nil {
				pointLatest(run.Dir)
			}
			st.from(int64(m.Step - 1))
			first = false
		}
		st.set(int64(m.Step), total, fmt.Sprintf("loss %.3f · std %.2f · %.0f clips/s%s",
			m.Total, m.Std, m.ClipsPerS, news))
	})
	if errors.Is(err, train.ErrMismatch) {
		err = kind{fmt.Errorf("%w; choose another --name for another run", err), errCheckpoint}
	}
	st.endWith(err)
	p.sayUnread(res.Skipped)
	if errors.Is(err, errInterrupted) && res.Checkpoint != "" {
		err = fmt.Errorf("%w; saved %s", err, res.Checkpoint)
	}
	if res.Seconds == 0 || run == nil {
		return nil, err
	}
	sum, errSum := summarise(run, res, c.Train.BatchSize, set.Len())
	return sum, errors.Join(err, errSum)
}

// pointLatest makes runs/latest point at a run. It is a convenience: a file
// system without links goes without.
func pointLatest(dir string) {
	link := filepath.Join(filepath.Dir(dir), latestName)
	if info, err := os.Lstat(link); err == nil && info.Mode()&os.ModeSymlink == 0 {
		return // somebody's own run of that name
	}
	tmp := link + ".new"
	os.Remove(tmp)
	if os.Symlink(filepath.Base(dir), tmp) == nil {
		os.Rename(tmp, link)
	}
}
