package probe

import (
	"math"
	"slices"
	"strings"
	"testing"

	"avjepa/internal/engine/cpu"
	"avjepa/internal/metrics"
	"avjepa/internal/rng"
	"avjepa/internal/tensor"
)

// blobs returns n features of d values around one centre per class, and labels.
// With apart = 0 the features say nothing about the label.
func blobs(r *rng.Stream, centres []float32, n, d, classes int,
	apart float64) (tensor.Array, []int) {
	x, labels := make([]float32, n*d), make([]int, n)
	for i := range n {
		labels[i] = r.IntN(classes)
		for j := range d {
			x[i*d+j] = float32(r.NormFloat64()) + float32(apart)*centres[labels[i]*d+j] + 2000
			if j == 0 {
				x[i*d] = 5 // a feature that never varies
			}
		}
	}
	return tensor.From(x, n, d), labels
}

func accuracy(p *Linear, x tensor.Array, labels []int, classes int) float64 {
	return metrics.TopK(p.Scores(x), labels, classes, 1)
}

func TestLinear(t *testing.T) {
	const n, d, classes = 240, 24, 4
	e, err := cpu.New(cpu.Config{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()
	centres := make([]float32, classes*d)
	r := rng.New(4, "centres")
	r.FillNormal(centres, 1)

	train, labels := blobs(r, centres, n, d, classes, 4)
	held, want := blobs(r, centres, n, d, classes, 4)
	p, err := Fit(e, Default(), train, labels, classes)
	if err != nil {
		t.Fatal(err)
	}
	if got := accuracy(p, train, labels, classes); got != 1 {
		t.Errorf("separable features: %v of the training set are right, want all", got)
	}
	if got := accuracy(p, held, want, classes); got != 1 {
		t.Errorf("separable features: %v of the held-out set are right, want all", got)
	}
	again, err := Fit(e, Default(), train, labels, classes)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(p.Scores(held), again.Scores(held)) {
		t.Error("fitted again, the scores differ")
	}

	// Held-out features may vary where those of training did not.
	for i := range n {
		held.Data[i*d] += float32(r.NormFloat64()) * 10
	}
	if got := accuracy(p, held, want, classes); got != 1 {
		t.Errorf("a feature constant in training moves the result: %v are right", got)
	}

	noise, labels := blobs(r, centres, n, d, classes, 0)
	if p, err = Fit(e, Default(), noise, labels, classes); err != nil {
		t.Fatal(err)
	}
	held, want = blobs(r, centres, 4*n, d, classes, 0)
	got, sigma := accuracy(p, held, want, classes), math.Sqrt(.25*.75/(4*n))
	if !(math.Abs(got-.25) <= 4*sigma) {
		t.Errorf("noise: %v are right, chance is 0.25 ± %v", got, sigma)
	}
}

func TestFitRefuses(t *testing.T) {
	e, err := cpu.New(cpu.Config{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	x := tensor.From(make([]float32, 6), 3, 2)
	for _, c := range []struct {
		labels  []int
		classes int
		word    string
	}{
		{[]int{0, 1}, 2, "3 features for 2 labels"}, {[]int{0, 0, 0}, 1, "1 classes"},
		{[]int{0, 1, 2}, 2, "label 2 of row 2"}, {[]int{0, -1, 1}, 2, "label -1 of row 1"},
	} {
		if _, err := Fit(e, Default(), x, c.labels, c.classes); err == nil ||
			!strings.Contains(err.Error(), c.word) {
			t.Errorf("labels %v of %d classes: %v, want %q", c.labels, c.classes, err, c.word)
		}
	}
}
