package metrics

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

type golden struct {
	Single struct {
		Logits [][]float32 `json:"logits"`
		Labels []int       `json:"labels"`
		Top1   float64     `json:"top1"`
		Top5   float64     `json:"top5"`
	} `json:"single_label"`
	Multi   multi `json:"multi_label"`
	Ties    multi `json:"multi_label_ties"`
	Missing multi `json:"multi_label_missing_class"`
}

type multi struct {
	Scores  [][]float32 `json:"scores"`
	Labels  [][]float64 `json:"labels"`
	AP      []*float64  `json:"ap"`
	AUC     []*float64  `json:"auc"`
	DPrime  []*float64  `json:"dprime"`
	Present float64     `json:"map_present_classes"`
	MeanAUC float64     `json:"mean_auc"`
	OfMean  float64     `json:"dprime_of_mean_auc"`
}

func load(t *testing.T) golden {
	t.Helper()
	text, err := os.ReadFile("../../testdata/golden/metrics.json")
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-6) {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

func TestGoldenTopK(t *testing.T) {
	g := load(t).Single
	var flat []float32
	for _, r := range g.Logits {
		flat = append(flat, r...)
	}
	c := len(g.Logits[0])
	near(t, "top-1", TopK(flat, g.Labels, c, 1), g.Top1)
	near(t, "top-5", TopK(flat, g.Labels, c, 5), g.Top5)
	flat[3] = float32(math.NaN())
	if TopK(flat, g.Labels, c, c) != float64(len(g.Labels)-1)/float64(len(g.Labels)) {
		t.Error("a row with NaN counts as right")
	}
}

func TestGoldenMultiLabel(t *testing.T) {
	g := load(t)
	for name, m := range map[string]multi{"plain": g.Multi, "ties": g.Ties, "missing": g.Missing} {
		t.Run(name, func(t *testing.T) {
			var sumAP, sumAUC, present, both float64
			for c := range m.AP {
				scores, positive := make([]float32, len(m.Scores)), make([]bool, len(m.Scores))
				for i := range scores {
					scores[i], positive[i] = m.Scores[i][c], m.Labels[i][c] > 0
				}
				ap, auc := AveragePrecision(scores, positive), AUC(scores, positive)
				if math.IsNaN(ap) {
					if m.AP[c] != nil && *m.AP[c] != 0 {
						t.Errorf("class %d: no AP, want %v", c, *m.AP[c])
					}
					continue
				}
				near(t, "AP", ap, *m.AP[c])
				sumAP, present = sumAP+ap, present+1
				if !math.IsNaN(auc) {
					near(t, "AUC", auc, *m.AUC[c])
					near(t, "d′", DPrime(auc), *m.DPrime[c])
					sumAUC, both = sumAUC+auc, both+1
				}
			}
			near(t, "mAP", sumAP/present, m.Present)
			near(t, "mean AUC", sumAUC/both, m.MeanAUC)
			near(t, "d′ of the mean AUC", DPrime(sumAUC/both), m.OfMean)
		})
	}
}

// TestUndefinedScores: a NaN is no threshold, wherever it stands.
func TestUndefinedScores(t *testing.T) {
	nan := float32(math.NaN())
	positive := []bool{true, false, true}
	for _, scores := range [][]float32{{nan, 1, 2}, {1, nan, 2}, {nan, nan, nan}} {
		if ap, auc := AveragePrecision(scores, positive), AUC(scores, positive); ap == ap || auc == auc {
			t.Errorf("scores %v: AP %v and AUC %v, want NaN", scores, ap, auc)
		}
	}
}
