package view

import (
	"cmp"
	"fmt"
	"image"
	"slices"
)

// shown is a view whose video is being made.
type shown struct {
	plan   *plan
	dst    []byte    // (T, S, S, 3)
	floats []float32 // (3, T, S, S): where dst goes, normalised and masked; or nil
	own    []byte    // memory for dst, kept for the next view
	resize resampler
	need   image.Rectangle // what it reads of a frame as kept for views
}

// take says that picture number picture of view number view shows a frame.
type take struct{ frame, view, picture int }

// show adds the video of a planned view to s.shown. With floats its pixels are
// kept in scratch, and normalised by fillVideo.
func (m *Maker) show(d *Decoded, p *plan, dst []byte, floats []float32, s *scratch) {
	if p.dropVideo {
		clear(dst)
		clear(floats)
		return
	}
	n := len(s.shown)
	if n < cap(s.shown) {
		s.shown = s.shown[:n+1] // with the memory of the one that was there
	} else {
		s.shown = append(s.shown, shown{})
	}
	v, c := &s.shown[n], &m.cfg
	v.plan, v.floats = p, floats
	if floats != nil {
		dst = grow(v.own, c.videoElems())
		v.own = dst
	}
	v.dst = dst
	w, h := d.frameSide()
	switch {
	case d.made.fitted:
		v.resize.stretch(w, h, w, h, p.flip)
	case p.crop.Empty():
		v.resize.fit(w, h, c.Resize, c.Side, p.flip)
	default:
		v.resize.stretch(p.crop.Dx(), p.crop.Dy(), c.Side, c.Side, p.flip)
	}
	v.need = v.resize.source().Add(p.crop.Min)
}

// fillVideo sets the video of all views in s.shown.
func (m *Maker) fillVideo(d *Decoded, s *scratch) error {
	if err := m.showFrames(d, s); err != nil {
		return err
	}
	c := &m.cfg
	for i := range s.shown {
		v := &s.shown[i]
		v.plan.alter.video(v.dst, c, s)
		if v.floats != nil {
			normalise(v.floats, v.dst, c.Frames, c.Side*c.Side)
			v.plan.maskVideo(v.floats, c)
		}
	}
	return nil
}

// showFrames sets the pictures of all views in s.shown, frame by frame: a frame
// that several show is decoded once, and only the part that they need.
func (m *Maker) showFrames(d *Decoded, s *scratch) error {
	c := &m.cfg
	s.takes = s.takes[:0]
	for v := range s.shown {
		for i := range c.Frames {
			s.takes = append(s.takes, take{d.frameAt(c, s.shown[v].plan.start, i), v, i})
		}
	}
	slices.SortFunc(s.takes, func(a, b take) int {
		return cmp.Or(a.frame-b.frame, a.view-b.view, a.picture-b.picture)
	})
	for rest := s.takes; len(rest) > 0; {
		n, frame := 1, rest[0].frame
		for n < len(rest) && rest[n].frame == frame {
			n++
		}
		if err := m.showFrame(d, frame, rest[:n], s); err != nil {
			return fmt.Errorf("view: frame %d: %w", frame, err)
		}
		rest = rest[n:]
	}
	return nil
}

// showFrame sets the pictures that show one frame.
func (m *Maker) showFrame(d *Decoded, frame int, takes []take, s *scratch) error {
	pixels, err := m.pixelsOf(d, frame, takes, s)
	if err != nil {
		return err
	}
	size := 3 * m.cfg.Side * m.cfg.Side
	w, _ := d.frameSide()
	for i, t := range takes {
		v := &s.shown[t.view]
		out := part(v.dst, t.picture, size)
		if i > 0 && takes[i-1].view == t.view { // after the end of a clip
			copy(out, part(v.dst, takes[i-1].picture, size))
			continue
		}
		at := v.plan.crop.Min
		v.resize.run(out, pixels, 3*(at.Y*w+at.X), 3*w)
	}
	return nil
}

// pixelsOf returns a frame as kept for views. Of a lazy clip it decodes what the
// views that take it need.
func (m *Maker) pixelsOf(d *Decoded, frame int, takes []take, s *scratch) ([]byte, error) {
	size := d.frameBytes()
	if d.jpeg == nil {
		return part(d.pixels, frame, size), nil
	}
	s.pixels = grow(s.pixels, size)
	if d.made.fitted {
		return s.pixels, m.loadPixels(s.pixels, d, d.jpeg[frame], s)
	}
	var need image.Rectangle
	for _, t := range takes {
		need = need.Union(s.shown[t.view].need)
	}
	return s.pixels, d.decodeFrame(s.pixels, d.jpeg[frame], need, s)
}
