package scenes

import (
	"errors"
	"fmt"
	"math"

	"avjepa/internal/rng"
)

// Config says which scenes to make. The zero value is not usable; see Default.
type Config struct {
	Seed          uint64  `json:"seed"`
	Train         int     `json:"train"`       // scenes of the split "train"
	HeldOut       int     `json:"held_out"`    // scenes of the split "heldout"
	Side          int     `json:"side"`        // pixels, even
	FPS           float64 `json:"fps"`         // pictures per second
	Seconds       float64 `json:"seconds"`     // length of a scene
	GapSeconds    float64 `json:"gap_seconds"` // pause between scenes of a file
	ScenesPerFile int     `json:"scenes_per_file"`
	SampleRateHz  int     `json:"sample_rate_hz"`

	Cues Cues `json:"cues"`

	// Workers is how many files are made at a time. It does not change them.
	Workers int `json:"-"`
}

// Default returns the demo's scenes: 2400 to train on and 200 held out, 3.2 s
// of 48 × 48 pixels at 12.5 pictures a second with 16 kHz sound.
func Default() Config {
	return Config{
		Train: 2400, HeldOut: 200, Side: 48, FPS: 12.5, Seconds: 3.2, GapSeconds: .16,
		ScenesPerFile: 50, SampleRateHz: 16000, Workers: 2,
	}
}

// maxScenes bounds a split: all that is planned of it fits in memory.
const maxScenes = 1_000_000

// Validate reports every field that cannot be used, with the remedy.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("scenes: "+format, args...))
	}
	if min(c.Train, c.HeldOut) < 0 || max(c.Train, c.HeldOut) < 1 ||
		max(c.Train, c.HeldOut) > maxScenes {
		bad("%d train and %d held-out scenes: need counts from 0 to %d, one of them > 0",
			c.Train, c.HeldOut, maxScenes)
	}
	if c.Side < 16 || c.Side > 1024 || c.Side%2 != 0 {
		bad("side of %d pixels: need an even number from 16 to 1024", c.Side)
	}
	if c.ScenesPerFile < 1 {
		bad("%d scenes per file: need at least 1", c.ScenesPerFile)
	}
	if c.Workers < 1 {
		bad("%d workers: need at least 1", c.Workers)
	}
	if c.SampleRateHz < 8000 || c.SampleRateHz > 96000 {
		bad("sample rate %d Hz: need 8000 to 96000", c.SampleRateHz)
	}
	if !(c.FPS >= 1 && c.FPS <= 100) {
		bad("%g pictures a second: need 1 to 100", c.FPS)
		return errors.Join(errs...)
	}
	if !whole(c.Seconds*c.FPS) || c.frames() < 2 {
		bad("scenes of %g s: need a whole number of pictures, at least 2, at %g a second",
			c.Seconds, c.FPS)
	}
	if !whole(c.GapSeconds*c.FPS/2) || c.gapFrames() < 2 {
		bad("gap of %g s: need an even number of pictures, at least 2, at %g a second",
			c.GapSeconds, c.FPS)
	}
	if !whole(float64(c.SampleRateHz) / c.FPS) {
		bad("%d Hz at %g pictures a second: need a whole number of samples per picture",
			c.SampleRateHz, c.FPS)
	}
	return errors.Join(errs...)
}

func whole(v float64) bool { return math.Abs(v-math.Round(v)) < 1e-6 }

func (c Config) frames() int    { return int(math.Round(c.Seconds * c.FPS)) }
func (c Config) gapFrames() int { return int(math.Round(c.GapSeconds * c.FPS)) }

// samplesPerFrame returns how many samples sound during one picture.
func (c Config) samplesPerFrame() int {
	return int(math.Round(float64(c.SampleRateHz) / c.FPS))
}

// Split is a named part of the data.
type Split string

// The splits, as they stand in the manifest.
const (
	Train   Split = "train"
	HeldOut Split = "heldout"
)

// Scene returns scene index of a split. The splits have different seeds, so
// that no scene of one is drawn from numbers of the other.
func (c Config) Scene(split Split, index int) Scene {
	return NewScene(rng.New(c.Seed, "scenes.split", string(split)).Uint64(), index, c.Cues)
}

// reel is one file: consecutive scenes of a split.
type reel struct {
	split      Split
	number     int
	first, end int // scenes [first, end) of the split
}

func (r reel) name() string { return fmt.Sprintf("%s-%03d.mp4", r.split, r.number) }

// reels returns the files of a config, train first.
func (c Config) reels() []reel {
	var out []reel
	add := func(split Split, scenes int) {
		for n, first := 0, 0; first < scenes; n, first = n+1, first+c.ScenesPerFile {
			out = append(out, reel{split, n, first, min(first+c.ScenesPerFile, scenes)})
		}
	}
	add(Train, c.Train)
	add(HeldOut, c.HeldOut)
	return out
}

// startFrame returns the picture of its file with which the i-th scene of a
// file starts. Half a gap stands before and after every scene.
func (c Config) startFrame(i int) int {
	return c.gapFrames()/2 + i*(c.frames()+c.gapFrames())
}
