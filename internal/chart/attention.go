package chart

import (
	"image"
	"image/draw"
	"math"
	"strconv"

	"golang.org/x/image/font"

	xdraw "golang.org/x/image/draw"
)

// Attended is one window of a clip with two maps of weights, over its frames and over
// its log-mel.
type Attended struct {
	Name    string
	Lines   []string      // below the name
	Frames  []image.Image // square, each at the middle of its group of frames
	Times   []float64     // of the frames, in seconds of the clip
	Video   []Field       // of each frame
	Mel     image.Image   // one pixel a value, lowest band at the bottom
	Audio   Field
	Start   float64 // of the log-mel in the clip, in seconds
	Seconds float64 // of the log-mel
	Hertz   []Mark  // of its vertical axis
}

// Mark is a place on an axis: 0 at its lower end, 1 at its upper one.
type Mark struct {
	At    float64
	Label string
}

// AttentionSheet draws windows below each other: frames as they are and lit, log-mel as
// it is and lit.
type AttentionSheet struct {
	Title, Note, Caption string
	Rows                 []Attended
	Video, Audio         Exposure
}

// Pixels of an attention sheet.
const (
	litMel    = 96 // height of a log-mel
	litMost   = 168
	hertzWide = 46 // column of the vertical axis
	litGap    = 4
)

// side returns that of a frame of n.
func litSide(n int) int { return min(litMost, (SheetWidth-(n-1)*litGap)/max(n, 1)) }

// height of a row.
func (r *Attended) height() int {
	h := 2*(litMel+litGap) + axisHeight
	if n := len(r.Frames); n > 0 {
		h += 2*(litSide(n)+litGap) + axisHeight
	}
	return max(h, lineHeight*(2+len(r.Lines)))
}

// Draw returns the sheet in a theme.
func (s *AttentionSheet) Draw(theme Theme) (*image.RGBA, error) {
	p, err := newPen(theme)
	if err != nil {
		return nil, err
	}
	height := sheetMargin + titleHeight + 2*lineHeight
	for i := range s.Rows {
		height += s.Rows[i].height() + rowGap
	}
	width := 3*sheetMargin + sheetText + hertzWide + SheetWidth
	p.img = image.NewRGBA(image.Rect(0, 0, width, height))
	p.fill(p.img.Bounds(), theme.Background)
	p.head(s.Title, s.Note)
	y := sheetMargin + titleHeight
	for i := range s.Rows {
		p.attended(&s.Rows[i], s, y)
		y += s.Rows[i].height() + rowGap
	}
	p.text(p.bold, theme.Text, sheetMargin, y+lineHeight/2, s.Caption)
	return p.img, nil
}

// head writes title and note, as much as there is room for.
func (p *pen) head(title, note string) {
	room := p.img.Bounds().Dx() - 2*sheetMargin
	p.text(p.title, p.theme.Text, sheetMargin, sheetMargin+16, p.cut(p.title, title, room))
	p.text(p.plain, p.theme.Muted, sheetMargin, sheetMargin+35, p.cut(p.plain, note, room))
}

// attended draws a row at y.
func (p *pen) attended(r *Attended, s *AttentionSheet, y int) {
	p.label(&SheetRow{Name: r.Name, Lines: r.Lines}, y)
	x := 2*sheetMargin + sheetText + hertzWide
	if n := len(r.Frames); n > 0 {
		side := litSide(n)
		for i, f := range r.Frames {
			at := image.Rect(0, 0, side, side).Add(image.Pt(x+i*(side+litGap), y))
			lit := at.Add(image.Pt(0, side+litGap))
			for _, box := range []image.Rectangle{at, lit} {
				xdraw.CatmullRom.Scale(p.img, box, f, f.Bounds(), draw.Src, nil)
			}
			Spotlight(p.img, lit, r.Video[i], s.Video)
			label := strconv.FormatFloat(r.Times[i], 'f', 2, 64) + " s"
			w := font.MeasureString(p.plain, label).Ceil()
			p.text(p.plain, p.theme.Muted, x+i*(side+litGap)+(side-w)/2, lit.Max.Y+14, label)
		}
		y += 2*(side+litGap) + axisHeight
	}
	plain := image.Rect(x, y, x+SheetWidth, y+litMel)
	lit := plain.Add(image.Pt(0, litMel+litGap))
	for _, box := range []image.Rectangle{plain, lit} {
		xdraw.ApproxBiLinear.Scale(p.img, box, r.Mel, r.Mel.Bounds(), draw.Src, nil)
		p.hertzAxis(r.Hertz, box)
	}
	Spotlight(p.img, lit, r.Audio, s.Audio)
	p.timeAxis(r.Start, r.Seconds, x, lit.Max.Y, SheetWidth)
}

// hertzAxis marks frequencies on the left of a log-mel, those that have room.
func (p *pen) hertzAxis(marks []Mark, box image.Rectangle) {
	last := math.MaxInt
	for _, m := range marks {
		y := box.Max.Y - int(math.Round(m.At*float64(box.Dy())))
		if y < box.Min.Y+4 || y > box.Max.Y-4 || last-y < 13 {
			continue
		}
		last = y
		p.fill(image.Rect(box.Min.X-4, y, box.Min.X, y+1), p.theme.Muted)
		w := font.MeasureString(p.plain, m.Label).Ceil()
		p.text(p.plain, p.theme.Muted, box.Min.X-7-w, y+5, m.Label)
	}
}
