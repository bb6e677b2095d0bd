package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"

	"avjepa/internal/config"
	"avjepa/internal/durable"
	"avjepa/internal/finetune"
)

// crossSummary is how the folds of a cross-validation ended: cross.json.
type crossSummary struct {
	Run        string             `json:"run"`
	MultiLabel bool               `json:"multi_label"`
	Folds      []*finetuneSummary `json:"folds"`
	Splits     []string           `json:"splits"` // held out, by fold
	Mean       []crossScore       `json:"mean"`
}

// crossScore is a figure over the folds. That of each one's best epoch flatters: the
// clips it is judged by have chosen the epoch.
type crossScore struct {
	Input  string       `json:"input"`
	Head   string       `json:"head"`
	Metric string       `json:"metric"` // top1 or map
	Last   meanOverFold `json:"last"`   // after the last epoch
	Best   meanOverFold `json:"best"`   // after the best one
}

// meanOverFold is a mean with its deviation over folds.
type meanOverFold struct {
	Mean float64 `json:"mean"`
	Std  float64 `json:"std"` // with n−1
}

// crossValidate holds out every split in turn, each fold in a folder of the run's.
func crossValidate(ctx context.Context, c *config.Config, o *finetuneOptions, p *progress) (
	*crossSummary, error) {
	whole, err := openShowing(ctx, c.Data.Dir, c.Finetune.Modality, p)
	if err != nil {
		return nil, err
	}
	splits := whole.Splits()
	if len(splits) < 2 {
		return nil, fmt.Errorf("%s has one split, %q: to cross-validate, its list must name folds as "+
			"splits", c.Data.Dir, splits)
	}
	for _, s := range splits {
		if err := checkName(s); err != nil {
			return nil, fmt.Errorf("split %q cannot be the name of a folder", s)
		}
	}
	dir := filepath.Join(o.runs, o.name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	sum := &crossSummary{Run: dir, Splits: splits}
	text := c.TOML()
	if err := writeWhole(filepath.Join(dir, "config.toml"), []byte(text)); err != nil { // for --resume
		return nil, err
	}
	var unread error // that some clips could not be read
	for _, split := range splits {
		fold := config.New()
		if err := fold.ApplyText(text, "settings"); err != nil {
			return nil, configError(err)
		}
		if err := fold.Set("finetune.hold_out", split, "flag --cross-validate"); err != nil {
			return nil, configError(err)
		}
		p.say("fold: %s held out", split)
		s, err := runFinetune(ctx, fold, o, filepath.Join(dir, split), p)
		if err != nil && !errors.Is(err, errPartial) || s == nil {
			return nil, err
		}
		if err != nil {
			unread = err
		}
		sum.Folds = append(sum.Folds, s)
		sum.MultiLabel = s.MultiLabel
	}
	sum.Mean = meanOfFolds(sum.Folds)
	js, err := json.MarshalIndent(sum, "", "  ")
	if err != nil {
		return nil, err
	}
	return sum, errors.Join(unread, writeWhole(filepath.Join(dir, "cross.json"), append(js, '\n')))
}

// readCross reads the cross.json of a run folder.
func readCross(dir string) (*crossSummary, error) {
	path := filepath.Join(dir, "cross.json")
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var sum crossSummary
	if err := json.Unmarshal(text, &sum); err != nil {
		return nil, fmt.Errorf("%s: %w: give the command with --cross-validate --resume again", path, err)
	}
	if slices.Contains(sum.Folds, nil) || len(sum.Folds) == 0 {
		return nil, fmt.Errorf("%s has no folds, or broken ones: give the command with --cross-validate "+
			"--resume again", path)
	}
	return &sum, nil
}

// meanOfFolds returns mean and deviation of what all folds have.
func meanOfFolds(folds []*finetuneSummary) []crossScore {
	var all []crossScore
	for i, s := range folds[0].Last.Scores {
		out := crossScore{Input: s.Input, Head: s.Head, Metric: "top1"}
		if folds[0].MultiLabel {
			out.Metric = "map"
		}
		var last, best []float64
		for _, f := range folds {
			for _, e := range []struct {
				to   *[]float64
				from []finetune.Score
			}{{&last, f.Last.Scores}, {&best, f.Best.Scores}} {
				if i < len(e.from) {
					if v := figureOf(e.from[i]); v != nil {
						*e.to = append(*e.to, *v)
					}
				}
			}
		}
		if len(last) == len(folds) && len(best) == len(folds) {
			out.Last, out.Best = meanAndStd(last), meanAndStd(best)
			all = append(all, out)
		}
	}
	return all
}

// figureOf returns top-1, or mAP with several classes a clip.
func figureOf(s finetune.Score) *float64 {
	if s.Top1 != nil {
		return s.Top1
	}
	return s.MAP
}

func meanAndStd(x []float64) (m meanOverFold) {
	for _, v := range x {
		m.Mean += v / float64(len(x))
	}
	for _, v := range x {
		m.Std += (v - m.Mean) * (v - m.Mean) / float64(len(x)-1)
	}
	m.Std = math.Sqrt(m.Std)
	return m
}

func showCross(out io.Writer, s *crossSummary, asJSON bool) error {
	if asJSON {
		return writeJSON(out, s)
	}
	what := "top-1 %"
	if s.MultiLabel {
		what = "mAP %"
	}
	rows := [][]string{{fmt.Sprintf("%d folds", len(s.Folds)), "head", "last epoch " + what, "± std",
		"best epoch", "± std"}}
	for _, m := range s.Mean {
		rows = append(rows, []string{inputTitles[m.Input], m.Head, percent(m.Last.Mean),
			percent(m.Last.Std), percent(m.Best.Mean), percent(m.Best.Std)})
	}
	for i, f := range s.Folds {
		for j, x := range f.Last.Scores[:min(1, len(f.Last.Scores))] {
			last, best := figureOf(x), figureOf(f.Best.Scores[j])
			if last != nil && best != nil {
				rows = append(rows, []string{"  " + s.Splits[i] + " held out", x.Head, percent(*last), "",
					percent(*best), ""})
			}
		}
	}
	table(out, "llrrrr", rows)
	fmt.Fprintf(out, "\nbest epochs flatter: the clips that judge have chosen them\n%s\n", s.Run)
	return nil
}

// writeWhole writes a file whole or not at all.
func writeWhole(path string, text []byte) error {
	return durable.WriteFile(path, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}
