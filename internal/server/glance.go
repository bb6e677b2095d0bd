package server

import (
	"context"
	"net/http"
)

// What an excerpt is like: what a pointer that rests on a point of the map lets sound.
const (
	excerptSeconds = 3
	excerptFade    = 0.03 // seconds, at both ends
	excerptBitrate = 48000
)

// glance returns the library as one that shows clips quickly; nil: it is none, or x is no
// clip of it.
func (s *Server) glance(x *subject) Glancer {
	g, _ := s.loaded().Library.(Glancer)
	if x.clip == nil {
		return nil
	}
	return g
}

// still returns a frame of a subject, of a clip without decoding the others.
func (s *Server) still(ctx context.Context, x *subject) ([]byte, error) {
	if g := s.glance(x); g != nil {
		frame, err := g.Still(ctx, x.clip.ID)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err == nil && frame != nil {
			return frame, nil
		} // else Open may do, or says better why not
	}
	m, err := x.medium(ctx)
	if err != nil {
		return nil, err
	}
	if len(m.Frames) == 0 {
		return nil, problem(http.StatusNotFound, "no-video", "it has no picture")
	}
	return m.Frames[len(m.Frames)/2], nil
}

// heard returns the sound of a subject, of a clip without its picture.
func (s *Server) heard(ctx context.Context, x *subject) ([]int16, int, error) {
	if g := s.glance(x); g != nil {
		samples, rate, err := g.Sound(ctx, x.clip.ID)
		if ctx.Err() != nil {
			return nil, 0, context.Cause(ctx)
		}
		if err == nil && len(samples) > 0 && rate > 0 {
			return samples, rate, nil
		}
	}
	return soundOf(ctx, x)
}

// writeExcerpt writes the loudest seconds of the sound, as AAC.
func writeExcerpt(s *Server, ctx context.Context, x *subject, path string) error {
	if s.cfg.Tools.FFmpeg == "" {
		return noFFmpeg()
	}
	samples, rate, err := s.heard(ctx, x)
	if err != nil {
		return err
	}
	return s.cfg.Tools.EncodeSound(ctx, path, rate, excerptBitrate, excerpt(samples, rate))
}

// excerpt returns the stretch of excerptSeconds with the most energy, the first of equal
// ones, at steps of an eighth of a second; faded in and out. samples stay as they are.
func excerpt(samples []int16, rate int) []int16 {
	n := min(len(samples), excerptSeconds*rate)
	energy := 0.0
	add := func(part []int16, sign float64) {
		for _, v := range part {
			energy += sign * float64(v) * float64(v)
		}
	}
	add(samples[:n], 1)
	best, at, step := energy, 0, max(1, rate/8)
	for from := step; from+n <= len(samples); from += step {
		add(samples[from-step:from], -1)
		add(samples[from-step+n:from+n], 1)
		if energy > best { // sums of squares of integers: exact in a float64 up to 2⁵³
			best, at = energy, from
		}
	}
	out := append([]int16(nil), samples[at:at+n]...)
	fade := min(int(excerptFade*float64(rate)), n/2)
	for i := range fade {
		out[i] = int16(int(out[i]) * i / fade)
		out[n-1-i] = int16(int(out[n-1-i]) * i / fade)
	}
	return out
}
