package chart

import (
	"bytes"
	"encoding/xml"
	"image/png"
	"io"
	"math"
	"strings"
	"testing"
)

func TestScatterDrawsEveryGroup(t *testing.T) {
	var s Scatter
	s.Title, s.Note = "Map <&>", "note"
	for i, name := range []string{"a<b", "second", strings.Repeat("long ", 20)} {
		s.Groups = append(s.Groups, Dots{Name: name, Rest: i == 2,
			Points: [][2]float64{{float64(i), 1}, {-3, float64(i)}, {2, 2}}})
	}
	for _, theme := range []Theme{Light, Dark} {
		var b bytes.Buffer
		if err := s.WriteSVG(&b, theme); err != nil {
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
		for _, want := range []string{"a&lt;b (3)", "second (3)", "…", "note"} {
			if !strings.Contains(b.String(), want) {
				t.Errorf("the SVG lacks %q", want)
			}
		}
		b.Reset()
		if err := s.WritePNG(&b, theme); err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(&b)
		if err != nil {
			t.Fatal(err)
		}
		r, g, bl, _ := img.At(2, img.Bounds().Max.Y-2).RGBA()
		wr, wg, wb, _ := theme.Background.RGBA()
		if r != wr || g != wg || bl != wb {
			t.Errorf("the corner is not the background: %d %d %d", r, g, bl)
		}
	}
	if err := (Scatter{Title: "empty"}).WriteSVG(io.Discard, Light); err == nil {
		t.Error("no error for a map without points")
	}
	s.Groups[0].Points[0][0] = math.Inf(1)
	if err := s.WritePNG(io.Discard, Light); err == nil {
		t.Error("no error for a point at infinity")
	}
}
