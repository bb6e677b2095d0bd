package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"avjepa/internal/ablation"
	"avjepa/internal/durable"
	"avjepa/internal/report"
	"avjepa/internal/train"
)

// ablationSummary is what came out: summary.json.
type ablationSummary struct {
	Name     string             `json:"name"`
	Data     string             `json:"data"`
	Base     string             `json:"base"`
	Baseline string             `json:"baseline"`
	Results  []*ablation.Result `json:"results"`
	Verdicts []ablation.Verdict `json:"verdicts"`
	Missing  []string           `json:"not_finished"`
	Figures  []string           `json:"figures"` // names, each with -light.svg and -dark.svg
	Report   string             `json:"report"`

	rows [][]string
}

// gather reads the results of the runs that are finished.
func (a *ablate) gather() (*ablationSummary, error) {
	sum := &ablationSummary{Name: a.plan.Name, Data: a.plan.Data, Base: a.plan.Base,
		Baseline: a.plan.Baseline, Results: []*ablation.Result{}, Missing: []string{}}
	for _, j := range a.all {
		r, err := j.result()
		if err != nil {
			return nil, err
		}
		if r == nil {
			sum.Missing = append(sum.Missing, j.name())
			continue
		}
		if err := j.fits(); err != nil {
			return nil, err
		}
		sum.Results = append(sum.Results, r)
	}
	sum.Verdicts = a.plan.Verdicts(sum.Results)
	sum.rows = a.plan.Table(sum.Results, false)
	return sum, nil
}

// write writes one file of the results.
func (a *ablate) write(name string, write func(io.Writer) error) error {
	return durable.WriteFile(filepath.Join(a.dir, name), write)
}

// writeTable writes the table of what is finished so far.
func (a *ablate) writeTable() error {
	sum, err := a.gather()
	if err != nil {
		return err
	}
	if err := a.write("table.md", func(w io.Writer) error {
		return a.plan.WriteMarkdown(w, sum.Results)
	}); err != nil {
		return err
	}
	return a.write("table.csv", func(w io.Writer) error { return a.plan.WriteCSV(w, sum.Results) })
}

// draw writes table, figures, summary and report of what is finished.
func (a *ablate) draw() (*ablationSummary, error) {
	sum, err := a.gather()
	if err != nil {
		return nil, err
	}
	if len(sum.Results) == 0 {
		return nil, fmt.Errorf("no run of %s is finished", a.dir)
	}
	if err := a.writeTable(); err != nil {
		return nil, err
	}
	curves, err := a.curves(sum)
	if err != nil {
		return nil, err
	}
	charts := a.plan.Charts(curves)
	if err := a.drawFigures(charts); err != nil {
		return nil, err
	}
	for _, c := range charts {
		sum.Figures = append(sum.Figures, c.Name)
	}
	data, err := a.reportData(sum, charts)
	if err != nil {
		return nil, err
	}
	if sum.Report, err = writeReport(a.dir, data); err != nil {
		return nil, err
	}
	return sum, a.write("summary.json", func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(sum)
	})
}

// curves reads the logs of the finished runs.
func (a *ablate) curves(sum *ablationSummary) ([]ablation.Curves, error) {
	var out []ablation.Curves
	for _, r := range sum.Results {
		dir := filepath.Join(a.dir, ablation.Folder(r.Run, r.Seed))
		log, err := train.ReadMetrics(dir)
		if err != nil {
			return nil, err
		}
		probes, err := train.ReadProbes(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // a run without
			return nil, err
		}
		out = append(out, ablation.Curves{Run: r.Run, Seed: r.Seed, Lambda: r.Lambda, Log: log, Probes: probes})
	}
	return out, nil
}

// drawFigures writes the charts and removes those of an earlier drawing that are no more.
func (a *ablate) drawFigures(charts []report.Curve) error {
	dir := filepath.Join(a.dir, "figures")
	if err := report.WriteFigures(dir, charts); err != nil {
		return err
	}
	keep := map[string]bool{}
	for _, c := range charts {
		keep[c.Name+"-light.svg"], keep[c.Name+"-dark.svg"] = true, true
	}
	old, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range old {
		if strings.HasSuffix(f.Name(), ".svg") && !keep[f.Name()] {
			if err := os.Remove(filepath.Join(dir, f.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// reportData is the page about all runs.
func (a *ablate) reportData(sum *ablationSummary, charts []report.Curve) (report.Data, error) {
	figures, err := report.Figures(charts)
	if err != nil {
		return report.Data{}, err
	}
	rows := a.plan.Table(sum.Results, true)
	held := 0
	claims := report.Table{Title: "What the paper says", Text: true,
		Read: "Each claim of appendix L that a number decides, beside what was measured here. Where the " +
			"paper gives curves and no bound, the bound is ours and stands in the claim.",
		Head: []string{"run", "figure", "claim", "measured", "verdict"}}
	for _, v := range sum.Verdicts {
		claims.Rows = append(claims.Rows, []string{v.Run, fmt.Sprint(v.Figure), v.Claim, v.Measured, v.Word()})
		if v.Holds {
			held++
		}
	}
	d := report.Data{Title: a.plan.Title,
		Verdict: fmt.Sprintf("%d runs of the same clips, %s: %d of %d claims of the paper reproduced.",
			len(sum.Results), a.plan.Data, held, len(sum.Verdicts)),
		Tables: []report.Table{{Title: "Runs", Read: ablation.TableNote, Head: rows[0], Rows: rows[1:]}},
		Curves: figures,
		Repeat: fmt.Sprintf("avjepa ablate %s --runs %s", shellWord(a.file), shellWord(a.runs)),
		Made:   time.Now().UTC().Format("2006-01-02 15:04 UTC"),
		Config: reportSettings(a.all[0].cfg),
		Limits: a.limits(sum),
	}
	if len(claims.Rows) > 0 {
		d.Tables = append(d.Tables, claims)
	} else {
		d.Verdict = fmt.Sprintf("%d runs of the same clips, %s.", len(sum.Results), a.plan.Data)
	}
	if len(sum.Missing) > 0 {
		d.Cut = "Not finished, so neither in the table nor in the curves: " + strings.Join(sum.Missing, ", ") + "."
	}
	return d, nil
}

// collapsed is the deviation below which embeddings differ by rounding alone.
const collapsed = 0.01

// limits says what to think of the figures.
func (a *ablate) limits(sum *ablationSummary) []string {
	var out []string
	if len(a.plan.Seeds) == 1 {
		out = append(out, "One seed: what differs by little may be chance.")
	}
	for _, r := range sum.Results {
		if n := r.Retrieval.N; len(out) < 2 && n > 0 {
			out = append(out, fmt.Sprintf("Among %d held-out clips one clip is %.1f percentage points.", n,
				100/float64(n)))
		}
		if r.End.Std < collapsed {
			out = append(out, fmt.Sprintf("%s has collapsed: its retrieval compares embeddings that differ "+
				"by rounding, where ties count as found.", ablation.Folder(r.Run, r.Seed)))
		}
	}
	return out
}
