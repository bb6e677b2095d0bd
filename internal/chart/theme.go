// Package chart draws the pictures of runs and reports: curves as SVG in a
// light and a dark theme, log-mel spectrograms and contact sheets as images.
// The colours keep 3:1 contrast on their background and stay apart under the
// common colour-vision deficiencies.
package chart

import (
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
)

// Theme is a set of colours for one background.
type Theme struct {
	Background, Text, Muted, Grid color.Color
	Series                        []color.Color
}

// hex returns the colour of a 24-bit number.
func hex(rgb uint32) color.Color {
	return color.RGBA{uint8(rgb >> 16), uint8(rgb >> 8), uint8(rgb), 255}
}

// Light and Dark are the two themes. Series 1 and 2 are the colours of video
// and audio everywhere.
var (
	Light = Theme{
		Background: hex(0xFFFFFF), Text: hex(0x1A1C20), Muted: hex(0x5A6068), Grid: hex(0xE3E6EA),
		Series: []color.Color{hex(0x0072B2), hex(0xD55E00), hex(0x29298E), hex(0x50270B), hex(0xAA74FB)},
	}
	Dark = Theme{
		Background: hex(0x14161A), Text: hex(0xE8EAED), Muted: hex(0xA0A7B0), Grid: hex(0x2A2E35),
		Series: []color.Color{hex(0x56B4E9), hex(0xE69F00), hex(0x5FB3C6), hex(0xF5DCB8), hex(0xE8643C)},
	}
)

// dashes tell series apart that share a colour, or are printed in black.
var dashes = [][]vg.Length{nil, {vg.Points(6), vg.Points(3)}, {vg.Points(2), vg.Points(3)}}

// apply puts the theme's colours on a plot.
func (t Theme) apply(p *plot.Plot) {
	p.BackgroundColor = t.Background
	p.Title.TextStyle.Color = t.Text
	p.Legend.TextStyle.Color = t.Text
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Color = t.Muted
		axis.Label.TextStyle.Color = t.Text
		axis.Tick.Color = t.Muted
		axis.Tick.Label.Color = t.Text
	}
}
