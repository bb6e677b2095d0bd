package view

import (
	"image"
	"math"

	"avjepa/internal/rng"
)

// plan holds the choices of one view.
type plan struct {
	start                int  // hops
	video, audio         bool // modalities the view has a place for
	dropVideo, dropAudio bool // of those, hidden altogether
	flip                 bool
	crop                 image.Rectangle // of the kept frame; empty: short side and centre
	tube                 image.Rectangle // hidden pixels of the view
	bands, times         span            // hidden parts of the log-mel
	alter                alteration
}

// plain reports whether the view's log-mel is left as it is.
func (p *plan) plain() bool {
	return !p.bands.masked() && !p.times.masked() && p.alter.gain == 0 && p.alter.noise == 0
}

// span is lo … hi−1.
type span struct{ lo, hi int }

func (s span) masked() bool { return s.hi > s.lo }

// draw sets s.plans to the choices for globals and then locals. Streams are
// consumed in this order alone, so a view follows from the stream's names.
func (m *Maker) draw(s *scratch, d *Decoded, r *rng.Stream) {
	c := &m.cfg
	s.starts = drawStarts(s.starts, c, d.slack(c), r)
	s.plans = grow(s.plans, len(s.starts))
	w, h := d.frameSide()
	for v, start := range s.starts {
		p := plan{start: start, video: c.HasVideo(), audio: c.HasAudio(), flip: r.Float64() < c.Flip}
		if k := v - c.Globals; k >= 0 {
			if c.LocalModality == LocalAlternate {
				p.audio, p.video = k%2 == 0, k%2 == 1
			}
			if c.LocalCrop && p.video {
				p.crop = drawCrop(c, w, h, r)
			}
			p.drawMasks(c, r)
		}
		p.alter = c.Augment.draw(c, r)
		s.plans[v] = p
	}
}

// drawCrop returns a random part of a w × h frame: its share of the area is
// uniform on CropScale, the log of its aspect on CropRatio. After ten parts
// that do not fit, the largest centred one with an allowed aspect is taken.
//
// Source: torchvision, RandomResizedCrop.
func drawCrop(c *Config, w, h int, r *rng.Stream) image.Rectangle {
	for range 10 {
		area := float64(w*h) * r.Uniform(c.CropScale[0], c.CropScale[1])
		ratio := math.Exp(r.Uniform(math.Log(c.CropRatio[0]), math.Log(c.CropRatio[1])))
		cw := int(math.RoundToEven(math.Sqrt(area * ratio)))
		ch := int(math.RoundToEven(math.Sqrt(area / ratio)))
		if cw > 0 && cw <= w && ch > 0 && ch <= h {
			y := r.IntN(h - ch + 1)
			x := r.IntN(w - cw + 1)
			return image.Rect(x, y, x+cw, y+ch)
		}
	}
	cw, ch := w, h
	switch ratio := float64(w) / float64(h); {
	case ratio < c.CropRatio[0]:
		ch = max(1, min(h, int(math.RoundToEven(float64(w)/c.CropRatio[0]))))
	case ratio > c.CropRatio[1]:
		cw = max(1, min(w, int(math.RoundToEven(float64(h)*c.CropRatio[1]))))
	}
	x, y := (w-cw)/2, (h-ch)/2
	return image.Rect(x, y, x+cw, y+ch)
}

// drawMasks draws what is hidden of a local view.
func (p *plan) drawMasks(c *Config, r *rng.Stream) {
	m := &c.Masking
	if m.ModalityDrop > 0 && r.Float64() < m.ModalityDrop {
		p.dropVideo = r.IntN(2) == 0
		p.dropAudio = !p.dropVideo
	}
	hasVideo, hasAudio := p.video && !p.dropVideo, p.audio && !p.dropAudio
	if m.KeepSurvivor && hasVideo != hasAudio {
		return
	}
	if m.TubeArea > 0 && hasVideo {
		grid := c.Side / m.TubePatch
		area := m.TubeArea * float64(grid*grid)
		aspect := math.Exp(r.Uniform(-m.TubeAspect, m.TubeAspect))
		rows := max(1, math.Round(math.Sqrt(area*aspect)))
		w := min(max(int(math.Round(area/rows)), 1), grid)
		h := min(int(rows), grid)
		x, y := r.IntN(grid-w+1), r.IntN(grid-h+1)
		p.tube = image.Rect(x*m.TubePatch, y*m.TubePatch, (x+w)*m.TubePatch, (y+h)*m.TubePatch)
	}
	if hasAudio {
		p.bands = drawSpan(m.FreqBins, c.Bands, r)
		p.times = drawSpan(m.TimeFrames, c.MelFrames(), r)
	}
}

// drawSpan returns a part of 0 … n−1 whose length is uniform on 0 … most.
func drawSpan(most, n int, r *rng.Stream) span {
	if most == 0 {
		return span{}
	}
	length := r.IntN(most + 1)
	lo := r.IntN(n - length + 1)
	return span{lo, lo + length}
}

// maskAudio hides bands and frames of a normalised log-mel (F, MelFrames).
//
// Source: SpecAugment, arXiv:1904.08779.
func (p *plan) maskAudio(x []float32, c *Config) {
	frames := c.MelFrames()
	clear(x[p.bands.lo*frames : p.bands.hi*frames])
	if !p.times.masked() {
		return
	}
	for b := range c.Bands {
		clear(x[b*frames+p.times.lo : b*frames+p.times.hi])
	}
}

// maskVideo hides the same block of all frames of normalised video (3, T, S, S).
func (p *plan) maskVideo(x []float32, c *Config) {
	if p.tube.Empty() {
		return
	}
	for i := range 3 * c.Frames {
		frame := part(x, i, c.Side*c.Side)
		for y := p.tube.Min.Y; y < p.tube.Max.Y; y++ {
			clear(frame[y*c.Side+p.tube.Min.X : y*c.Side+p.tube.Max.X])
		}
	}
}
