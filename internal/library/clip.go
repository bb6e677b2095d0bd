package library

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// Modality is what an encoder was given of a clip.
type Modality uint8

// The modalities. Both is a clip heard and seen at once, not two embeddings.
const (
	Audio Modality = 1
	Video Modality = 2
	Both           = Audio | Video
)

// Modalities are all of them.
var Modalities = [...]Modality{Audio, Video, Both}

func (m Modality) String() string {
	switch m {
	case Audio:
		return "audio"
	case Video:
		return "video"
	case Both:
		return "both"
	}
	return fmt.Sprintf("modality %d", uint8(m))
}

// ParseModality returns the modality of a name: audio, video or both.
func ParseModality(name string) (Modality, error) {
	for _, m := range Modalities {
		if m.String() == name {
			return m, nil
		}
	}
	return 0, fmt.Errorf("library: modality %q is none of audio, video, both", name)
}

// Flags of a clip: what is odd about it.
const (
	FlagSilent    = "silent"    // the sound's peak is nothing
	FlagStill     = "still"     // all frames are the same picture
	FlagDuplicate = "duplicate" // another clip is nearly the same: Duplicates
	FlagNoAudio   = "no-audio"  // picture alone
	FlagNoVideo   = "no-video"  // sound alone
)

// flags is how the database keeps them.
type flags int64

const (
	silent flags = 1 << iota
	still
	duplicate
	hasAudio
	hasVideo
)

// Clip is one clip of a library.
type Clip struct {
	ID int64 // set by Add; never given again

	// Data is the location of the data set that the clip is in, as given, or empty for a
	// file. Key is its key there, or the file's absolute path.
	Data, Key string

	Labels        []string
	Split         string
	Seconds       float64
	Width, Height int  // of the frames, 0 without
	HasAudio      bool // a sound, be it silent
	HasVideo      bool
	Silent, Still bool
	Duplicate     bool // set by Finish

	// What tells whether the source has changed.
	Bytes    int64
	Modified time.Time
	Hash     string // of the content, hex; empty if unknown

	Signature string // of package neardup, as text
	Added     time.Time
}

// Name returns what people call the clip: its key, or the last part of its path.
func (c *Clip) Name() string {
	if c.Data != "" {
		return c.Key
	}
	return c.Key[strings.LastIndexAny(c.Key, `/\`)+1:]
}

// Flags returns the flags of the clip.
func (c *Clip) Flags() []string {
	var f []string
	for _, x := range []struct {
		is   bool
		name string
	}{{c.Silent, FlagSilent}, {c.Still, FlagStill}, {c.Duplicate, FlagDuplicate},
		{!c.HasAudio, FlagNoAudio}, {!c.HasVideo, FlagNoVideo}} {
		if x.is {
			f = append(f, x.name)
		}
	}
	return f
}

// bits returns the flags as the database keeps them.
func (c *Clip) bits() flags {
	var f flags
	for _, x := range []struct {
		is  bool
		bit flags
	}{{c.Silent, silent}, {c.Still, still}, {c.Duplicate, duplicate}, {c.HasAudio, hasAudio},
		{c.HasVideo, hasVideo}} {
		if x.is {
			f |= x.bit
		}
	}
	return f
}

func (c *Clip) setBits(f flags) {
	c.Silent, c.Still, c.Duplicate = f&silent != 0, f&still != 0, f&duplicate != 0
	c.HasAudio, c.HasVideo = f&hasAudio != 0, f&hasVideo != 0
}

// Bounds of what a clip may be called.
const (
	maxText   = 4096 // bytes of a location, a key or a reason
	maxLabels = 1024
)

// check reports every field that cannot be kept.
func (c *Clip) check() error {
	var errs []error
	if c.Key == "" {
		errs = append(errs, errors.New("no key"))
	}
	for _, s := range append([]string{c.Data, c.Key, c.Split, c.Hash, c.Signature}, c.Labels...) {
		if len(s) > maxText || strings.ContainsRune(s, 0) {
			errs = append(errs, fmt.Errorf("text %.40q has %d bytes, of at most %d, or a zero byte",
				s, len(s), maxText))
		}
	}
	if len(c.Labels) > maxLabels {
		errs = append(errs, fmt.Errorf("%d labels, at most %d", len(c.Labels), maxLabels))
	}
	if !(c.Seconds >= 0 && c.Seconds < math.MaxInt32) {
		errs = append(errs, fmt.Errorf("length %v s is outside [0, 2³¹)", c.Seconds))
	}
	if len(errs) > 0 {
		return fmt.Errorf("library: clip %.200q: %w", c.Key, errors.Join(errs...))
	}
	return nil
}

// LeftOut is a file or stored clip that could not be kept.
type LeftOut struct {
	Data, Key string // as of a Clip
	Outcome   string // of package media
	Reason    string
	Bytes     int64
	Modified  time.Time
	Added     time.Time
}
