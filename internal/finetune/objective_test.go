package finetune

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"avjepa/internal/rng"
)

// goldenMulti is what PyTorch computed of some scores.
type goldenMulti struct {
	Scores       [][]float32 `json:"scores"`
	Labels       [][]float32 `json:"labels"`
	BCE          float64     `json:"bce"`
	PosWeight    []float64   `json:"pos_weight"`
	BCEPosWeight float64     `json:"bce_pos_weight"`
}

// TestGoldenLosses holds losses and weights to PyTorch's.
func TestGoldenLosses(t *testing.T) {
	text, err := os.ReadFile("../../testdata/golden/metrics.json")
	if err != nil {
		t.Fatal(err)
	}
	var g struct {
		Single struct {
			Logits [][]float32 `json:"logits"`
			Labels []int       `json:"labels"`
			Plain  float64     `json:"cross_entropy_ls0"`
			Smooth float64     `json:"cross_entropy_ls01"`
		} `json:"single_label"`
		A goldenMulti `json:"multi_label"`
		B goldenMulti `json:"multi_label_ties"`
		C goldenMulti `json:"multi_label_missing_class"`
	}
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	near := func(what string, got, want float64) {
		t.Helper()
		if !(math.Abs(got-want) <= 1e-6) {
			t.Errorf("%s is %v, want %v", what, got, want)
		}
	}
	classes := len(g.Single.Logits[0])
	targets := make([]float32, len(g.Single.Labels)*classes)
	for i, l := range g.Single.Labels {
		targets[i*classes+l] = 1
	}
	logits := flat(g.Single.Logits)
	near("cross-entropy", (&Objective{}).Loss(nil, logits, targets, classes, 1), g.Single.Plain)
	near("smoothed", (&Objective{Smoothing: .1}).Loss(nil, logits, targets, classes, 1), g.Single.Smooth)
	for _, m := range []goldenMulti{g.A, g.B, g.C} {
		c := len(m.Labels[0])
		positives := make([]int, c)
		for _, row := range m.Labels {
			for j, y := range row {
				positives[j] += int(y)
			}
		}
		w := PosWeights(positives, len(m.Labels))
		for j := range w {
			near("weight of positives", float64(w[j]), m.PosWeight[j])
		}
		x, y := flat(m.Scores), flat(m.Labels)
		near("binary cross-entropy", (&Objective{Multi: true}).Loss(nil, x, y, c, 1), m.BCE)
		near("weighted", (&Objective{Multi: true, PosWeight: w}).Loss(nil, x, y, c, 1), m.BCEPosWeight)
	}
}

func flat(rows [][]float32) []float32 {
	var all []float32
	for _, r := range rows {
		all = append(all, r...)
	}
	return all
}

// TestObjectiveGradients holds them to differences, and NaN and large logits to what
// they must give.
func TestObjectiveGradients(t *testing.T) {
	const rows, classes, h = 3, 4, 1e-2
	r := rng.New(2)
	x, y := make([]float32, rows*classes), make([]float32, rows*classes)
	r.FillNormal(x, 2)
	r.FillUniform(y, 0, .25)
	for i := range rows { // so that a row sums to 1
		sum := float32(0)
		for _, v := range y[i*classes : (i+1)*classes-1] {
			sum += v
		}
		y[(i+1)*classes-1] = 1 - sum
	}
	for _, o := range []Objective{{}, {Smoothing: .3}, {Multi: true},
		{Multi: true, PosWeight: []float32{1, 5, .2, 2}}} {
		d := make([]float32, len(x))
		o.Loss(d, x, y, classes, 1./rows)
		for i, v := range x {
			x[i] = v + h
			up := o.Loss(nil, x, y, classes, 1)
			x[i] = v - h
			down := o.Loss(nil, x, y, classes, 1)
			x[i] = v
			if want := (up - down) / (2 * h); !(math.Abs(float64(d[i])-want) <= 1e-4) {
				t.Errorf("%+v: gradient %d is %v, differences %v", o, i, d[i], want)
			}
		}
		big := []float32{1e4, -1e4, 0, 5}
		if l := o.Loss(nil, big, y[:classes], classes, 1); l-l != 0 {
			t.Errorf("%+v: loss %v of large logits", o, l)
		}
		big[2] = float32(math.NaN())
		if l := o.Loss(nil, big, y[:classes], classes, 1); l == l {
			t.Errorf("%+v: loss %v of a NaN", o, l)
		}
	}
}
