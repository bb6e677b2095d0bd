package tsne

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"avjepa/internal/tensor"
)

// TestPlaceJoinsGroups places half of the rows among the other half: each comes to its own
// group, and a row that is laid out already to its place.
func TestPlaceJoinsGroups(t *testing.T) {
	const n, d, many = 1600, 16, 8
	all, of := groups(n, d, many)
	x, z := tensor.From(all.Data[:n/2*d], n/2, d), tensor.From(all.Data[n/2*d:], n/2, d)
	y, err := Embed(context.Background(), x, Config{Seed: 1, Iterations: 400}, nil)
	if err != nil {
		t.Fatal(err)
	}
	placed, err := Place(context.Background(), x, y, z)
	if err != nil {
		t.Fatal(err)
	}
	wrong := 0
	for i := range n / 2 {
		nearest, least := -1, math.Inf(1)
		for j := range n / 2 {
			if dist := math.Hypot(placed[2*i]-y[2*j], placed[2*i+1]-y[2*j+1]); dist < least {
				nearest, least = j, dist
			}
		}
		if nearest < 0 || of[n/2+i] != of[nearest] {
			wrong++
		}
	}
	if wrong > n/2/100 {
		t.Errorf("%d of %d rows are placed in another group", wrong, n/2)
	}
	again, err := Place(context.Background(), x, y, z)
	if err != nil || !slices.Equal(again, placed) {
		t.Errorf("not the same places again (%v)", err)
	}
	// Each of the rows laid out is its own nearest, at distance 0 to rounding: its place is
	// where the kernel's weight is, e⁴ times that of the farthest of five.
	self, err := Place(context.Background(), x, y, x)
	if err != nil {
		t.Fatal(err)
	}
	moved := make([]float64, n/2)
	for i := range moved {
		moved[i] = math.Hypot(self[2*i]-y[2*i], self[2*i+1]-y[2*i+1])
	}
	slices.Sort(moved)
	width := slices.Max(y) - slices.Min(y)
	if !(moved[n/4] < .01*width) {
		t.Errorf("half of the rows are moved by %v of a map %v wide", moved[n/4], width)
	}
}

func TestPlaceOddInput(t *testing.T) {
	ctx := context.Background()
	x, y := tensor.From([]float32{0, 0, 3, 0}, 2, 2), []float64{-1, 5, 1, 7}
	if got, err := Place(ctx, x, y, tensor.From(nil, 0, 2)); err != nil || len(got) > 0 {
		t.Errorf("nothing to place: %v, %v", got, err)
	}
	// Fewer rows than neighbours; between both, nearer to the first.
	got, err := Place(ctx, x, y, tensor.From([]float32{1, 0}, 1, 2))
	if w := math.Exp(-1) / (math.Exp(-1) + math.Exp(-4)); err != nil ||
		!(math.Abs(got[0]-(-w+(1-w))) < 1e-6) || !(math.Abs(got[1]-(5*w+7*(1-w))) < 1e-6) {
		t.Errorf("%v, %v; the first weighs %v", got, err, w)
	}
	same := tensor.From([]float32{2, 2, 2, 2, 2, 2}, 3, 2)
	got, err = Place(ctx, same, []float64{0, 0, 3, 3, 6, 6}, tensor.From([]float32{2, 2}, 1, 2))
	if err != nil || !(math.Abs(got[0]-3) < 1e-12) {
		t.Errorf("among equal rows: %v, %v", got, err)
	}
	nan := float32(math.NaN())
	if _, err := Place(ctx, x, y, tensor.From([]float32{nan, 0}, 1, 2)); err == nil {
		t.Error("a row that is no number is placed")
	}
	if _, err := Place(ctx, x, y[:2], x); err == nil {
		t.Error("a place is missing")
	}
	if _, err := Place(ctx, x, y, tensor.From([]float32{1, 2, 3}, 1, 3)); err == nil {
		t.Error("rows of another length are placed")
	}
	stopped, stop := context.WithCancel(ctx)
	stop()
	if _, err := Place(stopped, x, y, x); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// BenchmarkPlace places 90 000 rows among 10 000.
func BenchmarkPlace(b *testing.B) {
	all, _ := groups(100_000, 64, 20)
	x, z := tensor.From(all.Data[:10_000*64], 10_000, 64), tensor.From(all.Data[10_000*64:], 90_000, 64)
	y := make([]float64, 20_000)
	for b.Loop() {
		if _, err := Place(context.Background(), x, y, z); err != nil {
			b.Fatal(err)
		}
	}
}
