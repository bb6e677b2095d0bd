package main

import (
	"context"
	"math"
	"testing"

	"avjepa/internal/rng"
	"avjepa/internal/tensor"
)

// TestMapPlacesTheRest lays a part of the rows out and places the others: every row lies
// among its own kind, in the order of the rows, and with too few chosen all are laid out.
func TestMapPlacesTheRest(t *testing.T) {
	const n, d, kinds = 900, 8, 3
	r := rng.New(3, "map")
	x := make([]float32, n*d)
	for i := range n {
		for j := range d {
			x[i*d+j] = .1 * float32(r.NormFloat64())
		}
		x[i*d+i%kinds]++
	}
	rows := tensor.From(x, n, d)
	for name, c := range map[string]struct {
		first func(i int) bool
		laid  int
	}{
		"a third":     {func(i int) bool { return i/kinds%3 == 1 }, n / 3},
		"too few":     {func(i int) bool { return i < 50 }, n},
		"all of them": {func(int) bool { return true }, n},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			places, laid, err := layOutRows(context.Background(), rows, c.first)
			if err != nil || laid != c.laid || len(places) != 2*n {
				t.Fatalf("%d of %d places laid out, want %d: %v", laid, len(places)/2, c.laid, err)
			}
			wrong := 0
			for i := range n {
				nearest, least := -1, math.Inf(1)
				for j := range n {
					dist := math.Hypot(places[2*i]-places[2*j], places[2*i+1]-places[2*j+1])
					if j != i && dist < least {
						nearest, least = j, dist
					}
				}
				if nearest < 0 || nearest%kinds != i%kinds {
					wrong++
				}
			}
			if wrong > n/50 {
				t.Errorf("%d of %d points lie beside one of another kind", wrong, n)
			}
		})
	}
	for _, c := range []struct{ n, most, want int }{{0, 10, 1}, {10, 10, 1}, {11, 10, 2}, {100, 10, 10}} {
		if got := mapStep(c.n, c.most); got != c.want {
			t.Errorf("every %d-th of %d for %d, want %d", got, c.n, c.most, c.want)
		}
	}
}
