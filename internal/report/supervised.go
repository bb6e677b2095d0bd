package report

import (
	"math"

	"avjepa/internal/chart"
	"avjepa/internal/finetune"
)

// inputNames are what inputs are called in charts.
var inputNames = map[string]string{"both": "sound and picture", "audio": "sound alone",
	"video": "picture alone"}

// SupervisedCurves returns the charts of a run of finetune or probe: losses over steps,
// the heads' figures on the validation clips over epochs, by what they are given, and the
// gradient norm. Numbers that are not finite are left out, and charts without any.
//
// Source: paper, figures 3b and 10.
func SupervisedCurves(log []finetune.StepMetrics, epochs []finetune.EpochMetrics) []Curve {
	what := "top-1"
	if n := len(epochs); n > 0 && len(epochs[n-1].Scores) > 0 && epochs[n-1].Scores[0].MAP != nil {
		what = "mAP"
	}
	first := ""
	if len(epochs) > 0 && len(epochs[0].Scores) > 0 {
		first = epochs[0].Scores[0].Input
	}
	heads := func(f func(finetune.Score) *float64) (all []chart.Series) {
		for _, head := range []string{"attentive", "linear"} {
			all = append(all, validated(epochs, head, first, head, f))
		}
		return all
	}
	all := []Curve{
		{"loss", "The cross-entropy of each head on the clips trained on; both should fall.",
			chart.Lines{Title: "Loss", XLabel: "step", YLabel: "cross-entropy", Series: []chart.Series{
				steps("linear", log, func(m *finetune.StepMetrics) float64 { return m.Linear }),
				steps("attentive", log, func(m *finetune.StepMetrics) float64 { return m.Attentive }),
				steps("both heads", log, func(m *finetune.StepMetrics) float64 {
					if m.Attentive == 0 {
						return 0 // the linear one's again
					}
					return m.Loss
				})}}},
		{"heads", "Validation clips after every epoch; a curve that falls again while the loss still " +
			"falls has begun to learn by heart.",
			chart.Lines{Title: "Heads, " + what + ", " + inputNames[first], XLabel: "epoch",
				YLabel: what + " %", LegendBelow: true, Series: heads(main)}},
		{"top5", "The right class is among the first five.",
			chart.Lines{Title: "Heads, top-5, " + inputNames[first], XLabel: "epoch", YLabel: "top-5 %",
				LegendBelow: true,
				Series:      heads(func(s finetune.Score) *float64 { return s.Top5 })}},
	}
	for _, head := range []string{"attentive", "linear"} {
		c := Curve{"input-" + head, "The same validation clips seen and heard, heard alone and seen " +
			"alone: the distance between the curves is what each modality adds.",
			chart.Lines{Title: "By input, " + head + " head, " + what, XLabel: "epoch",
				YLabel: what + " %", LegendBelow: true}}
		for _, input := range []string{"both", "audio", "video"} {
			c.Lines.Series = append(c.Lines.Series, validated(epochs, inputNames[input], input, head, main))
		}
		all = append(all, c)
	}
	all = append(all, Curve{"gradient", "Spikes above the clip bound are cut; a rising floor hints at " +
		"too high a learning rate.",
		chart.Lines{Title: "Gradient norm", XLabel: "step", YLabel: "norm", LogY: true,
			Series: []chart.Series{steps("before clipping", log,
				func(m *finetune.StepMetrics) float64 { return m.GradNorm })}}})
	return Drawable(all)
}

// main is the number that counts: top-1, or mAP.
func main(s finetune.Score) *float64 {
	if s.Top1 != nil {
		return s.Top1
	}
	return s.MAP
}

// validated is a figure of a head on an input, in per cent, over epochs; it is empty for
// a run without.
func validated(epochs []finetune.EpochMetrics, name, input, head string,
	f func(finetune.Score) *float64) chart.Series {
	out := chart.Series{Name: name}
	for _, e := range epochs {
		for _, s := range e.Scores {
			if v := f(s); v != nil && s.Input == input && s.Head == head {
				out.X, out.Y = append(out.X, float64(e.Epoch)), append(out.Y, 100**v)
			}
		}
	}
	return out
}

// steps is a number of every step where it is above 0; a head that is not there has 0.
func steps(name string, log []finetune.StepMetrics, f func(*finetune.StepMetrics) float64) chart.Series {
	out := chart.Series{Name: name}
	for i := range log {
		if y := f(&log[i]); y > 0 && !math.IsInf(y, 1) {
			out.X, out.Y = append(out.X, float64(log[i].Step)), append(out.Y, y)
		}
	}
	return out
}

// Fold is one of a cross-validation.
type Fold struct {
	Name   string // the split that was held out
	Epochs []finetune.EpochMetrics
}

// FoldCurves lays the curves of folds over each other: the loss, and the first head's
// figure on its first input.
func FoldCurves(folds []Fold) []Curve {
	loss := Curve{"loss", "Means over the steps of an epoch; folds should fall alike.",
		chart.Lines{Title: "Loss of each fold", XLabel: "epoch", YLabel: "cross-entropy", LegendBeside: true}}
	score := Curve{"heads", "Each on the clips it holds out; how far they lie apart is how far to trust " +
		"one split.", chart.Lines{XLabel: "epoch", LegendBeside: true}}
	for _, f := range folds {
		s := chart.Series{Name: f.Name}
		for _, e := range f.Epochs {
			s.X, s.Y = append(s.X, float64(e.Epoch)), append(s.Y, e.Loss)
		}
		loss.Lines.Series = append(loss.Lines.Series, s)
		if len(f.Epochs) == 0 || len(f.Epochs[0].Scores) == 0 {
			continue
		}
		first := f.Epochs[0].Scores[0]
		score.Lines.YLabel = "top-1 %"
		if first.Top1 == nil {
			score.Lines.YLabel = "mAP %"
		}
		score.Lines.Title = "Held-out clips of each fold, " + first.Head + ", " + inputNames[first.Input]
		score.Lines.Series = append(score.Lines.Series,
			validated(f.Epochs, f.Name, first.Input, first.Head, main))
	}
	return Drawable([]Curve{loss, score})
}
