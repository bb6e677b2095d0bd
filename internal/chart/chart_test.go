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
		Series:     []Series{{"total", x, y}},
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
	l := Lines{Title: "empty", LogY: true, Series: []Series{{"a", []float64{1}, []float64{-1}}}}
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
