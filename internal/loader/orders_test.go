package loader

import (
	"slices"
	"testing"

	"avjepa/internal/dataset/datasettest"
)

// TestOrdersAreTheLoaders: Orders names the clips that a Loader deals out, uniform and
// balanced, epoch after epoch.
func TestOrdersAreTheLoaders(t *testing.T) {
	set := datasettest.Make(t, datasettest.Config{Clips: 11})
	weights := make([]float64, set.Len())
	for i := range weights {
		weights[i] = float64(1 + i%4)
	}
	for _, w := range [][]float64{nil, weights} {
		l := newLoader(t, newClips(t, set, 1<<30), Config{BatchSize: 4, Seed: 6, Workers: 2, Weights: w}, 0)
		o, err := NewOrders(set.Len(), 6, w)
		if err != nil {
			t.Fatal(err)
		}
		for epoch := range 3 {
			order := o.Epoch(epoch)
			for step := range 2 {
				var want []string
				for _, clip := range order[4*step : 4*step+4] {
					want = append(want, set.Key(clip))
				}
				if b := next(t, l); !slices.Equal(b.Keys, want) {
					t.Errorf("weights %v, epoch %d: clips %v, want %v", w, epoch, b.Keys, want)
				}
			}
		}
	}
}
