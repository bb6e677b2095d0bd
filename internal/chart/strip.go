package chart

import (
	"image"
	"image/draw"

	xdraw "golang.org/x/image/draw"
)

// Strips draw without words what sheets draw with them, for pages that have text of their
// own. Black lies between their parts, as on a film.

// stripMel is the height of a log-mel in a strip.
const stripMel = 72

// FrameStrip draws frames of a window in width pixels: as they are, and below lit by
// their weights.
func (r *Attended) FrameStrip(width int, e Exposure) *image.RGBA {
	return strip(r.Frames, width, func(img *image.RGBA, i int, below image.Rectangle) {
		Spotlight(img, below, r.Video[i], e)
	})
}

// MelStrip draws the log-mel of a window in width pixels: as it is, and below lit by its
// weights.
func (r *Attended) MelStrip(width int, e Exposure) *image.RGBA {
	img := black(width, 2*stripMel+litGap)
	plain := image.Rect(0, 0, width, stripMel)
	lit := plain.Add(image.Pt(0, stripMel+litGap))
	for _, box := range []image.Rectangle{plain, lit} {
		xdraw.ApproxBiLinear.Scale(img, box, r.Mel, r.Mel.Bounds(), draw.Src, nil)
	}
	Spotlight(img, lit, r.Audio, e)
	return img
}

// Strip draws the frames of a clip in width pixels: as they are, and below in the colours
// of their tokens.
func (r *TokenRow) Strip(width int) *image.RGBA {
	return strip(r.Frames, width, func(img *image.RGBA, i int, below image.Rectangle) {
		tint(img, below, r.Colours[i], r.Rows, r.Cols)
	})
}

// strip draws frames twice, below each other, and has the lower ones changed.
func strip(frames []image.Image, width int,
	change func(img *image.RGBA, i int, below image.Rectangle)) *image.RGBA {
	n := max(1, len(frames))
	side := max(1, (width-(n-1)*litGap)/n)
	img := black(n*side+(n-1)*litGap, 2*side+litGap)
	for i, f := range frames {
		at := image.Rect(0, 0, side, side).Add(image.Pt(i*(side+litGap), 0))
		below := at.Add(image.Pt(0, side+litGap))
		for _, box := range []image.Rectangle{at, below} {
			xdraw.CatmullRom.Scale(img, box, f, f.Bounds(), draw.Src, nil)
		}
		change(img, i, below)
	}
	return img
}

func black(w, h int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.Draw(img, img.Bounds(), image.Black, image.Point{}, draw.Src)
	return img
}
