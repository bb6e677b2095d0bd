package dataset

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"avjepa/internal/manifest"
)

// Limits that every clip of a set obeys, however it was made.
const (
	MaxFrames      = 9999      // frames of a clip: four digits in a member name
	MaxRecordBytes = 256 << 20 // bytes of one clip in a shard
	MaxSide        = 16384     // pixels of a frame's side
	maxSeconds     = 24 * 3600 // length of one clip
	maxSignature   = 1024      // bytes as text; those of other versions may be longer than ours
)

// Info describes one clip of a set: a line of index.jsonl.
type Info struct {
	Key          string   `json:"key"`
	Labels       []string `json:"labels,omitempty"` // IDs of classes; none = unlabelled
	Split        string   `json:"split"`            // "train", "val", or as given
	Source       string   `json:"source,omitempty"` // base name of the source file
	Start        float64  `json:"start"`            // seconds into the source
	Seconds      float64  `json:"seconds"`          // length
	FPS          float64  `json:"fps"`              // of the stored frames
	FrameCount   int      `json:"frames"`           // 0 = no video
	Width        int      `json:"width"`
	Height       int      `json:"height"`
	SampleRateHz int      `json:"sample_rate"`
	SampleCount  int      `json:"samples"`              // mono; 0 = no audio
	Silent       bool     `json:"silent,omitempty"`     // the sound's peak is nothing
	Quiet        bool     `json:"quiet,omitempty"`      // nearly all of the sound is nothing
	Still        bool     `json:"still,omitempty"`      // all frames are the same picture
	LowMotion    bool     `json:"low_motion,omitempty"` // hardly anything moves
	Signature    string   `json:"signature,omitempty"`  // of package neardup; Open drops it
	Row          int      `json:"row"`                  // place in the list that the clip comes from

	Shard  int    `json:"shard"`  // number in the shard's name
	Offset int64  `json:"offset"` // of the clip's first tar header in the shard
	Bytes  int64  `json:"bytes"`  // from there to the end of its last member
	CRC    uint32 `json:"crc"`    // Castagnoli CRC-32 of these bytes
}

// HasVideo says whether the clip has frames.
func (f *Info) HasVideo() bool { return f.FrameCount > 0 }

// HasAudio says whether the clip has samples. They may all be 0: see Silent.
func (f *Info) HasAudio() bool { return f.SampleCount > 0 }

// validate reports every field that no ingest could have written. Nothing read
// from an index is used before it has passed.
func (f *Info) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if err := manifest.CheckKey(f.Key); err != nil {
		errs = append(errs, err)
	}
	if err := manifest.CheckLabels(f.Labels); err != nil {
		errs = append(errs, err)
	}
	if err := manifest.CheckSplit(f.Split); err != nil {
		errs = append(errs, err)
	}
	if !(f.Start >= 0 && f.Start <= math.MaxInt32) {
		bad("start %v s is outside [0, 2³¹)", f.Start)
	}
	if !(f.Seconds > 0 && f.Seconds <= maxSeconds) {
		bad("length %v s is outside (0, %d]", f.Seconds, maxSeconds)
	}
	if !(f.FPS >= 0 && f.FPS <= 1000) {
		bad("%v frames per second is outside [0, 1000]", f.FPS)
	}
	if f.FrameCount < 0 || f.FrameCount > MaxFrames {
		bad("%d frames is outside [0, %d]", f.FrameCount, MaxFrames)
	}
	if f.FrameCount > 0 && (f.FPS == 0 || f.Width < 1 || f.Height < 1) {
		bad("frames of %d×%d pixels at %v per second", f.Width, f.Height, f.FPS)
	}
	if f.Width < 0 || f.Width > MaxSide || f.Height < 0 || f.Height > MaxSide {
		bad("frame of %d×%d pixels: sides are at most %d", f.Width, f.Height, MaxSide)
	}
	if f.SampleCount < 0 || int64(f.SampleCount)*2 > MaxRecordBytes {
		bad("%d samples is outside [0, %d]", f.SampleCount, MaxRecordBytes/2)
	}
	if f.SampleCount > 0 && (f.SampleRateHz < 1 || f.SampleRateHz > 1<<20) {
		bad("sample rate %d Hz", f.SampleRateHz)
	}
	if f.FrameCount == 0 && f.SampleCount == 0 {
		bad("neither frames nor samples")
	}
	if len(f.Signature) > maxSignature || strings.Trim(f.Signature, "0123456789abcdef") != "" {
		bad("signature %.40q is not hex of at most %d digits", f.Signature, maxSignature)
	}
	if f.Row < 0 || f.Row > math.MaxInt32 {
		bad("row %d is outside [0, 2³¹)", f.Row)
	}
	if f.Shard < 0 || f.Shard > maxShards-1 {
		bad("shard %d is outside [0, %d)", f.Shard, maxShards)
	}
	if f.Offset < 0 || f.Offset%tarBlock != 0 || f.Offset > math.MaxInt64-MaxRecordBytes {
		bad("offset %d is not a tar block", f.Offset)
	}
	if f.Bytes < 2*tarBlock || f.Bytes > MaxRecordBytes || f.Bytes%tarBlock != 0 {
		bad("%d bytes is not a run of tar blocks of at most %d", f.Bytes, MaxRecordBytes)
	}
	return errors.Join(errs...)
}
