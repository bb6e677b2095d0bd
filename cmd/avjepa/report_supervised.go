package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"avjepa/internal/config"
	"avjepa/internal/finetune"
	"avjepa/internal/report"
)

// Of a report on classifiers.
const (
	reportResamples = 1000
	reportConfused  = 20
)

// supervisedReport is the report of a run of finetune or probe: its curves, and what its
// best epoch gives on the clips it was judged by.
func supervisedReport(ctx context.Context, dir string, eval *evalOptions, p *progress) (
	d report.Data, left, err error) {
	epochs, err := finetune.ReadEpochs(dir)
	if err != nil {
		return d, nil, err
	}
	if len(epochs) == 0 {
		return d, nil, fmt.Errorf("%s has no epoch yet: avjepa probe or finetune with --resume goes on", dir)
	}
	steps, err := finetune.ReadSteps(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return d, nil, err
	}
	run, err := openRun(dir)
	if err != nil {
		return d, nil, err
	}
	cfg := run.cfg
	d = report.Data{Title: "Run " + filepath.Base(dir), Config: reportSettings(cfg),
		Machine: supervisedMachine(steps), Repeat: repeatSupervised(dir, cfg),
		Made: time.Now().UTC().Format("2006-01-02 15:04 UTC")}
	charts := report.SupervisedCurves(steps, epochs)
	if d.Curves, err = report.Figures(charts); err != nil {
		return d, nil, err
	}
	if err := report.WriteFigures(filepath.Join(dir, "figures"), charts); err != nil {
		return d, nil, err
	}
	r, err := runEvaluate(ctx, dir, &evaluateOptions{data: eval.data, split: eval.split, windows: eval.windows,
		resamples: reportResamples, confused: reportConfused, set: eval.set, engine: eval.engine}, p)
	if text, left, gone := noData(ctx, err); gone {
		d.Verdict = text
		d.Tables = []report.Table{epochTable(epochs)}
		return d, left, nil
	}
	if err != nil {
		return d, nil, err
	}
	d.Verdict = verdictOf(r)
	d.Tables = append(resultTables(r), epochTable(epochs))
	d.Tables = append(d.Tables, classTable(r))
	if t := confusionTable(r); len(t.Rows) > 0 {
		d.Tables = append(d.Tables, t)
	}
	d.Limits = supervisedLimits(r, cfg)
	return d, partial(r.Skipped, r.Data), nil
}

// repeatSupervised are the commands that make the run again.
func repeatSupervised(dir string, cfg *config.Config) string {
	command, again := "finetune", filepath.Base(dir)+"-again"
	if cfg.Finetune.BackboneLR == 0 {
		command = "probe"
	}
	return fmt.Sprintf("avjepa %s %s --config %s --name %s\navjepa report %s", command,
		shellWord(cfg.Train.Init), shellWord(filepath.Join(dir, "config.toml")), shellWord(again),
		shellWord(filepath.Join(filepath.Dir(dir), again)))
}

func supervisedMachine(log []finetune.StepMetrics) []report.Setting {
	out := reportMachine(nil)
	seconds, wait := 0.0, 0.0
	for _, m := range log {
		seconds, wait = seconds+m.Seconds, wait+m.Seconds*m.WaitShare
	}
	if seconds > 0 {
		out = append(out, report.Setting{Key: "training", Value: fmt.Sprintf(
			"%s in %s, %.1f %% of it waiting for data", amount(len(log), "steps"), spanOf(seconds), 100*wait/seconds)})
	}
	return out
}

// verdictOf is what came out, of the head and the input that come first.
func verdictOf(r *classification) string {
	if len(r.Results) == 0 {
		return "Nothing was measured."
	}
	x := r.Results[0]
	what := fmt.Sprintf("Given %s, the %s head", inputTitles[x.Input], x.Head)
	if x.Top1 != nil {
		return fmt.Sprintf("%s names the class of %s %% of %s right (chance %s %%: %s).", what,
			figure(x.Top1, true), amount(r.Clips, "held-out clips"), percent(1/float64(max(r.Classes, 1))),
			amount(r.Classes, "classes"))
	}
	return fmt.Sprintf("%s reaches a mean average precision of %s %% over %s of %s.", what, figure(x.MAP, true),
		amount(r.Classes-r.Absent, "classes"), amount(r.Clips, "held-out clips"))
}

// resultTables are the figures of every input and head.
func resultTables(r *classification) []report.Table {
	t := report.Table{Title: "Held-out clips", Head: []string{amount(r.Clips, "clips"), "head"},
		Read: fmt.Sprintf("Split %q of %s, %s a clip, step %d; in brackets the middle 95 %% of %d resamples "+
			"of the clips. mAP, AUC and d′ are means over the classes that some clip has.", r.Split, r.Data,
			amount(r.Windows, "windows"), r.Step, r.Resamples)}
	if !r.Multi {
		t.Head = append(t.Head, "top-1 %", "top-5 %")
	}
	t.Head = append(t.Head, "mAP %", "AUC", "d′")
	for _, x := range r.Results {
		row := []string{inputTitles[x.Input], x.Head}
		if !r.Multi {
			row = append(row, figure(x.Top1, true), figure(x.Top5, true))
		}
		t.Rows = append(t.Rows, append(row, figure(x.MAP, true), figure(x.AUC, false), figure(x.DPrime, false)))
	}
	return []report.Table{t}
}

// epochTable has a row for every epoch, on the first input.
func epochTable(epochs []finetune.EpochMetrics) report.Table {
	t := report.Table{Title: "Epochs", Head: []string{"epoch", "loss"},
		Read: "Figures of the validation clips after each epoch, as training measured them."}
	if len(epochs) > 10 {
		t.Fold = amount(len(epochs), "epochs")
	}
	scores := epochs[len(epochs)-1].Scores
	for _, s := range scores {
		if s.Input == scores[0].Input {
			what := "top-1 %"
			if s.Top1 == nil {
				what = "mAP %"
			}
			t.Head = append(t.Head, s.Head+" "+what)
		}
	}
	t.Head = append(t.Head, "best so far")
	for _, e := range epochs {
		row := []string{fmt.Sprint(e.Epoch), fmt.Sprintf("%.3f", e.Loss)}
		for i := range t.Head[2 : len(t.Head)-1] {
			cell := "–"
			if i < len(e.Scores) {
				if v := figureOf(e.Scores[i]); v != nil {
					cell = percent(*v)
				}
			}
			row = append(row, cell)
		}
		t.Rows = append(t.Rows, append(row, map[bool]string{true: "yes"}[e.Best]))
	}
	return t
}

// classTable has a row for every class that some clip has, best first, with the first
// head's figures on every input.
func classTable(r *classification) report.Table {
	t := report.Table{Title: "Classes", Head: []string{"class", "clips"}}
	var head string
	var inputs []string
	for _, x := range r.Results {
		head = cmp.Or(head, x.Head)
		if x.Head == head {
			inputs = append(inputs, x.Input)
		}
	}
	for _, in := range inputs {
		if !r.Multi {
			t.Head = append(t.Head, inputTitles[in]+": top-1 %")
		}
		t.Head = append(t.Head, inputTitles[in]+": AP %")
	}
	t.Read = fmt.Sprintf("The %s head, best classes first: of how many of its clips a class is named first, "+
		"and average precision, 100 where all its clips are ranked before all others.", head)
	of := map[string]map[string]finetune.ClassResult{} // class → input
	var classes []finetune.ClassResult
	for _, c := range r.PerClass {
		if c.Head != head || c.Positives == 0 {
			continue
		}
		if of[c.Class] == nil {
			of[c.Class] = map[string]finetune.ClassResult{}
			classes = append(classes, c)
		}
		of[c.Class][c.Input] = c
	}
	number := func(x *float64) float64 {
		if x == nil {
			return -1
		}
		return *x
	}
	slices.SortStableFunc(classes, func(a, b finetune.ClassResult) int {
		return cmp.Or(cmp.Compare(number(b.Top1), number(a.Top1)), cmp.Compare(number(b.AP), number(a.AP)),
			strings.Compare(a.Name, b.Name))
	})
	show := func(x *float64) string {
		if x == nil {
			return "–"
		}
		return percent(*x)
	}
	for _, c := range classes {
		row := []string{c.Name, fmt.Sprint(c.Positives)}
		for _, in := range inputs {
			x := of[c.Class][in]
			if !r.Multi {
				row = append(row, show(x.Top1))
			}
			row = append(row, show(x.AP))
		}
		t.Rows = append(t.Rows, row)
	}
	if len(t.Rows) > 20 {
		t.Fold = amount(len(t.Rows), "classes")
	}
	return t
}

func confusionTable(r *classification) report.Table {
	t := report.Table{Title: "Confused most", Text: true, Head: []string{"class", "taken for", "clips", "of"},
		Read: "Clips of a class that the first head names as another, given the first input of the table above."}
	for _, c := range r.Confused {
		t.Rows = append(t.Rows, []string{c.Class, c.Taken, fmt.Sprint(c.Clips), fmt.Sprint(c.Of)})
	}
	return t
}

// supervisedLimits says what to think of the figures.
func supervisedLimits(r *classification, cfg *config.Config) []string {
	var out []string
	if judged := cmp.Or(cfg.Finetune.HoldOut, cfg.Eval.Split); r.Split == judged && r.Data == cfg.Data.Dir {
		out = append(out, "The best epoch was chosen by these same clips, so the figures flatter: clips of a "+
			"third split (--split) do not.")
	}
	if r.Clips > 0 {
		out = append(out, fmt.Sprintf("Among %s one is %.1f percentage points.", amount(r.Clips, "clips"),
			100/float64(r.Clips)))
	}
	if r.Absent > 0 {
		out = append(out, fmt.Sprintf("No clip has %s, which are in no mean over classes.",
			amount(r.Absent, "classes")))
	}
	if r.Unknown > 0 {
		out = append(out, fmt.Sprintf("Left out: %s without a class that the heads know.", amount(r.Unknown, "clips")))
	}
	return out
}
