// Package golden holds results to vectors that the published code gave, in
// tests of the packages that compute them. The vectors, how they were made and
// where their tolerances come from: testdata/golden/README.md.
//
//	golden.OnEngines(t, func(t *testing.T, e engine.Engine) {
//		g := golden.Open(t, "encoder.safetensors")
//		g.Check("CLS", "joint.cls", cls...)
//	})
package golden

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"avjepa/internal/checkpoint"
	"avjepa/internal/tensor"
)

// File is a file of vectors with their tolerances, and the largest errors seen.
type File struct {
	T     *testing.T
	Bound map[string]Bound // by name of a vector

	file  *checkpoint.File
	worst map[string]seen // by level
	wrong int             // vectors that differ
}

// Bound is a tolerance. Class P allows a few entries of a tensor up to Atol, and
// 1e-5 to all others; class Z is of values whose true gradient is 0.
type Bound struct {
	Atol  float64 `json:"atol"`
	Class string  `json:"cls"`
}

type seen struct{ err, share float64 } // absolute, and relative to the tolerance

// mostWrong is how many vectors that differ are listed.
const mostWrong = 12

// path returns where a file of testdata/golden lies, as seen from a package of
// internal: tests run in their package's folder.
func path(name string) string { return filepath.Join("..", "..", "testdata", "golden", name) }

// Open reads a file of vectors.
func Open(t *testing.T, name string) *File {
	t.Helper()
	file, err := checkpoint.Read(path(name))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]map[string]Bound
	JSON(t, "tolerance.json", &all)
	return &File{T: t, Bound: all[name], file: file, worst: map[string]seen{}}
}

// JSON reads a file of plain numbers.
func JSON(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(path(name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

// Array returns the vector of that name.
func (g *File) Array(name string) tensor.Array {
	g.T.Helper()
	a, err := g.file.Float32(name)
	if err != nil {
		g.T.Fatal(err)
	}
	return a
}

// Int64 returns the integers of that name.
func (g *File) Int64(name string) []int64 {
	g.T.Helper()
	x, err := g.file.Int64(name)
	if err != nil {
		g.T.Fatal(err)
	}
	return x
}

// Weights returns the parameters and running statistics of the model that made
// the vectors, and of its probes.
func Weights(t *testing.T) map[string]tensor.Array { return weights(t, "weights.safetensors") }

// DualWeights returns those of the model of two encoders that made dual.safetensors.
func DualWeights(t *testing.T) map[string]tensor.Array { return weights(t, "dual_weights.safetensors") }

func weights(t *testing.T, name string) map[string]tensor.Array {
	t.Helper()
	g, arrays := Open(t, name), map[string]tensor.Array{}
	for _, name := range g.file.Names() {
		if strings.HasSuffix(name, "num_batches_tracked") {
			arrays[name] = tensor.From([]float32{float32(g.Int64(name)[0])})
		} else {
			arrays[name] = g.Array(name)
		}
	}
	return arrays
}

// Check compares got with the vector of that name, under a level's heading.
func (g *File) Check(level, name string, got ...float32) {
	g.T.Helper()
	g.CheckTo(level, name, got, g.Array(name).Data)
}

// CheckTo is Check with other values than those of the file, such as the same
// ones in another order.
func (g *File) CheckTo(level, name string, got, want []float32) {
	g.T.Helper()
	b, ok := g.Bound[name]
	if !ok || len(got) != len(want) {
		g.T.Fatalf("%s: %d values, want %d; tolerance known: %v", name, len(got), len(want), ok)
	}
	worst, err := compare(got, want, b)
	if err != nil {
		g.T.Errorf("%s%v", name, err)
		if g.wrong++; g.wrong == mostWrong {
			g.T.Fatalf("%d vectors differ, the rest is not compared", mostWrong)
		}
	}
	s := g.worst[level]
	g.worst[level] = seen{max(s.err, worst), max(s.share, worst/b.Atol)}
}

// compare returns the largest error, NaN if there is one, and what is wrong.
func compare(got, want []float32, b Bound) (worst float64, err error) {
	at, loose := 0, 0
	for i := range want {
		d := math.Abs(float64(got[i]) - float64(want[i]))
		if d > worst || math.IsNaN(d) && !math.IsNaN(worst) { // the first NaN stays
			worst, at = d, i
		}
		if !(d <= 1e-5) {
			loose++
		}
	}
	if !(worst <= b.Atol) {
		return worst, fmt.Errorf("[%d] = %g, want %g: off by %.2g, allowed %.2g",
			at, got[at], want[at], worst, b.Atol)
	}
	if most := max(3, len(want)/100); b.Class == "P" && loose > most {
		return worst, fmt.Errorf(": %d of %d entries off by more than 1e-5, allowed %d",
			loose, len(want), most)
	}
	return worst, nil
}

// Table logs the largest error of every level, for the documentation.
func (g *File) Table(levels ...string) {
	for _, l := range levels {
		g.T.Logf("%-32s max error %.1e, %3.0f %% of the tolerance",
			l, g.worst[l].err, 100*g.worst[l].share)
	}
}
