package view

import (
	"errors"
	"fmt"
	"math"
)

// Ways of choosing window starts (Config.Windows).
const (
	WindowsPerView = "per-view" // every view draws its own
	WindowsShared  = "shared"   // two are drawn and dealt to globals and locals
	WindowsOne     = "one"      // all views of a clip share one
)

// What local views contain (Config.LocalModality).
const (
	LocalAlternate = "alternate" // even index audio-only, odd index video-only
	LocalBoth      = "both"      // both modalities, subject to Masking
)

// What clips are read for (Config.Modality).
const (
	BothModalities = ""      // picture and sound
	AudioOnly      = "audio" // sound alone: clips need no frames, and none are looked at
	VideoOnly      = "video" // the picture alone, likewise
)

// Config says what a view is. Default holds the paper's choices.
type Config struct {
	// Modality makes views of one modality alone, from clips that may have no other.
	// It excludes local views. Batches then have no place for the other one.
	Modality string

	SampleRateHz int     // of the stored samples; 16000
	Seconds      float64 // length of a view
	Frames       int     // video frames of a view
	Side         int     // pixels: views are Side × Side
	// Resize is the short side, in pixels, before the centre crop of global and
	// evaluation views, and of local ones without LocalCrop.
	Resize int
	// EvalSquash makes evaluation views by resizing the whole frame to
	// Side × Side whatever its aspect, as the published code does.
	EvalSquash bool

	Bands   int     // mel bands
	MelMean float64 // of the log-mel in dB, for normalisation
	MelStd  float64

	Globals       int
	Locals        int
	LocalModality string // LocalAlternate or LocalBoth
	Windows       string // WindowsPerView, WindowsShared or WindowsOne

	Flip      float64    // probability of a horizontal flip, per view
	LocalCrop bool       // random resized crop of local views
	CropScale [2]float64 // share of the frame's area, from and to
	CropRatio [2]float64 // width ÷ height, from and to

	// Box is the part of every frame that is used at all: left, top, right and
	// bottom as fractions of the frame. The zero Box is the whole frame.
	Box [4]float64

	Masking Masking
	Augment Augment
}

// Masking holds the options that hide parts of local views; the zero value
// hides nothing. Hidden inputs are 0 after normalisation.
//
// Source: published code, ablation "no modality dropout and masking".
type Masking struct {
	// ModalityDrop is the probability that a local view with both modalities
	// loses one: video or audio, half each.
	ModalityDrop float64
	// TubeArea is the share of the patch grid hidden by one block, the same in
	// all frames. The block is clamped to the grid, so the share may be less.
	TubeArea   float64
	TubeAspect float64 // the log of the block's aspect is U(−TubeAspect, TubeAspect)
	TubePatch  int     // pixels of a patch side
	FreqBins   int     // up to this many neighbouring mel bands are hidden
	TimeFrames int     // up to this many neighbouring mel frames are hidden
	// KeepSurvivor leaves the modality of a view unmasked when it is the only one.
	KeepSurvivor bool
}

// Default returns the paper's choices with VGGSound's log-mel statistics.
func Default() Config {
	return Config{
		SampleRateHz: 16000, Seconds: 8, Frames: 16, Side: 224, Resize: 256, Bands: 128,
		MelMean: -20.437003, MelStd: 24.496246,
		Globals: 2, Locals: 2, LocalModality: LocalAlternate, Windows: WindowsPerView,
		Flip: .5, LocalCrop: true, CropScale: [2]float64{.4, 1}, CropRatio: [2]float64{3. / 4, 4. / 3},
	}
}

// Limits of what Validate accepts.
const (
	maxSide   = 2048
	maxFrames = 1024
	maxViews  = 64
	maxSecond = 600
)

// Validate reports every bad field.
func (c Config) Validate() error {
	var errs []error
	bad := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("view: "+format, args...))
		}
	}
	in := func(x, lo, hi float64) bool { return x >= lo && x <= hi } // false for NaN
	bad(c.Modality == BothModalities || c.Modality == AudioOnly || c.Modality == VideoOnly,
		"modality %q is none of %q, %q, %q", c.Modality, BothModalities, AudioOnly, VideoOnly)
	bad(c.Modality == BothModalities || c.Locals == 0,
		"%d local views with modality %q: local views need both", c.Locals, c.Modality)
	bad(c.SampleRateHz >= 1000 && c.SampleRateHz <= 192000 && c.SampleRateHz%100 == 0,
		"sample rate %d Hz is not a multiple of 100 from 1000 to 192000", c.SampleRateHz)
	bad(in(c.Seconds, .1, maxSecond), "seconds %v is outside 0.1 to %d", c.Seconds, maxSecond)
	bad(c.Frames >= 1 && c.Frames <= maxFrames, "frames %d is outside 1 to %d", c.Frames, maxFrames)
	bad(c.Side >= 1 && c.Side <= maxSide, "side %d is outside 1 to %d pixels", c.Side, maxSide)
	bad(c.Resize >= c.Side && c.Resize <= 2*maxSide,
		"resize %d is outside side %d to %d pixels", c.Resize, c.Side, 2*maxSide)
	bad(c.Bands >= 1 && c.Bands <= 1024, "bands %d is outside 1 to 1024", c.Bands)
	bad(in(c.MelMean, -1000, 1000), "mel mean %v dB is outside ±1000", c.MelMean)
	bad(in(c.MelStd, 1e-3, 1000), "mel std %v dB is outside 0.001 to 1000", c.MelStd)
	bad(c.Globals >= 1 && c.Globals <= maxViews, "globals %d is outside 1 to %d", c.Globals, maxViews)
	bad(c.Locals >= 0 && c.Locals <= maxViews, "locals %d is outside 0 to %d", c.Locals, maxViews)
	bad(c.LocalModality == LocalAlternate || c.LocalModality == LocalBoth,
		"local modality %q is neither %q nor %q", c.LocalModality, LocalAlternate, LocalBoth)
	bad(c.Windows == WindowsPerView || c.Windows == WindowsShared || c.Windows == WindowsOne,
		"windows %q is none of %q, %q, %q", c.Windows, WindowsPerView, WindowsShared, WindowsOne)
	bad(in(c.Flip, 0, 1), "flip probability %v is outside 0 to 1", c.Flip)
	if c.LocalCrop {
		s, r := c.CropScale, c.CropRatio
		bad(s[0] > 0 && s[0] <= s[1] && s[1] <= 1, "crop scale %v is not 0 < from ≤ to ≤ 1", s)
		bad(r[0] >= .01 && r[0] <= r[1] && r[1] <= 100,
			"crop ratio %v is not 0.01 ≤ from ≤ to ≤ 100", r)
	}
	if b := c.Box; b != ([4]float64{}) {
		bad(b[0] >= 0 && b[0] < b[2] && b[2] <= 1 && b[1] >= 0 && b[1] < b[3] && b[3] <= 1,
			"box %v is not left < right, top < bottom within 0 to 1", b)
	}
	c.Masking.validate(c, bad, in)
	c.Augment.validate(bad, in)
	return errors.Join(errs...)
}

func (m Masking) validate(c Config, bad func(bool, string, ...any),
	in func(x, lo, hi float64) bool) {
	bad(in(m.ModalityDrop, 0, 1), "modality drop %v is outside 0 to 1", m.ModalityDrop)
	bad(m.ModalityDrop == 0 || c.LocalModality == LocalBoth,
		"modality drop %v needs local modality %q", m.ModalityDrop, LocalBoth)
	bad(in(m.TubeArea, 0, 1), "tube area %v is outside 0 to 1", m.TubeArea)
	if m.TubeArea > 0 {
		bad(in(m.TubeAspect, 0, 3), "tube aspect %v is outside 0 to 3", m.TubeAspect)
		bad(m.TubePatch >= 1 && c.Side%max(m.TubePatch, 1) == 0,
			"tube patch %d does not divide side %d", m.TubePatch, c.Side)
	}
	bad(m.FreqBins >= 0 && m.FreqBins <= c.Bands,
		"frequency mask %d is outside 0 to %d bands", m.FreqBins, c.Bands)
	bad(m.TimeFrames >= 0 && m.TimeFrames <= c.MelFrames(),
		"time mask %d is outside 0 to %d frames", m.TimeFrames, c.MelFrames())
}

// Mel returns the geometry of the log-mel: windows of 25 ms every 10 ms, bands
// up to half the sample rate.
func (c Config) Mel() MelConfig {
	return MelConfig{SampleRateHz: c.SampleRateHz, NFFT: c.SampleRateHz / 80 * 2,
		Hop: c.SampleRateHz / 100, Bands: c.Bands, FMax: float64(c.SampleRateHz) / 2}
}

// Samples returns the audio samples of a view.
func (c Config) Samples() int { return int(math.Round(c.Seconds * float64(c.SampleRateHz))) }

// MelFrames returns the log-mel frames of a view: samples ÷ hop + 1, 801 for
// 8 s. An encoder uses as many as its patches fill.
func (c Config) MelFrames() int { return c.Samples()*100/max(c.SampleRateHz, 1) + 1 }

// AudioLocals and VideoLocals return how many local views have each modality.
func (c Config) AudioLocals() int {
	if c.LocalModality == LocalBoth {
		return c.Locals
	}
	return (c.Locals + 1) / 2
}

func (c Config) VideoLocals() int {
	if c.LocalModality == LocalBoth {
		return c.Locals
	}
	return c.Locals / 2
}

// HasVideo and HasAudio report whether views have that modality.
func (c Config) HasVideo() bool { return c.Modality != AudioOnly }
func (c Config) HasAudio() bool { return c.Modality != VideoOnly }

// FloatVideo reports whether video must be handed over as normalised floats,
// because parts of it may be hidden.
func (c Config) FloatVideo() bool { return c.Masking.TubeArea > 0 || c.Masking.ModalityDrop > 0 }
