package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"avjepa/internal/config"
	"avjepa/internal/finetune"
	"avjepa/internal/report"
)

// crossReport is the report of a cross-validation: its folds beside each other.
func crossReport(dir string) (d report.Data, err error) {
	sum, err := readCross(dir)
	if err != nil {
		return d, err
	}
	cfg := config.New()
	if err := cfg.ApplyFile(filepath.Join(dir, "config.toml")); err != nil {
		return d, configError(err)
	}
	what := "top-1 %"
	if sum.MultiLabel {
		what = "mAP %"
	}
	folds := amount(len(sum.Folds), "folds")
	d = report.Data{Title: "Cross-validation " + filepath.Base(dir), Config: reportSettings(cfg),
		Machine: reportMachine(nil), Made: time.Now().UTC().Format("2006-01-02 15:04 UTC"),
		Repeat: strings.Replace(repeatSupervised(dir, cfg), " --config", " --cross-validate --config", 1)}
	mean := report.Table{Title: "Mean over " + folds, Head: []string{"input", "head", "last epoch, " + what,
		"± std", "best epoch, " + what, "± std"},
		Read: "Mean and deviation over the folds, each held out once. The best epochs flatter: the clips that " +
			"judge have chosen them."}
	for i, m := range sum.Mean {
		mean.Rows = append(mean.Rows, []string{inputTitles[m.Input], m.Head, percent(m.Last.Mean),
			percent(m.Last.Std), percent(m.Best.Mean), percent(m.Best.Std)})
		if i == 0 {
			d.Verdict = fmt.Sprintf("Given %s, the %s head reaches %s %s ± %s over %s.", inputTitles[m.Input],
				m.Head, strings.TrimSuffix(what, " %"), percent(m.Last.Mean)+" %", percent(m.Last.Std), folds)
		}
	}
	each := report.Table{Title: "Folds", Head: []string{"held out", "clips", "last epoch, " + what,
		"best epoch, " + what, "best epoch is"},
		Read: "The first head on the first input; avjepa report on the folder of a fold has its curves and classes."}
	for i, f := range sum.Folds {
		if i >= len(sum.Splits) || len(f.Last.Scores) == 0 || len(f.Best.Scores) == 0 {
			continue
		}
		cell := func(s finetune.Score) string {
			if v := figureOf(s); v != nil {
				return percent(*v)
			}
			return "–"
		}
		each.Rows = append(each.Rows, []string{sum.Splits[i], fmt.Sprint(f.Validated), cell(f.Last.Scores[0]),
			cell(f.Best.Scores[0]), fmt.Sprint(f.Best.Epoch)})
	}
	d.Tables = []report.Table{mean, each}
	charts, err := foldCharts(dir, sum)
	if err != nil {
		return d, err
	}
	d.Curves, err = report.Figures(charts)
	return d, errors.Join(err, report.WriteFigures(filepath.Join(dir, "figures"), charts))
}

// foldCharts lays the folds' curves of the first head and input over each other.
func foldCharts(dir string, sum *crossSummary) ([]report.Curve, error) {
	var folds []report.Fold
	for _, split := range sum.Splits {
		if checkName(split) != nil { // a file that others wrote leads nowhere else
			continue
		}
		epochs, err := finetune.ReadEpochs(filepath.Join(dir, split))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		folds = append(folds, report.Fold{Name: split, Epochs: epochs})
	}
	return report.FoldCurves(folds), nil
}
