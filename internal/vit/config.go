package vit

import (
	"errors"
	"fmt"
	"strings"
)

// Modality says what an encoder takes.
type Modality uint8

const (
	Both      Modality = iota // frames and log-mel, in one sequence with types
	AudioOnly                 // the log-mel alone: one of two encoders
	VideoOnly                 // the frames alone: the other
)

// Config is the geometry and the options of an Encoder.
type Config struct {
	// Modality leaves out the parameters and tokens of the other one, and the types,
	// which would tell them apart. Groups must then have that modality alone.
	Modality Modality

	Width, Depth, Heads int
	MLPRatio            int // hidden width of the MLP over Width

	Frames, Side        int // of a view's video; Side is both height and width
	PatchT, Patch       int // frames and pixels of a tubelet
	MelBands, MelFrames int // of a view's log-mel; an incomplete last patch is unused
	PatchMel, PatchMelT int // bands and frames of an audio patch

	Dropout          float64 // on embeddings and on the outputs of attention and MLP
	AttentionDropout float64 // on attention probabilities
	EmbedNorm        bool    // LayerNorm right after the embedding
	FinalNorm        bool    // LayerNorm after the last block
	InitStd          float64 // of weights, positions, CLS and types
	DropAbsent       bool    // leave out the tokens of an absent modality
}

// Default is the paper's encoder, ViT-Base on 8 s, without dropout.
//
// Source: paper, section 3; the published code. Differs: it has dropout 0.1.
func Default() Config {
	return Config{
		Width: 768, Depth: 12, Heads: 12, MLPRatio: 4,
		Frames: 16, Side: 224, PatchT: 2, Patch: 16,
		MelBands: 128, MelFrames: 801, PatchMel: 16, PatchMelT: 16,
		EmbedNorm: true, InitStd: 0.02,
	}
}

// sizes are the named encoders: width, depth, heads.
var sizes = map[string][3]int{
	"tiny":  {192, 12, 3},
	"small": {384, 12, 6},
	"base":  {768, 12, 12},
	"large": {1024, 24, 16},
}

// SizeNames lists the sizes that WithSize knows, in order of size.
func SizeNames() []string { return []string{"tiny", "small", "base", "large"} }

// WithSize returns the configuration with width, depth and heads of a named
// size.
func (c Config) WithSize(name string) (Config, error) {
	s, ok := sizes[name]
	if !ok {
		return c, fmt.Errorf("vit: size %q is not one of %s",
			name, strings.Join(SizeNames(), ", "))
	}
	c.Width, c.Depth, c.Heads = s[0], s[1], s[2]
	return c, nil
}

// Validate returns every fault of the configuration, joined.
func (c Config) Validate() error {
	var errs []error
	positive := func(what string, n int) bool {
		if n < 1 {
			errs = append(errs, fmt.Errorf("vit: %s %d must be at least 1", what, n))
		}
		return n >= 1
	}
	multiple := func(what string, n int, of string, m int) {
		// Not short-circuited: both faults are to be reported.
		a, b := positive(what, n), positive(of, m)
		if a && b && n%m != 0 {
			errs = append(errs, fmt.Errorf("vit: %s %d is not a multiple of %s %d",
				what, n, of, m))
		}
	}
	multiple("width", c.Width, "number of heads", c.Heads)
	positive("depth", c.Depth)
	positive("MLP ratio", c.MLPRatio)
	multiple("number of frames", c.Frames, "tubelet length", c.PatchT)
	multiple("image height", c.Side, "patch size", c.Patch)
	multiple("number of mel bands", c.MelBands, "audio patch height", c.PatchMel)
	if positive("number of mel frames", c.MelFrames) &&
		positive("audio patch length", c.PatchMelT) && c.MelFrames < c.PatchMelT {
		errs = append(errs, fmt.Errorf("vit: %d mel frames are fewer than audio patch length %d",
			c.MelFrames, c.PatchMelT))
	}
	for _, p := range []struct {
		name  string
		value float64
	}{{"dropout", c.Dropout}, {"attention dropout", c.AttentionDropout}} {
		if !(p.value >= 0 && p.value < 1) {
			errs = append(errs, fmt.Errorf("vit: %s %g is not in [0, 1)", p.name, p.value))
		}
	}
	if c.Modality > VideoOnly {
		errs = append(errs, fmt.Errorf("vit: modality %d is none", c.Modality))
	}
	if !(c.InitStd > 0) {
		errs = append(errs, fmt.Errorf("vit: initial deviation %g must be above 0", c.InitStd))
	}
	return errors.Join(errs...)
}

func (c Config) hidden() int { return c.Width * c.MLPRatio }

// videoGrid returns the numbers of tubelets in time and of patches in a frame.
func (c Config) videoGrid() (times, places int) {
	side := c.Side / c.Patch
	return c.Frames / c.PatchT, side * side
}

// audioGrid returns the numbers of audio patches in frequency and in time.
func (c Config) audioGrid() (bands, times int) {
	return c.MelBands / c.PatchMel, c.MelFrames / c.PatchMelT
}

// VideoTokens returns the number of video tokens of a view.
func (c Config) VideoTokens() int {
	if c.Modality == AudioOnly {
		return 0
	}
	t, s := c.videoGrid()
	return t * s
}

// AudioTokens returns the number of audio tokens of a view.
func (c Config) AudioTokens() int {
	if c.Modality == VideoOnly {
		return 0
	}
	f, t := c.audioGrid()
	return f * t
}

// Tokens returns the number of tokens of a view: CLS, video and audio.
func (c Config) Tokens() int { return 1 + c.VideoTokens() + c.AudioTokens() }

// tokens returns the length of the sequence of a view with these modalities.
func (c Config) tokens(video, audio bool) int {
	n := 1
	if video || !c.DropAbsent {
		n += c.VideoTokens()
	}
	if audio || !c.DropAbsent {
		n += c.AudioTokens()
	}
	return n
}

func (c Config) tubelet() int    { return 3 * c.PatchT * c.Patch * c.Patch }
func (c Config) audioPatch() int { return c.PatchMel * c.PatchMelT }
