package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"avjepa/internal/ablation"
	"avjepa/internal/config"
	"avjepa/internal/durable"
	"avjepa/internal/train"
)

// ablateOptions are the flags of ablate.
type ablateOptions struct {
	runs        string
	only        []string
	set         []string
	dryRun      bool
	figuresOnly bool
}

func newAblateCommand(g *globals) *cobra.Command {
	o := &ablateOptions{}
	c := &cobra.Command{
		Use:   "ablate FILE",
		Short: "Train several variants of a run and lay their curves beside each other",
		Long: `Trains the runs that a TOML file lists, one after the other, on the same clips with the
same seeds, measures retrieval and linear probes on the held-out clips, and writes a
table, overlaid curves and whether the paper's claims hold into runs/NAME. Interrupted,
the same command goes on; finished runs are not made again.`,
		Example: `  avjepa ablate examples/ablations/demo.toml --dry-run
  avjepa ablate examples/ablations/demo.toml
  avjepa ablate examples/ablations/demo.toml --only baseline --only lambda-0
  avjepa ablate examples/ablations/demo.toml --figures-only`,
		Args: takes("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p := g.progress()
			a, err := openAblation(args[0], o, p)
			if err != nil {
				return err
			}
			if o.dryRun {
				costs, err := a.costs(cmd.Context())
				p.wait()
				if err != nil {
					return err
				}
				return showCosts(cmd.OutOrStdout(), costs, g.json)
			}
			sum, err := runAblate(cmd.Context(), a)
			p.wait()
			if errors.Is(err, errInterrupted) {
				return sameAgain(err)
			}
			if sum == nil {
				return err
			}
			return errors.Join(showAblation(cmd.OutOrStdout(), sum, g.json), err)
		},
	}
	f := c.Flags()
	f.StringVar(&o.runs, "runs", "runs", "folder of runs; results go into a folder of the file's name there")
	f.StringArrayVar(&o.only, "only", nil, "make only the run of this name; may be repeated")
	f.StringArrayVar(&o.set, "set", nil, "one setting over the file's, for all runs; may be repeated")
	f.BoolVar(&o.dryRun, "dry-run", false, "only list the runs and what each would take")
	f.BoolVar(&o.figuresOnly, "figures-only", false,
		"train nothing: draw figures, table and report of what is finished")
	return c
}

// ablationRun is one run with one seed.
type ablationRun struct {
	run  ablation.Run
	seed int64
	cfg  *config.Config
	dir  string
}

func (j *ablationRun) name() string { return ablation.Folder(j.run.Name, j.seed) }

// ablate is an ablation in progress.
type ablate struct {
	*ablateOptions
	file string
	plan *ablation.Plan
	dir  string
	all  []*ablationRun // in the order in which they are made: all runs with the first seed, …
	p    *progress
}

// openAblation reads the plan and checks the configuration of every run before any is made.
func openAblation(file string, o *ablateOptions, p *progress) (*ablate, error) {
	if place, err := placeHere(); err != nil {
		return nil, err
	} else if place.Size > 1 {
		return nil, usageError(errors.New("ablate makes its runs in one process, not as one of several: " +
			"start it without avjepa launch, or make each run with avjepa launch … pretrain"))
	}
	plan, err := ablation.Read(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		return nil, configError(err)
	}
	a := &ablate{ablateOptions: o, file: file, plan: plan, dir: filepath.Join(o.runs, plan.Name), p: p}
	for _, name := range o.only {
		if _, err := plan.Run(name); err != nil {
			return nil, usageError(fmt.Errorf("--only: %w", err))
		}
	}
	for _, seed := range plan.Seeds {
		for _, r := range plan.Runs {
			cfg, err := plan.Config(r, seed, func(c *config.Config) error {
				return errors.Join(c.ApplyEnviron(os.Environ()), setAll(c, o.set))
			})
			if err != nil {
				return nil, configError(err)
			}
			if err := validate(cfg); err != nil {
				return nil, fmt.Errorf("%s: run %s: %w", file, r.Name, err)
			}
			j := &ablationRun{run: r, seed: seed, cfg: cfg}
			j.dir = filepath.Join(a.dir, j.name())
			a.all = append(a.all, j)
		}
	}
	return a, nil
}

// wanted reports whether a run is to be made.
func (a *ablate) wanted(j *ablationRun) bool {
	return len(a.only) == 0 || slices.Contains(a.only, j.run.Name)
}

// runAblate makes the runs that are not finished and draws what is.
func runAblate(ctx context.Context, a *ablate) (*ablationSummary, error) {
	if a.figuresOnly {
		if _, err := os.Stat(a.dir); err != nil {
			return nil, fmt.Errorf("nothing to draw: %w", err)
		}
		return a.draw()
	}
	if err := os.MkdirAll(a.dir, 0o755); err != nil {
		return nil, err
	}
	unlock, err := durable.Lock(filepath.Join(a.dir, ".lock"))
	if err != nil {
		return nil, err
	}
	defer unlock()
	var todo []*ablationRun
	for _, j := range a.all {
		if !a.wanted(j) {
			continue
		}
		if err := j.fits(); err != nil {
			return nil, err
		}
		if res, err := j.result(); err != nil {
			return nil, err
		} else if res == nil {
			todo = append(todo, j)
		}
	}
	var skipped error
	for i, j := range todo {
		a.p.say("run %d of %d: %s", i+1, len(todo), j.name())
		err := a.make(ctx, j)
		if errors.Is(err, errPartial) {
			skipped, err = errors.Join(skipped, fmt.Errorf("%s: %w", j.name(), err)), nil
		}
		if err == nil {
			err = a.writeTable()
		}
		if err != nil {
			return nil, fmt.Errorf("run %s: %w", j.name(), err)
		}
	}
	sum, err := a.draw()
	return sum, errors.Join(err, skipped)
}

// fits refuses to go on with a run that was begun with other settings.
func (j *ablationRun) fits() error {
	if _, err := train.Latest(j.dir); err != nil {
		return nil // nothing has been kept of it
	}
	begun := config.New()
	if err := begun.ApplyFile(filepath.Join(j.dir, "config.toml")); err != nil {
		return configError(err)
	}
	differ := ablation.Differences(begun, j.cfg)
	if len(differ) == 0 {
		return nil
	}
	const most = 3
	text := ""
	for i, d := range differ {
		if i == most {
			text += fmt.Sprintf("; and %d more", len(differ)-most)
			break
		}
		if i > 0 {
			text += "; "
		}
		text += d
	}
	return kind{fmt.Errorf("%s was made with other settings: %s: choose another name in the file, or "+
		"remove that folder", j.dir, text), errCheckpoint}
}

// result returns what the run measured, nil when it is not finished or was measured in
// another way.
func (j *ablationRun) result() (*ablation.Result, error) {
	r, err := ablation.ReadResult(j.dir)
	if err != nil || r == nil {
		return nil, err
	}
	e := j.cfg.Eval
	if r.Run != j.run.Name || r.Seed != j.seed {
		return nil, fmt.Errorf("%s is the result of run %.80q with seed %d: remove that folder",
			filepath.Join(j.dir, ablation.ResultName), r.Run, r.Seed)
	}
	if r.Split != e.Split || r.Embedding != e.Embedding || r.Windows != e.Windows {
		return nil, nil
	}
	return r, nil
}

// showAblation prints the table and the verdicts.
func showAblation(out io.Writer, sum *ablationSummary, asJSON bool) error {
	if asJSON {
		return writeJSON(out, sum)
	}
	align := "lr"
	for range sum.rows[0][2:] {
		align += "r"
	}
	wideTable(out, align, sum.rows, tableWidth(out))
	fmt.Fprintln(out)
	for _, v := range sum.Verdicts {
		fmt.Fprintf(out, "%s: %s (figure %d): %s\n", v.Word(), v.Claim, v.Figure, v.Measured)
	}
	for _, name := range sum.Missing {
		fmt.Fprintf(out, "not finished: %s\n", name)
	}
	_, err := fmt.Fprintln(out, sum.Report)
	return err
}
