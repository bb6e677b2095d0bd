package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"avjepa/internal/config"
	"avjepa/internal/durable"
	"avjepa/internal/report"
	"avjepa/internal/retrieval"
	"avjepa/internal/train"
)

// reportOptions are the flags of report.
type reportOptions struct {
	eval       evalOptions
	shown      int
	noPictures bool
	retrieval  []string // flags that were given and that are for pretrained runs alone
}

func newReportCommand(g *globals) *cobra.Command {
	o := &reportOptions{}
	c := &cobra.Command{
		Use:   "report RUN",
		Short: "One HTML page with a run's curves, figures, clips and pictures",
		Long: `Measures a run on held-out clips and writes report.html into its folder: one file that
needs nothing else, at most 8 MB, and its curves as figures/*.svg. Of a pretrained run it has
retrieval, clips with their neighbours, attention between sound and picture, components of
the picture's tokens and a map of all clips; of finetune and probe the figures of every
input with intervals, every class, and what is taken for what. A run whose data set is
gone gets its curves alone.`,
		Example: "  avjepa report runs/demo\n  avjepa report runs/latest --clips 12 --no-pictures\n" +
			"  avjepa report runs/mine-probe",
		Args: takes("RUN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p := g.progress()
			for _, name := range []string{"embedding", "shift", "center", "clips"} {
				if cmd.Flags().Changed(name) {
					o.retrieval = append(o.retrieval, "--"+name)
				}
			}
			path, err := runReport(cmd.Context(), args[0], o, p)
			p.wait()
			if path == "" {
				return err
			}
			return errors.Join(showReport(cmd.OutOrStdout(), path, g.json), err)
		},
	}
	o.eval.addFlags(c)
	c.Flags().IntVar(&o.shown, "clips", 8, "held-out clips to show with their neighbours")
	c.Flags().BoolVar(&o.noPictures, "no-pictures", false,
		"without pictures of attention, components and the map, which take longest")
	return c
}

// runReport writes the report of a run folder and returns its path; with clips left out,
// or all of them, also the error that says so.
func runReport(ctx context.Context, dir string, o *reportOptions, p *progress) (string, error) {
	dir, err := filepath.EvalSymlinks(dir) // runs/latest: the run's own name is to be shown
	if err != nil {
		return "", fmt.Errorf("no run there: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		return "", usageError(fmt.Errorf("%s is a file: report takes a run folder, such as runs/demo",
			dir))
	}
	if o.shown < 0 {
		return "", usageError(fmt.Errorf("--clips %d: must not be negative", o.shown))
	}
	cross, supervised := existing(filepath.Join(dir, "cross.json")), existing(filepath.Join(dir, "epochs.jsonl"))
	if len(o.retrieval) > 0 && cross+supervised != "" {
		return "", usageError(fmt.Errorf("%s: %s is a run of finetune or probe, whose report has no "+
			"retrieval: leave it out", strings.Join(o.retrieval, ", "), dir))
	}
	var d report.Data
	var left error // what could not be used
	switch {
	case cross != "":
		d, err = crossReport(dir)
	case supervised != "":
		d, left, err = supervisedReport(ctx, dir, &o.eval, p)
	default:
		d, left, err = pretrainedReport(ctx, dir, o, p)
	}
	if err != nil {
		return "", err
	}
	path, err := writeReport(dir, d)
	if err != nil {
		return "", err
	}
	return path, left
}

// errNoData marks the error of a data set that a run names and that is not there.
var errNoData = errors.New("data set is gone")

// noData is what a report says of a run whose data set is gone, and the error for the
// exit code.
func noData(ctx context.Context, err error) (sentence string, left error, ok bool) {
	if !errors.Is(err, errNoData) || ctx.Err() != nil {
		return "", nil, false
	}
	return fmt.Sprintf("The run's data set could not be opened, so nothing was measured and no clip is "+
			"shown: %v.", err),
		kind{fmt.Errorf("the report has curves alone: %w (--data names another place)", err), errPartial}, true
}

// pretrainedReport is the report of a run of pretrain.
func pretrainedReport(ctx context.Context, dir string, o *reportOptions, p *progress) (
	d report.Data, left error, err error) {
	ev, err := evaluate(ctx, dir, &o.eval, p)
	if text, left, gone := noData(ctx, err); gone {
		run, err := openRun(dir)
		if err != nil {
			return d, nil, err
		}
		if d, err = loggedData(dir, run.cfg); err != nil {
			return d, nil, err
		}
		d.Verdict, d.Repeat = text, repeatPretrain(dir)
		return d, left, nil
	}
	if err != nil {
		return d, nil, err
	}
	if d, err = reportData(ctx, dir, ev, o.shown); err != nil {
		return d, nil, err
	}
	if !o.noPictures {
		if d.Panels, err = ev.panels(ctx, p); err != nil {
			return d, nil, err
		}
	}
	d.Repeat = repeatPretrain(dir)
	return d, partial(len(ev.features.Skipped), ev.opts.data), nil
}

// repeatPretrain are the commands that make a run of pretrain again.
func repeatPretrain(dir string) string {
	return fmt.Sprintf("avjepa pretrain --config %s --name %s\navjepa report %s",
		shellWord(filepath.Join(dir, "config.toml")), shellWord(filepath.Base(dir)+"-again"),
		shellWord(filepath.Join(filepath.Dir(dir), filepath.Base(dir)+"-again")))
}

func showReport(out io.Writer, path string, asJSON bool) error {
	if asJSON {
		return writeJSON(out, map[string]string{"report": path})
	}
	_, err := fmt.Fprintln(out, path)
	return err
}

// writeReport writes report.html into a run folder and returns its path.
func writeReport(dir string, d report.Data) (string, error) {
	path := filepath.Join(dir, "report.html")
	return path, durable.WriteFile(path, func(w io.Writer) error {
		return report.Write(w, d)
	})
}

// loggedData is what a report shows of a run's log and settings, whose curves it also
// writes to the run's figures.
func loggedData(dir string, cfg *config.Config) (d report.Data, err error) {
	log, err := train.ReadMetrics(dir)
	if err != nil {
		return d, err
	}
	curves, err := report.Curves(log, cfg.Loss.Lambda)
	if err != nil {
		return d, err
	}
	if err := report.WriteCurves(filepath.Join(dir, "figures"), log, cfg.Loss.Lambda); err != nil {
		return d, err
	}
	probes, err := probeFigures(dir, log)
	if err != nil {
		return d, err
	}
	return report.Data{Title: "Run " + filepath.Base(dir), Health: report.Health(log),
		Curves: append(curves, probes...), Config: reportSettings(cfg), Machine: reportMachine(log),
		Made: time.Now().UTC().Format("2006-01-02 15:04 UTC")}, nil
}

// reportData gathers what every report of a pretrained run shows.
func reportData(ctx context.Context, dir string, ev *evaluation, shown int) (report.Data, error) {
	d, err := loggedData(dir, ev.run.cfg)
	if err != nil {
		return d, err
	}
	if d.Clips, err = reportClips(ctx, ev, shown); err != nil {
		return d, err
	}
	m, chance := ev.metrics, retrieval.Chance(ev.n)
	rows := retrievalRows(m)
	d.Verdict = fmt.Sprintf("Among %d held-out clips a sound finds its own picture first in %.1f %% "+
		"of cases, a picture its sound in %.1f %% (chance %.1f %%).",
		ev.n, 100*m.A2V.R1, 100*m.V2A.R1, 100*chance.R1)
	d.Tables = []report.Table{{Title: "Retrieval", Head: rows[0], Rows: rows[1:],
		Read: "R@k: share of queries whose own other half is among the first k. " +
			"Median rank: 1 is best."}}
	if ev.n > shown {
		d.Cut = fmt.Sprintf("%d of %d held-out clips are shown, evenly chosen: --clips shows more.",
			len(d.Clips), ev.n)
	}
	return d, nil
}

// probeFigures draws the online probes of a run, if it has any, and writes their curves
// to its figures.
func probeFigures(dir string, log []train.Metrics) ([]report.Figure, error) {
	evaluated, err := train.ReadProbes(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := report.WriteProbeCurves(filepath.Join(dir, "figures"), log, evaluated); err != nil {
		return nil, err
	}
	return report.ProbeCurves(log, evaluated)
}

func reportSettings(c *config.Config) []report.Setting {
	var out []report.Setting
	for _, s := range c.Settings() {
		out = append(out, report.Setting{Key: s.Key, Value: fmt.Sprint(s.Value), Origin: s.Origin})
	}
	return out
}

func reportMachine(log []train.Metrics) []report.Setting {
	out := []report.Setting{
		{Key: "avjepa", Value: fmt.Sprintf("%s, %s %s/%s",
			version, runtime.Version(), runtime.GOOS, runtime.GOARCH)},
		{Key: "processor", Value: checkCPU().Found},
	}
	if t := sumUp(log); t.seconds > 0 {
		out = append(out, report.Setting{Key: "training",
			Value: fmt.Sprintf("%d steps in %s, %.0f GFLOP/s, %.1f %% of it waiting for data",
				len(log), spanOf(t.seconds), t.gflops, 100*t.waitShare)})
	}
	return out
}
