package chart

import (
	"fmt"
	"image/color"
	"io"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Series is one curve. Points with a NaN or infinite value are left out. Low and High,
// unless they are nil, are the edges of a band about it, one value a point.
type Series struct {
	Name      string
	X, Y      []float64
	Low, High []float64
}

// Reference is a horizontal line to compare with, such as a floor.
type Reference struct {
	Name string
	Y    float64
}

// Lines is a chart of curves over one axis.
type Lines struct {
	Title, XLabel, YLabel string
	Series                []Series
	References            []Reference
	LogY                  bool // points ≤ 0 are left out
	LegendBelow           bool // for curves that rise into the upper right corner
	LegendBeside          bool // for many curves: outside, on the right
}

// size of a figure; SVG scales, so this fixes the proportions and text size.
const (
	figureWidth  = 6 * vg.Inch
	figureHeight = 3.2 * vg.Inch
	maxPoints    = 1000 // of one curve; more are drawn as the min and max of a bin
)

// WriteSVG draws the chart in a theme.
func (l Lines) WriteSVG(w io.Writer, theme Theme) error {
	p := plot.New()
	p.Title.Text = l.Title
	p.X.Label.Text, p.Y.Label.Text = l.XLabel, l.YLabel
	theme.apply(p)
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = theme.Grid, theme.Grid
	p.Add(grid)
	p.X.Tick.Marker = plainTicks{}
	p.Y.Tick.Marker = plainTicks{}
	if l.LogY {
		p.Y.Scale = plot.LogScale{}
		p.Y.Tick.Marker = logTicks{}
	}
	drawn := false
	var xmin, xmax = math.Inf(1), math.Inf(-1)
	for i, s := range l.Series {
		pts := l.points(s)
		if len(pts) == 0 {
			continue
		}
		line, err := plotter.NewLine(pts)
		if err != nil {
			return fmt.Errorf("chart: %s: %w", s.Name, err)
		}
		line.Color = theme.Series[i%len(theme.Series)]
		if err := l.addBand(p, s, line.Color); err != nil {
			return err
		}
		line.Width = vg.Points(1.4)
		line.Dashes = dashes[i/len(theme.Series)%len(dashes)]
		p.Add(line)
		p.Legend.Add(s.Name, line)
		xmin, xmax = math.Min(xmin, pts[0].X), math.Max(xmax, pts[len(pts)-1].X)
		drawn = true
	}
	if !drawn {
		return fmt.Errorf("chart: %q has no finite point to draw", l.Title)
	}
	for _, r := range l.References {
		line, err := plotter.NewLine(plotter.XYs{{X: xmin, Y: r.Y}, {X: xmax, Y: r.Y}})
		if err != nil {
			return fmt.Errorf("chart: %s: %w", r.Name, err)
		}
		line.Color = theme.Muted
		line.Dashes = dashes[1]
		p.Add(line)
		p.Legend.Add(r.Name, line)
	}
	if l.LogY && !(p.Y.Max > p.Y.Min) { // plot would widen it below 0
		p.Y.Min = math.Max(p.Y.Min/2, math.SmallestNonzeroFloat64)
		p.Y.Max = math.Min(p.Y.Max*2, math.MaxFloat64)
	}
	p.Legend.Top = !l.LegendBelow
	p.Legend.Padding = vg.Points(2)
	c := vgsvg.New(figureWidth, figureHeight)
	if l.LegendBeside {
		drawBeside(p, draw.New(c))
	} else {
		p.Draw(draw.New(c))
	}
	_, err := c.WriteTo(w)
	return err
}

// drawBeside draws a plot with its legend on its right.
func drawBeside(p *plot.Plot, c draw.Canvas) {
	legend := p.Legend
	legend.Top, legend.Left = true, true
	legend.YOffs = -vg.Points(20) // below the title
	p.Legend = plot.NewLegend()
	r := legend.Rectangle(c)
	// Renderers have fonts a little wider than the one that is measured by.
	width := min(1.25*(r.Max.X-r.Min.X)+vg.Points(8), figureWidth/2)
	p.Draw(draw.Crop(c, 0, -width, 0, 0))
	legend.Draw(draw.Crop(c, figureWidth-width+vg.Points(6), 0, 0, 0))
}

// addBand fills what lies between the edges of a curve's band, thinned as curves are.
func (l Lines) addBand(p *plot.Plot, s Series, c color.Color) error {
	if s.Low == nil || s.High == nil {
		return nil
	}
	edge := l.points(Series{X: s.X, Y: s.High})
	low := l.points(Series{X: s.X, Y: s.Low})
	for i := range low {
		edge = append(edge, low[len(low)-1-i])
	}
	if len(edge) < 3 {
		return nil
	}
	area, err := plotter.NewPolygon(edge)
	if err != nil {
		return fmt.Errorf("chart: band of %s: %w", s.Name, err)
	}
	r, g, b, _ := c.RGBA()
	area.Color = color.NRGBA{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8), 0x38}
	area.LineStyle.Width = 0
	p.Add(area)
	return nil
}

// points returns the finite points of a curve, thinned to the extremes of bins
// so that no spike is hidden.
func (l Lines) points(s Series) plotter.XYs {
	var all plotter.XYs
	for i, y := range s.Y {
		x := s.X[i]
		if y-y != 0 || x-x != 0 || l.LogY && y <= 0 {
			continue
		}
		all = append(all, plotter.XY{X: x, Y: y})
	}
	if len(all) <= maxPoints {
		return all
	}
	bins := maxPoints / 2
	var out plotter.XYs
	for b := 0; b < bins; b++ {
		lo, hi := b*len(all)/bins, (b+1)*len(all)/bins
		imin, imax := lo, lo
		for i := lo; i < hi; i++ {
			if all[i].Y < all[imin].Y {
				imin = i
			}
			if all[i].Y > all[imax].Y {
				imax = i
			}
		}
		out = append(out, all[min(imin, imax)])
		if imin != imax {
			out = append(out, all[max(imin, imax)])
		}
	}
	return out
}

// plainTicks labels the default ticks without exponents where they are short.
type plainTicks struct{}

func (plainTicks) Ticks(lo, hi float64) []plot.Tick {
	ticks := plot.DefaultTicks{}.Ticks(lo, hi)
	for i := range ticks {
		if ticks[i].Label != "" {
			ticks[i].Label = strconv.FormatFloat(ticks[i].Value, 'g', 4, 64)
		}
	}
	return ticks
}

// logTicks marks 1, 2 and 5 of every decade, of many decades some powers of ten alone.
type logTicks struct{}

func (logTicks) Ticks(lo, hi float64) []plot.Tick {
	var ticks []plot.Tick
	if !(lo > 0 && hi >= lo) {
		return ticks
	}
	marks, every := []float64{1, 2, 5}, 1.0
	if decades := math.Log10(hi / lo); decades > 3 {
		marks, every = []float64{1}, math.Ceil(decades/8)
	}
	for e := math.Floor(math.Log10(lo)/every) * every; e <= math.Ceil(math.Log10(hi)); e += every {
		for _, m := range marks {
			v := m * math.Pow(10, e)
			if v >= lo*0.999 && v <= hi*1.001 {
				ticks = append(ticks, plot.Tick{Value: v, Label: strconv.FormatFloat(v, 'g', 3, 64)})
			}
		}
	}
	return ticks
}

// Color returns the colour of series i.
func (t Theme) Color(i int) color.Color { return t.Series[i%len(t.Series)] }
