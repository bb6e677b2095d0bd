package retrieval

import (
	"math"
	"testing"

	"avjepa/internal/rng"
)

// TestBootstrap: intervals of recalls are those of the normal approximation, that of the
// median holds it, and every resample's figures are what Summarise says of it.
func TestBootstrap(t *testing.T) {
	const n = 500
	r := rng.New(8)
	ranks := make([]int, n)
	for i := range ranks {
		ranks[i] = 1 + int(20*r.Float64()*r.Float64())
	}
	d := Summarise(ranks)
	ci := Bootstrap(ranks, 1000, 2, 3)
	for i, c := range [][2]float64{ci.R1, ci.R5, ci.R10} {
		p := [3]float64{d.R1, d.R5, d.R10}[i]
		half := 1.96 * math.Sqrt(p*(1-p)/n)
		if !(math.Abs(c[0]-(p-half)) < .01 && math.Abs(c[1]-(p+half)) < .01) {
			t.Errorf("recall %v: interval %v, normal approximation ± %v", p, c, half)
		}
	}
	if m := ci.Median; !(m[0] <= d.Median && d.Median <= m[1] && m[1]-m[0] < 3) {
		t.Errorf("median %v: interval %v", d.Median, m)
	}
	same := Bootstrap([]int{7, 7, 7, 7}, 50, 1, 0)
	if same.Median != [2]float64{7, 7} || same.R5 != [2]float64{} || same.R10 != [2]float64{1, 1} {
		t.Errorf("intervals of equal ranks: %+v", *same)
	}
	if *ci != *Bootstrap(ranks, 1000, 1, 3) {
		t.Error("one worker draws other resamples than two")
	}
}
