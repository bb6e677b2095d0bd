package chart

import (
	"fmt"
	"image/color"
	"io"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Dots is a group of points of one colour and shape.
type Dots struct {
	Name   string
	Points [][2]float64
	Rest   bool // grey and small: what is not singled out
}

// Scatter is a map of points in groups, without axes: only nearness means something.
// Groups differ in colour and, where colours repeat, in shape. With TwoShapes the
// second group has a shape of its own too.
type Scatter struct {
	Title, Note string
	Groups      []Dots
	TwoShapes   bool
}

// Sizes of a map; its legend is beside it.
const (
	mapSide   = 5.2 * vg.Inch
	mapLegend = 1.9 * vg.Inch
	mapHead   = .5 * vg.Inch
	mapDPI    = 160
)

// WriteSVG draws the map in a theme.
func (s Scatter) WriteSVG(w io.Writer, theme Theme) error {
	c := vgsvg.New(mapSide+mapLegend, mapSide+mapHead)
	if err := s.draw(draw.New(c), theme); err != nil {
		return err
	}
	_, err := c.WriteTo(w)
	return err
}

// WritePNG draws the map in a theme.
func (s Scatter) WritePNG(w io.Writer, theme Theme) error {
	c := vgimg.NewWith(vgimg.UseWH(mapSide+mapLegend, mapSide+mapHead), vgimg.UseDPI(mapDPI),
		vgimg.UseBackgroundColor(theme.Background))
	if err := s.draw(draw.New(c), theme); err != nil {
		return err
	}
	_, err := vgimg.PngCanvas{Canvas: c}.WriteTo(w)
	return err
}

func (s Scatter) draw(c draw.Canvas, theme Theme) error {
	c.SetColor(theme.Background)
	c.Fill(c.Rectangle.Path())
	reach, count := 0.0, 0
	for _, g := range s.Groups {
		for _, p := range g.Points {
			reach = math.Max(reach, math.Max(math.Abs(p[0]), math.Abs(p[1])))
			count++
		}
	}
	if count == 0 || reach-reach != 0 {
		return fmt.Errorf("chart: %q has no points to draw, or one that is no number", s.Title)
	}
	style := plot.New().Title.TextStyle
	style.Font.Variant = "Sans"
	text := func(at vg.Point, size float64, col color.Color, line string) {
		t := style
		t.Color, t.Font.Size, t.XAlign, t.YAlign = col, vg.Points(size), draw.XLeft, draw.YBottom
		c.FillText(t, at, line)
	}
	top := c.Max.Y - vg.Points(20)
	text(vg.Point{X: c.Min.X + vg.Points(10), Y: top}, 12, theme.Text, s.Title)
	text(vg.Point{X: c.Min.X + vg.Points(10), Y: top - vg.Points(13)}, 8, theme.Muted, s.Note)
	s.points(c, theme, reach, count)
	x, y := c.Min.X+mapSide+vg.Points(8), c.Min.Y+mapSide-vg.Points(14)
	for i, g := range s.Groups {
		st := s.glyph(theme, i)
		st.Radius = vg.Points(3.5)
		c.DrawGlyph(st, vg.Point{X: x, Y: y + vg.Points(3)})
		text(vg.Point{X: x + vg.Points(9), Y: y}, 8.5, theme.Text,
			shortened(g.Name, 22)+fmt.Sprintf(" (%d)", len(g.Points)))
		y -= vg.Points(15)
	}
	return nil
}

// points draws one point of every group in turn, in proportion, so that no group lies
// over another; the rest comes first.
func (s Scatter) points(c draw.Canvas, theme Theme, reach float64, count int) {
	half := (mapSide - vg.Points(24)) / 2
	at := func(p [2]float64) vg.Point {
		return vg.Point{X: c.Min.X + mapSide/2 + half*vg.Length(p[0]/reach),
			Y: c.Min.Y + mapSide/2 + half*vg.Length(p[1]/reach)}
	}
	radius := vg.Points(math.Max(.9, math.Min(3, 90/math.Sqrt(float64(count)))))
	most := 0
	for i, g := range s.Groups {
		if !g.Rest {
			most = max(most, len(g.Points))
			continue
		}
		st := s.glyph(theme, i)
		st.Radius = radius * .7
		for _, p := range g.Points {
			c.DrawGlyph(st, at(p))
		}
	}
	for k := range most {
		for i, g := range s.Groups {
			if n := len(g.Points); !g.Rest {
				st := s.glyph(theme, i)
				st.Radius = radius
				for j := k * n / most; j < (k+1)*n/most; j++ {
					c.DrawGlyph(st, at(g.Points[j]))
				}
			}
		}
	}
}

// shapes tell groups apart that share a colour.
var shapes = []draw.GlyphDrawer{draw.CircleGlyph{}, draw.TriangleGlyph{}, draw.BoxGlyph{},
	draw.CrossGlyph{}}

func (s Scatter) glyph(theme Theme, i int) draw.GlyphStyle {
	if s.Groups[i].Rest {
		return draw.GlyphStyle{Color: theme.Muted, Shape: draw.CircleGlyph{}}
	}
	shape := shapes[i/len(theme.Series)%len(shapes)]
	if s.TwoShapes && i == 1 {
		shape = draw.TriangleGlyph{}
	}
	return draw.GlyphStyle{Color: theme.Color(i), Shape: shape}
}

// shortened cuts a name after most letters.
func shortened(name string, most int) string {
	if r := []rune(name); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return name
}
