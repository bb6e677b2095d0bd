package report

import (
	"math"
	"slices"
	"testing"

	"avjepa/internal/finetune"
)

// supervisedLog is a run of n epochs with two steps each.
func supervisedLog(n int, several bool) (steps []finetune.StepMetrics, epochs []finetune.EpochMetrics) {
	for e := range n {
		for s := range 2 {
			steps = append(steps, finetune.StepMetrics{Step: 2*e + s + 1, Loss: 3, Linear: 2, Attentive: 1, GradNorm: 4})
		}
		m := finetune.EpochMetrics{Epoch: e + 1, Loss: 3}
		for i, in := range []string{"both", "audio", "video"} {
			for j, head := range []string{"attentive", "linear"} {
				x := float64(10*i+j+e) / 100
				s := finetune.Score{Input: in, Head: head, Top1: &x, Top5: &x}
				if several {
					s = finetune.Score{Input: in, Head: head, MAP: &x}
				}
				m.Scores = append(m.Scores, s)
			}
		}
		epochs = append(epochs, m)
	}
	return steps, epochs
}

func names(all []Curve) (out []string) {
	for _, c := range all {
		out = append(out, c.Name)
	}
	return out
}

func TestSupervisedCurves(t *testing.T) {
	steps, epochs := supervisedLog(3, false)
	all := SupervisedCurves(steps, epochs)
	if got, want := names(all), []string{"loss", "heads", "top5", "input-attentive", "input-linear",
		"gradient"}; !slices.Equal(got, want) {
		t.Fatalf("charts %v, want %v", got, want)
	}
	if s := all[0].Lines.Series; len(s[0].Y) != 6 || s[0].Y[0] != 2 || s[1].Y[0] != 1 || s[2].Y[0] != 3 {
		t.Errorf("losses %v", s)
	}
	if s := all[3].Lines.Series; !slices.Equal(s[1].X, []float64{1, 2, 3}) || !near(s[1].Y[2], 12) ||
		!near(s[2].Y[0], 20) {
		t.Errorf("the attentive head on sound alone: %v; on pictures %v", s[1], s[2])
	}
	figures, err := Figures(all)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range figures {
		checkPicture(t, f.Title, string(f.Light))
	}
	steps, epochs = supervisedLog(1, true)
	if got := names(SupervisedCurves(steps, epochs)); slices.Contains(got, "top5") {
		t.Errorf("several labels a clip: %v", got)
	}
	for i := range steps {
		steps[i].Attentive, steps[i].Linear = 0, math.NaN()
	}
	if got := names(SupervisedCurves(steps, nil)); !slices.Equal(got, []string{"gradient"}) {
		t.Errorf("a run that diverged: %v", got)
	}
	if got := SupervisedCurves(nil, nil); len(got) > 0 {
		t.Errorf("charts of nothing: %v", names(got))
	}
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9 }

func TestFoldCurves(t *testing.T) {
	_, epochs := supervisedLog(3, false)
	all := FoldCurves([]Fold{{"a", epochs}, {"b", epochs[:1]}, {"c", nil}})
	if len(all) != 2 || len(all[1].Lines.Series) != 2 || len(all[1].Lines.Series[1].X) != 1 {
		t.Errorf("%+v", all)
	}
	if _, err := Figures(all); err != nil {
		t.Error(err)
	}
}
