package metrics

import (
	"math"
	"reflect"
	"testing"

	"avjepa/internal/rng"
)

// TestWeightsAreCopies: a row that counts three times is three rows.
func TestWeightsAreCopies(t *testing.T) {
	r := rng.New(3)
	const n = 40
	scores, positive, weights := make([]float32, n), make([]bool, n), make([]int32, n)
	var copies []float32
	var copied []bool
	for i := range n {
		scores[i] = float32(r.IntN(12)) // with ties
		positive[i] = r.IntN(3) == 0
		weights[i] = int32(r.IntN(4))
		for range weights[i] {
			copies, copied = append(copies, scores[i]), append(copied, positive[i])
		}
	}
	rank := NewRanking(scores, positive)
	near(t, "AP", rank.AveragePrecision(weights), AveragePrecision(copies, copied))
	near(t, "AUC", rank.AUC(weights), AUC(copies, copied))
	near(t, "AP of all once", rank.AveragePrecision(nil), AveragePrecision(scores, positive))
	clear(weights)
	if ap, auc := rank.AveragePrecision(weights), rank.AUC(weights); ap == ap || auc == auc {
		t.Errorf("AP %v and AUC %v of nothing, want NaN", ap, auc)
	}
}

// TestBootstrap: the interval of a share is that of the normal approximation, the same
// with any number of workers, another one with another seed.
func TestBootstrap(t *testing.T) {
	const n, hits = 400, 120
	share := func(weights []int32, out []float64) {
		sum, all := 0, 0
		for i, w := range weights {
			all += int(w)
			if i < hits {
				sum += int(w)
			}
		}
		if all != n {
			t.Errorf("%d drawn of %d", all, n)
		}
		out[0], out[1] = float64(sum)/n, math.NaN()
	}
	one := Bootstrap(n, 2000, 2, 1, 5, share)
	if !reflect.DeepEqual(column(one), column(Bootstrap(n, 2000, 2, 3, 5, share))) {
		t.Error("three workers draw other resamples than one")
	}
	if reflect.DeepEqual(column(one), column(Bootstrap(n, 2000, 2, 3, 6, share))) {
		t.Error("another seed draws the same resamples")
	}
	in := Intervals(one, 2)
	half := 1.96 * math.Sqrt(.3*.7/n)
	if d := math.Abs(in[0].Low - (.3 - half)); !(d < .006) {
		t.Errorf("lower end %v, normal approximation %v", in[0].Low, .3-half)
	}
	if d := math.Abs(in[0].High - (.3 + half)); !(d < .006) {
		t.Errorf("upper end %v, normal approximation %v", in[0].High, .3+half)
	}
	if in[1].Low == in[1].Low {
		t.Errorf("interval %v of what is never defined", in[1])
	}
}

func column(x [][]float64) []float64 {
	var out []float64
	for _, v := range x {
		out = append(out, v[0])
	}
	return out
}

func TestQuantile(t *testing.T) {
	x := []float64{1, 2, 4}
	for q, want := range map[float64]float64{0: 1, .25: 1.5, .5: 2, .75: 3, 1: 4} {
		near(t, "quantile", quantile(x, q), want)
	}
}
