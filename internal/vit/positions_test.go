package vit

import (
	"math"
	"slices"
	"strings"
	"testing"

	"avjepa/internal/nn"
	"avjepa/internal/tensor"
)

// table returns positions of n places in D features, f at (i+½)/n along one axis, or
// at both of the places of a square.
func table(square bool, n int, f func(x, y float64, feature int) float64) tensor.Array {
	const d = 3
	a := tensor.New(1, 1, n, d)
	if square {
		a = tensor.New(1, 1, n*n, d)
	}
	for i := range a.Shape.Rows() {
		x, y := (float64(i%n)+.5)/float64(n), 0.
		if square {
			y = (float64(i/n) + .5) / float64(n)
		}
		for j := range d {
			a.Data[i*d+j] = float32(f(x, y, j))
		}
	}
	return a
}

func position(square bool, n int) Position {
	if square {
		n *= n
	}
	return Position{&nn.Param{Name: "table", Shape: tensor.Of(1, 1, n, 3)}, square}
}

// far returns the largest difference at places that are away from the borders by
// more than the given number.
func far(a, b tensor.Array, square bool, n, border int) float64 {
	worst := 0.
	for i := range a.Shape.Rows() {
		x, y := i%n, n/2
		if square {
			y = i / n
		}
		if min(x, y) < border || max(x, y) >= n-border {
			continue
		}
		for j := range 3 {
			d := math.Abs(float64(a.Data[i*3+j]) - float64(b.Data[i*3+j]))
			if !(d <= worst) {
				worst = d
			}
		}
	}
	return worst
}

// TestInterpolate: on a doubled, a halved and an uneven grid constants stay, and
// straight lines and a smooth function are reproduced, less well near the borders;
// each axis is its own. Only a grid of as many places or more gives lines exactly.
func TestInterpolate(t *testing.T) {
	for _, c := range []struct {
		from, to     int
		line, smooth float64 // allowed away from the borders
	}{{8, 8, 0, 0}, {8, 16, 0, .002}, {16, 8, 1e-6, .02}, {14, 11, .003, .01}, {10, 15, 0, .001},
		{16, 32, 0, 3e-4}} {
		smooth := func(x, y float64, j int) float64 {
			return math.Sin(3*x+float64(j)) * math.Cos(2*y)
		}
		border, near := 2*max(1, c.to/c.from), .08
		if c.from == c.to {
			near = 0
		}
		for _, square := range []bool{false, true} {
			for _, f := range []struct {
				name   string
				f      func(x, y float64, feature int) float64
				border int
				most   float64
			}{
				{"constant", func(_, _ float64, j int) float64 { return float64(j) + .5 }, 0, 1e-6},
				{"line", func(x, y float64, j int) float64 { return 3*x - float64(j)*y + 1 },
					border, c.line + 2e-6},
				{"smooth", smooth, border, c.smooth + 1e-7},
				{"smooth at the borders", smooth, 0, near},
			} {
				p, want := position(square, c.to), table(square, c.to, f.f)
				got, what, err := p.Interpolate(table(square, c.from, f.f))
				if err != nil || got.Shape != p.Shape {
					t.Fatalf("%s of %d to %d, %v: %v, %v", f.name, c.from, c.to, square, got.Shape, err)
				}
				if !strings.Contains(what, " to ") || !strings.HasSuffix(what, " places") {
					t.Errorf("says %q", what)
				}
				if d := far(got, want, square, c.to, f.border); !(d <= f.most) {
					t.Errorf("%s of %d places to %d, square %v: off by %.3g, allowed %.3g", f.name, c.from,
						c.to, square, d, f.most)
				}
				if c.from == c.to && !slices.Equal(got.Data, want.Data) {
					t.Errorf("%s: the same geometry does not give the same bits", f.name)
				}
			}
		}
	}
}

// TestInterpolateOnePlace: a table of one place is the same everywhere.
func TestInterpolateOnePlace(t *testing.T) {
	one := table(true, 1, func(_, _ float64, j int) float64 { return float64(j) })
	got, _, err := position(true, 3).Interpolate(one)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range got.Data {
		if v != one.Data[i%3] {
			t.Fatalf("[%d] = %g", i, v)
		}
	}
}

// TestInterpolateAverages: where places become fewer, what alternates between them
// goes, and is not picked out.
func TestInterpolateAverages(t *testing.T) {
	x := table(false, 15, func(x, _ float64, _ int) float64 { return math.Cos(15 * math.Pi * (x - .5/15)) })
	if x.Data[0] != 1 || !(math.Abs(float64(x.Data[3])+1) < 1e-6) {
		t.Fatalf("places %v", x.Data)
	}
	got, _, err := position(false, 5).Interpolate(x)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range got.Data {
		if !(math.Abs(float64(v)) < 0.15) {
			t.Errorf("[%d] = %g", i, v)
		}
	}
}

func TestInterpolateRefuses(t *testing.T) {
	for name, a := range map[string]tensor.Array{
		"width": tensor.New(1, 1, 4, 5), "rank": tensor.New(4, 3), "no square": tensor.New(1, 1, 8, 3)} {
		if _, _, err := position(true, 3).Interpolate(a); err == nil ||
			!strings.Contains(err.Error(), "table") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
