package pca

import (
	"math"
	"testing"

	"avjepa/internal/rng"
	"avjepa/internal/tensor"
)

// TestFitFindsTheAxes makes points that vary along known directions, far from 0.
func TestFitFindsTheAxes(t *testing.T) {
	const n, d = 3000, 7
	u := []float64{3. / 5, 4. / 5, 0, 0, 0, 0, 0}
	v := []float64{0, 0, 0, -5. / 13, 0, -12. / 13, 0}
	r := rng.New(1, "pca")
	x := make([]float32, n*d)
	for i := range n {
		a, b := 3*r.NormFloat64(), 2*r.NormFloat64()
		for j := range d {
			x[i*d+j] = float32(20 + a*u[j] + b*v[j] + .1*r.NormFloat64())
		}
	}
	b, err := Fit(tensor.From(x, n, d), 3)
	if err != nil {
		t.Fatal(err)
	}
	for k, want := range [][]float64{u, v} {
		sign := 1.0
		if k == 1 {
			sign = -1 // its largest entry is to be positive
		}
		for j := range d {
			if diff := math.Abs(b.Components[k*d+j] - sign*want[j]); !(diff <= .02) {
				t.Errorf("component %d, entry %d is %g, want %g", k, j, b.Components[k*d+j], sign*want[j])
			}
		}
	}
	if !(math.Abs(b.Variance[0]-9) <= .6 && math.Abs(b.Variance[1]-4) <= .3 && b.Variance[2] < .02) {
		t.Errorf("variances %v, want 9, 4, 0.01", b.Variance)
	}
	y := b.Project(tensor.From(x, n, d))
	sum, sq := 0.0, 0.0
	for i := range n {
		sum, sq = sum+y[i*3]/n, sq+y[i*3]*y[i*3]/n
	}
	if !(math.Abs(sum) <= 1e-3 && math.Abs(sq-b.Variance[0]) <= 1e-2) {
		t.Errorf("projections have mean %g and variance %g, want 0 and %g", sum, sq, b.Variance[0])
	}
}

func TestFitRefuses(t *testing.T) {
	x := tensor.New(5, 3)
	if _, err := Fit(x, 4); err == nil {
		t.Error("4 components of 3 features")
	}
	if _, err := Fit(tensor.New(1, 3), 1); err == nil {
		t.Error("one row")
	}
	x.Data[7] = float32(math.NaN())
	if _, err := Fit(x, 2); err == nil {
		t.Error("NaN is accepted")
	}
	if b, err := Fit(tensor.New(5, 3), 2); err != nil || b.Total != 0 {
		t.Errorf("equal rows: %v, %v", b, err)
	}
}
