package chart

import (
	"image"
	"image/color"
	"image/draw"
	"math"

	xdraw "golang.org/x/image/draw"
)

// FilmSide is the side of the square picture of a Film.
const FilmSide = 480

// Pixels of a film below its picture.
const (
	filmMel    = 96
	filmBottom = axisHeight + 28
	filmMargin = 56 // left of everything, for the vertical axis
)

// Film draws frames with a spotlight above a log-mel with a playhead.
type Film struct {
	Exposure Exposure
	Seconds  float64

	p   *pen
	mel image.Rectangle
}

// NewFilm returns a film of a clip: mel is its log-mel, already lit, one column a hop.
// The caption stands at the bottom.
func NewFilm(mel image.Image, seconds float64, marks []Mark, caption string, e Exposure,
	theme Theme) (*Film, error) {
	p, err := newPen(theme)
	if err != nil {
		return nil, err
	}
	w := filmMargin + FilmSide + 8
	h := 8 + FilmSide + 8 + filmMel + filmBottom
	p.img = image.NewRGBA(image.Rect(0, 0, w+w%2, h+h%2)) // the codec takes even sides
	p.fill(p.img.Bounds(), theme.Background)
	f := &Film{Exposure: e, Seconds: seconds, p: p}
	f.mel = image.Rect(filmMargin, 8+FilmSide+8, filmMargin+FilmSide, 8+FilmSide+8+filmMel)
	xdraw.ApproxBiLinear.Scale(p.img, f.mel, mel, mel.Bounds(), draw.Src, nil)
	p.hertzAxis(marks, f.mel)
	p.timeAxis(0, seconds, f.mel.Min.X, f.mel.Max.Y, FilmSide)
	caption = p.cut(p.plain, caption, FilmSide)
	p.text(p.plain, theme.Text, filmMargin, f.mel.Max.Y+axisHeight+18, caption)
	return f, nil
}

// Size returns that of a frame in pixels.
func (f *Film) Size() (w, h int) { return f.p.img.Bounds().Dx(), f.p.img.Bounds().Dy() }

// Draw sets rgb (h, w, 3) to the frame at t seconds: the picture lit by a field, and the
// playhead.
func (f *Film) Draw(rgb []byte, picture image.Image, field Field, t float64) {
	img := f.p.img
	box := image.Rect(filmMargin, 8, filmMargin+FilmSide, 8+FilmSide)
	xdraw.ApproxBiLinear.Scale(img, box, picture, picture.Bounds(), draw.Src, nil)
	Spotlight(img, box, field, f.Exposure)
	w, h := f.Size()
	for y := range h {
		row := img.Pix[y*img.Stride:]
		for x := range w {
			copy(rgb[(y*w+x)*3:][:3], row[x*4:x*4+3])
		}
	}
	at := f.mel.Min.X + int(math.Round(math.Min(t/f.Seconds, 1)*float64(FilmSide-1)))
	for y := f.mel.Min.Y - 3; y < f.mel.Max.Y+3; y++ { // white between dark: seen on any colour
		for dx, c := range [3]color.RGBA{{0, 0, 0, 255}, {255, 255, 255, 255}, {0, 0, 0, 255}} {
			if x := at + dx - 1; x >= 0 && x < w {
				p := rgb[(y*w+x)*3:]
				p[0], p[1], p[2] = c.R, c.G, c.B
			}
		}
	}
}

// LitMel returns a log-mel picture of width × height pixels, of which windows are lit:
// field i from column at[i] on, over columns columns of mel; a later window lies over an
// earlier one.
func LitMel(mel image.Image, fields []Field, at []int, columns int, e Exposure,
	width, height int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	b := mel.Bounds()
	xdraw.ApproxBiLinear.Scale(img, img.Bounds(), mel, b, draw.Src, nil)
	scale := float64(width) / float64(b.Dx())
	for x := range width {
		column := (float64(x) + .5) / scale
		k := -1
		for i, from := range at {
			if column >= float64(from) {
				k = i
			}
		}
		if k < 0 {
			continue
		}
		along := math.Min(1, (column-float64(at[k]))/float64(columns))
		for y := range height {
			v := fields[k].At(along, (float64(y)+.5)/float64(height))
			dim(img, x, y, Dimmest+(1-Dimmest)*math.Min(1, v/e.Full))
		}
	}
	return img
}
