package chart

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"math"
	"strconv"

	"codeberg.org/go-fonts/liberation/liberationsansbold"
	"codeberg.org/go-fonts/liberation/liberationsansregular"
	"golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"

	xdraw "golang.org/x/image/draw"
)

// SheetRow is one clip of a contact sheet: text on the left, and on the right frames
// over a log-mel, both along one time axis.
type SheetRow struct {
	Name    string
	Lines   []string      // below the name
	Flags   []string      // below these, in the colour of a warning
	Frames  []image.Image // at the middles of as many equal parts of the clip; may be none
	Mel     image.Image   // is stretched to the clip's length; nil: there is no sound
	Silent  bool          // written over the log-mel
	Seconds float64
	Fault   string // why there is nothing to draw
}

// Sheet draws rows below each other.
type Sheet struct {
	Title, Note string
	Rows        []SheetRow
}

// Pixels of a sheet.
const (
	sheetMargin = 20
	sheetText   = 232  // column of text
	SheetWidth  = 1024 // of frames and log-mel
	frameHeight = 96
	melHeight   = 60
	axisHeight  = 20
	rowGap      = 18
	titleHeight = 48
	lineHeight  = 17
)

// Draw returns the sheet in a theme.
func (s *Sheet) Draw(theme Theme) (*image.RGBA, error) {
	p, err := newPen(theme)
	if err != nil {
		return nil, err
	}
	height := sheetMargin + titleHeight
	for i := range s.Rows {
		height += s.Rows[i].height() + rowGap
	}
	p.img = image.NewRGBA(image.Rect(0, 0, 3*sheetMargin+sheetText+SheetWidth, height))
	p.fill(p.img.Bounds(), theme.Background)
	p.text(p.title, theme.Text, sheetMargin, sheetMargin+16, s.Title)
	p.text(p.plain, theme.Muted, sheetMargin, sheetMargin+35, s.Note)
	y := sheetMargin + titleHeight
	for i := range s.Rows {
		p.row(&s.Rows[i], y)
		y += s.Rows[i].height() + rowGap
	}
	return p.img, nil
}

// height of a row: its pictures or its text, what is higher.
func (r *SheetRow) height() int {
	h := melHeight + axisHeight
	if len(r.Frames) > 0 {
		h += frameHeight + 2
	} else if r.Fault != "" {
		h = axisHeight
	}
	return max(h, lineHeight*(2+len(r.Lines)+len(r.Flags)))
}

// pen draws on img.
type pen struct {
	img                *image.RGBA
	theme              Theme
	title, bold, plain font.Face
}

func newPen(theme Theme) (*pen, error) {
	p := &pen{theme: theme}
	for _, f := range []struct {
		to   *font.Face
		ttf  []byte
		size float64
	}{{&p.title, liberationsansbold.TTF, 18}, {&p.bold, liberationsansbold.TTF, 13},
		{&p.plain, liberationsansregular.TTF, 13}} {
		parsed, err := opentype.Parse(f.ttf)
		if err != nil {
			return nil, fmt.Errorf("chart: font: %w", err)
		}
		*f.to, err = opentype.NewFace(parsed, &opentype.FaceOptions{Size: f.size, DPI: 72,
			Hinting: font.HintingFull})
		if err != nil {
			return nil, fmt.Errorf("chart: font: %w", err)
		}
	}
	return p, nil
}

func (p *pen) fill(r image.Rectangle, c color.Color) {
	draw.Draw(p.img, r, image.NewUniform(c), image.Point{}, draw.Src)
}

// text writes a line whose letters stand on y.
func (p *pen) text(face font.Face, c color.Color, x, y int, line string) {
	d := font.Drawer{Dst: p.img, Src: image.NewUniform(c), Face: face, Dot: fixed.P(x, y)}
	d.DrawString(line)
}

func (p *pen) row(r *SheetRow, y int) {
	p.label(r, y)
	x := 2*sheetMargin + sheetText
	if r.Fault != "" {
		p.text(p.plain, p.theme.Series[1], x, y+12, p.cut(p.plain, r.Fault, SheetWidth))
		return
	}
	if len(r.Frames) > 0 {
		cell := SheetWidth / len(r.Frames)
		for i, f := range r.Frames {
			at := image.Rect(x+i*cell, y, x+(i+1)*cell-2, y+frameHeight)
			p.fill(at, p.theme.Grid)
			xdraw.CatmullRom.Scale(p.img, fitted(f.Bounds(), at), f, f.Bounds(), draw.Src, nil)
		}
		y += frameHeight + 2
	}
	box := image.Rect(x, y, x+SheetWidth, y+melHeight)
	switch {
	case r.Mel == nil:
		p.fill(box, p.theme.Grid)
		p.text(p.plain, p.theme.Muted, x+8, y+melHeight/2+5, "no sound")
	default:
		xdraw.ApproxBiLinear.Scale(p.img, box, r.Mel, r.Mel.Bounds(), draw.Src, nil)
		if r.Silent {
			p.text(p.plain, color.White, x+8, y+melHeight/2+5, "silent")
		}
	}
	p.axis(r.Seconds, x, y+melHeight)
}

// fitted returns the largest rectangle of a's proportions in the middle of b.
func fitted(a, b image.Rectangle) image.Rectangle {
	scale := min(float64(b.Dx())/float64(a.Dx()), float64(b.Dy())/float64(a.Dy()))
	w := max(1, int(math.Round(float64(a.Dx())*scale)))
	h := max(1, int(math.Round(float64(a.Dy())*scale)))
	at := b.Min.Add(image.Pt((b.Dx()-w)/2, (b.Dy()-h)/2))
	return image.Rectangle{at, at.Add(image.Pt(w, h))}
}

// label writes the text of a row.
func (p *pen) label(r *SheetRow, y int) {
	y += 12
	first, rest := p.split(p.bold, r.Name, sheetText)
	p.text(p.bold, p.theme.Text, sheetMargin, y, first)
	if rest != "" {
		y += lineHeight
		p.text(p.bold, p.theme.Text, sheetMargin, y, p.cut(p.bold, rest, sheetText))
	}
	for i, line := range r.Lines {
		y += lineHeight
		c := p.theme.Muted
		if i == 0 {
			c = p.theme.Text
		}
		p.text(p.plain, c, sheetMargin, y, p.cut(p.plain, line, sheetText))
	}
	for _, flag := range r.Flags {
		y += lineHeight
		p.text(p.bold, p.theme.Series[1], sheetMargin, y, p.cut(p.bold, flag, sheetText))
	}
}

// split divides a line where it would be wider than w pixels.
func (p *pen) split(face font.Face, line string, w int) (first, rest string) {
	for i := range line {
		if i > 0 && font.MeasureString(face, line[:i]).Ceil() > w {
			runes := []rune(line[:i])
			first = string(runes[:len(runes)-1])
			return first, line[len(first):]
		}
	}
	if font.MeasureString(face, line).Ceil() > w && len(line) > 1 {
		runes := []rune(line)
		first = string(runes[:len(runes)-1])
		return first, line[len(first):]
	}
	return line, ""
}

// cut shortens a line to w pixels.
func (p *pen) cut(face font.Face, line string, w int) string {
	if font.MeasureString(face, line).Ceil() <= w {
		return line
	}
	first, _ := p.split(face, line, w-font.MeasureString(face, "…").Ceil())
	return first + "…"
}

// axis marks the seconds of a clip below y.
func (p *pen) axis(seconds float64, x, y int) { p.timeAxis(0, seconds, x, y, SheetWidth) }

// timeAxis marks the seconds from start on below y, over width pixels from x on.
func (p *pen) timeAxis(start, seconds float64, x, y, width int) {
	if !(seconds > 0) {
		return
	}
	step := tickStep(seconds * SheetWidth / float64(width))
	for i := int(math.Ceil(start/step - 1e-6)); float64(i)*step <= start+seconds*1.0001; i++ {
		t := float64(i) * step
		at := x + min(width-1, int(math.Round((t-start)/seconds*float64(width))))
		p.fill(image.Rect(at, y, at+1, y+4), p.theme.Muted)
		label := strconv.FormatFloat(math.Round(t*100)/100, 'f', -1, 64)
		if t-step < start-step*1e-6 {
			label += " s"
		}
		w := font.MeasureString(p.plain, label).Ceil()
		left := max(x, min(at-w/2, x+width-w))
		p.text(p.plain, p.theme.Muted, left, y+16, label)
	}
}

// tickStep returns the least round step that gives at most 12 ticks.
func tickStep(seconds float64) float64 {
	for decade := .01; ; decade *= 10 {
		for _, m := range []float64{1, 2, 5} {
			if step := m * decade; seconds/step <= 12 {
				return step
			}
		}
	}
}
