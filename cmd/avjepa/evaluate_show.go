package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"avjepa/internal/durable"
	"avjepa/internal/finetune"
)

// writeClasses writes a line for every class, input and head.
func writeClasses(path string, all []finetune.ClassResult) error {
	number := func(x *float64) string {
		if x == nil {
			return ""
		}
		return fmt.Sprintf("%.6f", *x)
	}
	err := durable.WriteFile(path, func(out io.Writer) error {
		w := csv.NewWriter(out)
		w.Write([]string{"class", "name", "clips", "input", "head", "ap", "auc", "top1"})
		for _, r := range all {
			w.Write([]string{r.Class, r.Name, fmt.Sprint(r.Positives), r.Input, r.Head, number(r.AP),
				number(r.AUC), number(r.Top1)})
		}
		w.Flush()
		return w.Error()
	})
	if errors.Is(err, os.ErrNotExist) {
		return usageError(fmt.Errorf("--out %s: its folder does not exist", path))
	}
	return err
}

// figure is a number with its interval, in per cent, the interval in whole ones, where it
// is a share.
func figure(f *finetune.Figure, share bool) string {
	if f == nil {
		return "–"
	}
	show := func(x float64) string {
		if share {
			return percent(x)
		}
		return fmt.Sprintf("%.3f", x)
	}
	if f.CI == nil {
		return show(f.Value)
	}
	if share {
		return show(f.Value) + interval(*f.CI, 100)
	}
	return fmt.Sprintf("%s [%s, %s]", show(f.Value), show(f.CI[0]), show(f.CI[1]))
}

func showEvaluation(out io.Writer, r *classification, asJSON bool) error {
	if asJSON {
		return writeJSON(out, r)
	}
	first := amount(r.Clips, "clips")
	shares := [][]string{{first, "head"}}
	areas := [][]string{{first, "head", "AUC", "d′"}}
	if !r.Multi {
		shares[0] = append(shares[0], "top-1 %", "top-5 %")
	}
	shares[0] = append(shares[0], "mAP %")
	for _, x := range r.Results {
		row := []string{inputTitles[x.Input], x.Head}
		areas = append(areas, append(row[:2:2], figure(x.AUC, false), figure(x.DPrime, false)))
		if !r.Multi {
			row = append(row, figure(x.Top1, true), figure(x.Top5, true))
		}
		shares = append(shares, append(row, figure(x.MAP, true)))
	}
	if r.Resamples == 0 { // without intervals all has room in one table
		for i := range shares {
			shares[i] = append(shares[i], areas[i][2:]...)
		}
	}
	table(out, "ll"+strings.Repeat("r", len(shares[0])-2), shares)
	fmt.Fprintln(out)
	if r.Resamples > 0 {
		table(out, "llrr", areas)
		fmt.Fprintln(out)
	}
	if len(r.Confused) > 0 {
		rows := [][]string{{"confused most", "taken for", "clips", "of"}}
		for _, c := range r.Confused {
			rows = append(rows, []string{c.Class, c.Taken, fmt.Sprint(c.Clips), fmt.Sprint(c.Of)})
		}
		table(out, "llrr", rows)
		fmt.Fprintln(out)
	}
	if r.Resamples > 0 {
		fmt.Fprintf(out, "in brackets: 95 %% of %d resamples of the clips\n", r.Resamples)
	}
	if r.Absent > 0 {
		fmt.Fprintf(out, "no clip has %d of the classes: they are not in mAP, AUC and d′\n", r.Absent)
	}
	if r.Unknown > 0 {
		fmt.Fprintf(out, "left out: %s without a class that the heads know\n", amount(r.Unknown, "clips"))
	}
	fmt.Fprintf(out, "%s, windows of a clip: %d, step %d of %s\nsplit %q of %s\n", amount(r.Classes, "classes"),
		r.Windows, r.Step, r.Run, r.Split, r.Data)
	if r.Out != "" {
		fmt.Fprintln(out, r.Out)
	}
	return nil
}
