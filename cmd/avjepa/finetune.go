package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"avjepa/internal/config"
	"avjepa/internal/engine"
	"avjepa/internal/finetune"
	"avjepa/internal/train"
)

// finetuneOptions are the flags of finetune and probe that are no settings.
type finetuneOptions struct {
	command    string // finetune or probe
	runs, name string
	resume     bool
	dryRun     bool
	cross      bool
}

func newFinetuneCommand(g *globals) *cobra.Command {
	c := newSupervised(g, "finetune")
	c.Short = "Train a classifier and its encoder on labelled clips"
	c.Long = `Trains a linear head on the CLS and an attentive head on the patch tokens of a
pretrained encoder, which learns on at a lower rate, and validates after every epoch.
Writes runs/NAME: the resolved configuration, metrics.jsonl, epochs.jsonl and
best.safetensors, the encoder with heads and names of classes after the best epoch.
RUN is a run folder or a checkpoint file. Ctrl-C saves and leaves; --resume goes on, bit
for bit. Runs in one process.`
	c.Example = `  avjepa finetune runs/mine --data data/vggsound --preset vggsound
  avjepa finetune runs/mine --data data/mine --modality audio --hold-out fold1
  avjepa finetune --name mine-finetune --resume
  avjepa finetune runs/mine --data data/mine --dry-run`
	return c
}

// newSupervised returns finetune or probe without its texts.
func newSupervised(g *globals, command string) *cobra.Command {
	s := &settings{}
	o := &finetuneOptions{command: command}
	c := &cobra.Command{
		Use:  command + " RUN",
		Args: takesRun(command, o),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.resolve(cmd, s, args)
			if err != nil {
				return err
			}
			p := g.progress()
			switch {
			case o.dryRun:
				plan, err := planFinetune(cmd.Context(), c, p)
				if err != nil {
					return err
				}
				return showFinetunePlan(cmd.OutOrStdout(), plan, g.json)
			case o.cross:
				sum, err := crossValidate(cmd.Context(), c, o, p)
				p.wait()
				if sum == nil {
					return err
				}
				return errors.Join(err, showCross(cmd.OutOrStdout(), sum, g.json))
			}
			sum, err := runFinetune(cmd.Context(), c, o, filepath.Join(o.runs, o.name), p)
			p.wait()
			if sum == nil {
				return err
			}
			return errors.Join(err, showFinetune(cmd.OutOrStdout(), sum, g.json))
		},
	}
	s.addFlags(c)
	f := c.Flags()
	f.String("data", "", "data set with labels; the run's own if not given")
	f.String("modality", "", "what clips show: both, audio or video; both if not given")
	f.String("hold-out", "", "split to validate on, training on all others")
	f.BoolVar(&o.cross, "cross-validate", false, "hold out every split in turn")
	f.Int("batch-size", 0, "clips a step")
	f.Int("epochs", 0, "passes over the clips")
	f.Float64("lr", 0, "peak learning rate of the heads")
	f.Int64("seed", 0, "run seed")
	f.Int("threads", 0, "worker threads, 0 for one per core")
	engineFlags(f, &config.Engine{})
	f.String("precision", "", "of the encoder's products: f32, or bf16 where the engine has it")
	f.StringVar(&o.runs, "runs", "runs", "folder of runs")
	f.StringVar(&o.name, "name", "", "name of the new run; that of RUN and -"+command+" if not given")
	f.BoolVar(&o.resume, "resume", false, "continue the run of this name")
	f.BoolVar(&o.dryRun, "dry-run", false, "only say what it would take")
	return c
}

// finetuneKeys are the flags that are short for settings.
var finetuneKeys = []struct{ flag, key string }{
	{"data", "data.dir"}, {"modality", "finetune.modality"}, {"hold-out", "finetune.hold_out"},
	{"batch-size", "finetune.batch_size"}, {"epochs", "finetune.epochs"}, {"lr", "finetune.lr"},
	{"seed", "seed"}, {"threads", "engine.threads"}, {"engine", "engine.name"},
	{"device", "engine.device"}, {"precision", "engine.precision"},
}

// takesRun accepts a RUN, or with --resume and --name none.
func takesRun(command string, o *finetuneOptions) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if o.resume && o.name != "" && len(args) == 0 {
			return nil
		}
		return takes("RUN")(c, args)
	}
}

// resolve lays the settings of the pretrained run, preset, file, environment and flags
// over each other, or those of the run that is resumed.
func (o *finetuneOptions) resolve(cmd *cobra.Command, s *settings, args []string) (
	*config.Config, error) {
	if o.name == "" {
		base := strings.TrimSuffix(filepath.Base(filepath.Clean(args[0])), ".safetensors")
		o.name = base + "-" + o.command
	}
	if err := checkName(o.name); err != nil {
		return nil, err
	}
	c := config.New()
	dir := filepath.Join(o.runs, o.name)
	switch {
	case o.resume && existing(dir) == "":
		return nil, fmt.Errorf("no run %s to resume: check --runs and --name, or leave --resume out "+
			"to begin one", dir)
	case o.resume && existing(filepath.Join(dir, "config.toml")) != "":
		s.run = filepath.Join(dir, "config.toml")
	case len(args) == 0:
		return nil, usageError(fmt.Errorf("%s has no config.toml yet: name the RUN to begin with", dir))
	default:
		from, err := openRun(args[0])
		if err != nil {
			return nil, err
		}
		if c, err = fromRun(from); err != nil {
			return nil, err
		}
	}
	if o.command == "probe" && s.run == "" {
		s.preset = strings.TrimPrefix(s.preset+",probe", ",")
	}
	c, err := s.resolveOver(c)
	if err != nil {
		return nil, err
	}
	for _, k := range finetuneKeys {
		if err := override(c, cmd, k.flag, k.key); err != nil {
			return nil, configError(err)
		}
	}
	if len(args) > 0 {
		if err := c.Set("train.init", args[0], "argument RUN"); err != nil {
			return nil, configError(err)
		}
	}
	return c, nil
}

// fromRun returns the settings with which a pretrained run is trained further: its own,
// on the engine of this machine.
func fromRun(r *runState) (*config.Config, error) {
	c := r.cfg
	here, err := localEngine(c.Engine, "", "")
	if err != nil {
		return nil, err
	}
	c.Engine = here
	return c, nil
}

// runFinetune trains as configured in a folder. The summary is nil when nothing was
// trained.
func runFinetune(ctx context.Context, c *config.Config, o *finetuneOptions, dir string,
	p *progress) (*finetuneSummary, error) {
	sets, err := openLabelled(ctx, c, p)
	if err != nil {
		return nil, err
	}
	from, err := openRun(c.Train.Init)
	if err != nil {
		return nil, fmt.Errorf("train.init: %w", err)
	}
	run, err := train.Open(dir)
	if err != nil {
		return nil, err
	}
	defer run.Close()
	e, err := openEngine(c)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	model, views, err := c.FinetuneModel(len(sets.labels.Classes))
	if err != nil {
		return nil, configError(err)
	}
	if err := from.holds(model); err != nil {
		return nil, err
	}
	net, err := finetune.New(e, model, views, finetune.Training)
	if err != nil {
		return nil, err
	}
	defer net.Free()
	beside, err := from.into(net, p)
	if err != nil {
		return nil, err
	}
	tc := c.FinetuneConfig()
	tc.Resume, tc.Workers = o.resume, workers(c)
	kept, err := finetune.KeptBytes(model, sets.train.Len(), sets.val.Len(), tc.Modality)
	if err != nil {
		return nil, err
	}
	again := !tc.Keeps(model) || tc.KeepWhere(kept) == finetune.KeptNot
	data, err := sets.data(c, again)
	if err != nil {
		return nil, err
	}
	data.Beside = beside
	res, err := trainHeads(ctx, run, e, net, data, tc, p)
	if errors.Is(err, train.ErrMismatch) {
		err = kind{fmt.Errorf("%w; choose another --name for another run", err), errCheckpoint}
	}
	p.sayUnread(res.Skipped)
	if res.Steps == 0 {
		return nil, err
	}
	sum := summariseFinetune(run.Dir, res, sets, model)
	err = errors.Join(err, run.WriteJSON("finetune.json", sum))
	switch {
	case errors.Is(err, errInterrupted):
		err = fmt.Errorf("%w; go on with: avjepa %s --runs %s --name %s --resume%s", err, o.command,
			shellWord(o.runs), shellWord(o.name), map[bool]string{true: " --cross-validate"}[o.cross])
	case err == nil:
		err = partial(len(res.Skipped), c.Data.Dir)
	}
	return sum, err
}

// trainHeads trains with a bar on the screen.
func trainHeads(ctx context.Context, run *train.Folder, e engine.Engine, net *finetune.Network,
	data finetune.Data, tc finetune.Config, p *progress) (finetune.Outcome, error) {
	perEpoch := tc.StepsPerEpoch(data.Train.Set.Len())
	total := int64(perEpoch * tc.Epochs)
	var st, work *stage
	what, note := "", ""
	endWork := func(err error) {
		if work != nil {
			work.endWith(err)
			work, what = nil, ""
		}
	}
	res, err := finetune.Train(ctx, run, e, net, data, tc, finetune.Observer{
		Step: func(m finetune.StepMetrics) {
			if st == nil {
				endWork(nil)
				pointLatest(run.Dir)
				st = p.stageThat(ctx, "train", total, "steps", func(n int64) string {
					return fmt.Sprintf("saving step %d", min(n+1, total)) // the one being taken
				})
				st.from(int64(m.Step - 1))
			}
			st.set(int64(m.Step), total, fmt.Sprintf("loss %.3f%s · %.0f clips/s", m.Loss, note,
				m.ClipsPerS))
		},
		Epoch: func(m finetune.EpochMetrics) {
			if len(m.Scores) > 0 {
				note = " · " + m.Scores[0].Head + " " + m.Scores[0].String()
			}
			p.say("epoch %d of %d: %s", m.Epoch, tc.Epochs, epochLine(m))
		},
		Work: func(name string, n, of int) {
			if st != nil { // validation between epochs: the bar of the steps stands
				return
			}
			if what != name {
				endWork(nil)
				what, work = name, p.stage(ctx, name, int64(of), "clips")
			}
			work.set(int64(n), int64(of), "")
		},
		Say: p.say,
	})
	endWork(err)
	if st != nil {
		st.endWith(err)
	}
	if errors.Is(err, errInterrupted) && res.Checkpoint != "" {
		err = fmt.Errorf("%w; saved %s", err, res.Checkpoint)
	}
	return res, err
}
