package chart

import (
	"image"
	"image/color"
	"image/draw"
	"strconv"

	"golang.org/x/image/font"

	xdraw "golang.org/x/image/draw"
)

// Colour is red, green and blue.
type Colour [3]uint8

// TokenRow is one clip: frames, and the colours of the tokens of each.
type TokenRow struct {
	Name       string
	Lines      []string
	Frames     []image.Image // square
	Times      []float64     // of the frames, in seconds of the clip
	Rows, Cols int           // tokens of a frame
	Colours    [][]Colour    // (Rows, Cols) of each frame
}

// TokenSheet draws clips below each other: frames as they are, and in the colours of
// their tokens.
type TokenSheet struct {
	Title, Note, Caption string
	Rows                 []TokenRow
}

func (r *TokenRow) height() int {
	return max(2*(litSide(len(r.Frames))+litGap)+axisHeight, lineHeight*(2+len(r.Lines)))
}

// Draw returns the sheet in a theme.
func (s *TokenSheet) Draw(theme Theme) (*image.RGBA, error) {
	p, err := newPen(theme)
	if err != nil {
		return nil, err
	}
	height := sheetMargin + titleHeight + 2*lineHeight
	for i := range s.Rows {
		height += s.Rows[i].height() + rowGap
	}
	width := 780
	for _, r := range s.Rows {
		n := len(r.Frames)
		width = max(width, 3*sheetMargin+sheetText+n*litSide(n)+(n-1)*litGap)
	}
	p.img = image.NewRGBA(image.Rect(0, 0, width, height))
	p.fill(p.img.Bounds(), theme.Background)
	p.head(s.Title, s.Note)
	y := sheetMargin + titleHeight
	for i := range s.Rows {
		p.tokens(&s.Rows[i], y)
		y += s.Rows[i].height() + rowGap
	}
	caption := p.cut(p.bold, s.Caption, width-2*sheetMargin)
	p.text(p.bold, theme.Text, sheetMargin, y+lineHeight/2, caption)
	return p.img, nil
}

func (p *pen) tokens(r *TokenRow, y int) {
	p.label(&SheetRow{Name: r.Name, Lines: r.Lines}, y)
	side := litSide(len(r.Frames))
	for i, f := range r.Frames {
		x := 2*sheetMargin + sheetText + i*(side+litGap)
		at := image.Rect(x, y, x+side, y+side)
		tinted := at.Add(image.Pt(0, side+litGap))
		for _, box := range []image.Rectangle{at, tinted} {
			xdraw.CatmullRom.Scale(p.img, box, f, f.Bounds(), draw.Src, nil)
		}
		tint(p.img, tinted, r.Colours[i], r.Rows, r.Cols)
		label := strconv.FormatFloat(r.Times[i], 'f', 2, 64) + " s"
		w := font.MeasureString(p.plain, label).Ceil()
		p.text(p.plain, p.theme.Muted, x+(side-w)/2, tinted.Max.Y+14, label)
	}
}

// tint lays colours (rows, cols) over a part of a picture, of whose brightness a part
// remains.
func tint(img *image.RGBA, box image.Rectangle, colours []Colour, rows, cols int) {
	for y := range box.Dy() {
		for x := range box.Dx() {
			c := colours[y*rows/box.Dy()*cols+x*cols/box.Dx()]
			at := img.RGBAAt(box.Min.X+x, box.Min.Y+y)
			grey := (2*int(at.R) + 5*int(at.G) + int(at.B)) / 8
			mix := func(v uint8) uint8 { return uint8((int(v)*7 + grey*3) / 10) }
			img.SetRGBA(box.Min.X+x, box.Min.Y+y, color.RGBA{mix(c[0]), mix(c[1]), mix(c[2]), 255})
		}
	}
}
