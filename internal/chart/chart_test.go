package chart

import (
	"bytes"
	"encoding/xml"
	"io"
	"math"
	"strings"
	"testing"
)

func TestLinesWriteValidSVG(t *testing.T) {
	n := 5000
	x, y := make([]float64, n), make([]float64, n)
	for i := range x {
		x[i], y[i] = float64(i), 1+math.Sin(float64(i)/500)
	}
	y[10], y[2000] = math.NaN(), 7 // a gap, and a spike that must survive thinning
	l := Lines{
		Title: "Loss <&>", XLabel: "step", YLabel: "loss",
		Series:     []Series{{Name: "total", X: x, Y: y}},
		References: []Reference{{"floor", 0.5}},
	}
	for _, theme := range []Theme{Light, Dark} {
		var b bytes.Buffer
		if err := l.WriteSVG(&b, theme); err != nil {
			t.Fatal(err)
		}
		dec := xml.NewDecoder(strings.NewReader(b.String()))
		for {
			if _, err := dec.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("not valid XML: %v", err)
			}
		}
		if b.Len() > 200_000 {
			t.Errorf("%d bytes for one figure", b.Len())
		}
	}
	spike := false
	for _, p := range l.points(l.Series[0]) {
		spike = spike || p.Y == 7
	}
	if !spike {
		t.Error("thinning hid a spike")
	}
}

func TestNothingToDrawIsAnError(t *testing.T) {
	l := Lines{Title: "empty", LogY: true, Series: []Series{{Name: "a", X: []float64{1}, Y: []float64{-1}}}}
	if err := l.WriteSVG(io.Discard, Light); err == nil {
		t.Error("no error for a chart without points")
	}
}

func TestMelHasLowBandsBelow(t *testing.T) {
	mel := []float32{0, 0, 1, 1} // two bands, two frames; the high band is loud
	img := Mel(mel, 2, 2, 0, 1, 3, 2)
	if img.Bounds().Dx() != 6 || img.Bounds().Dy() != 4 {
		t.Fatalf("size %v", img.Bounds())
	}
	if img.RGBAAt(0, 0) != Cividis(1) || img.RGBAAt(0, 3) != Cividis(0) {
		t.Error("the high band is not at the top")
	}
	if Cividis(math.NaN()) != Cividis(0) {
		t.Error("NaN is not the darkest colour")
	}
}

// A band is one filled shape under its curve, with no value that a browser cannot read;
// an axis over many decades has few marks, all of them powers of ten.
func TestBandsAndManyDecades(t *testing.T) {
	x, y := []float64{0, 1, 2, 3}, []float64{1, 1e-2, 1e-5, 1e-7}
	l := Lines{Title: "band", LogY: true, Series: []Series{{Name: "a", X: x, Y: y,
		Low: []float64{.5, 5e-3, math.NaN(), 5e-8}, High: []float64{2, 2e-2, 2e-5, 2e-7}}}}
	var b bytes.Buffer
	if err := l.WriteSVG(&b, Light); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "fill-opacity"); n != 1 {
		t.Errorf("%d translucent shapes, want the band alone", n)
	}
	if strings.Contains(b.String(), "NaN") {
		t.Error("NaN in the picture")
	}
	ticks := logTicks{}.Ticks(5e-8, 2)
	if len(ticks) < 4 || len(ticks) > 9 {
		t.Errorf("%d marks over eight decades", len(ticks))
	}
	for _, tick := range ticks {
		if e := math.Log10(tick.Value); math.Abs(e-math.Round(e)) > 1e-9 {
			t.Errorf("a mark at %g", tick.Value)
		}
	}
	if n := len(logTicks{}.Ticks(.5, 20)); n < 5 {
		t.Errorf("%d marks over less than two decades", n)
	}
}
