package scenes

import (
	"context"

	"avjepa/internal/media"
)

// encode renders a reel and writes it to path. onScene is called when the
// pictures of a scene are rendered.
//
// In a gap the pictures stand still, first on the last one of the scene
// before, then on the first one of the scene after, and the sound is silent:
// a reader that is one picture off still sees the right scene.
func (c Config) encode(ctx context.Context, tools media.Tools, path string, r reel,
	onScene func()) error {

	perScene := c.frames() + c.gapFrames()
	count := r.end - r.first
	var film *Film
	current := -1
	frame := func(i int, rgb []byte) error {
		if n := i / perScene; n != current {
			current = n
			film = c.Scene(r.split, r.first+n).Film(c.Side, c.FPS, c.Seconds)
		}
		at := i%perScene - c.gapFrames()/2
		film.Render(min(max(at, 0), film.Len()-1), rgb)
		if i%perScene == perScene-1 {
			onScene()
		}
		return ctx.Err()
	}
	enc := media.EncodeConfig{
		Width: c.Side, Height: c.Side, FPS: c.FPS, SampleRateHz: c.SampleRateHz,
		CRF: crf, Preset: preset, AudioBitrate: audioBitrate,
		KeyFrames: perScene, FastAudio: true,
	}
	return tools.Encode(ctx, path, enc, count*perScene, frame, c.soundtrack(r))
}

// Encoder settings, chosen by measuring (see TestRoundTrip).
const (
	crf          = 18
	preset       = "veryfast"
	audioBitrate = 64000
)

// soundtrack returns the samples of a reel.
func (c Config) soundtrack(r reel) []int16 {
	perFrame := c.samplesPerFrame()
	count := r.end - r.first
	out := make([]int16, count*(c.frames()+c.gapFrames())*perFrame)
	for i := range count {
		part := out[c.startFrame(i)*perFrame:][:c.frames()*perFrame]
		c.Scene(r.split, r.first+i).Sound(c.SampleRateHz, part)
		fade(part, c.SampleRateHz/100)
	}
	return out
}

// fade ramps the last n samples to zero, so that a gap starts without a click.
func fade(samples []int16, n int) {
	n = min(n, len(samples))
	tail := samples[len(samples)-n:]
	for i := range tail {
		tail[i] = int16(int(tail[i]) * (n - 1 - i) / n)
	}
}
