package media

import (
	"bytes"
	"errors"
	"fmt"
	"math"
)

// span is a Segment on the grids of frames and samples, [frame0, frame1) and
// [sample0, sample1).
type span struct {
	frame0, frame1   int
	sample0, sample1 int
	seconds          float64 // the length asked for, +Inf to the end
}

const endless = math.MaxInt

func (s span) toEnd() bool { return s.frame1 == endless }

// maxStart bounds a segment's start and length so that grid indices stay small: 1000 hours.
const maxStart = 3.6e6

func spansOf(segs []Segment, cfg DecodeConfig) ([]span, error) {
	if len(segs) == 0 {
		return nil, errors.New("media: no segment to decode")
	}
	rate := float64(cfg.SampleRateHz)
	spans := make([]span, len(segs))
	for i, seg := range segs {
		if !(seg.Start >= 0 && seg.Start < maxStart && seg.End >= 0) {
			return nil, fmt.Errorf("media: segment %d is %v…%v s", i, seg.Start, seg.End)
		}
		if i > 0 && seg.Start < segs[i-1].Start {
			return nil, fmt.Errorf("media: segment %d begins at %v s, before the one ahead of it "+
				"(%v s); sort them", i, seg.Start, segs[i-1].Start)
		}
		s := span{frame0: int(math.Round(seg.Start * cfg.FPS)), frame1: endless, sample1: endless,
			seconds: math.Inf(1)}
		s.sample0 = int(math.Round(float64(s.frame0) / cfg.FPS * rate))
		if seg.End > 0 {
			length := seg.End - seg.Start
			if !(length > 0 && length <= cfg.Limits.MaxSeconds) {
				return nil, fmt.Errorf("media: segment %d of %v s (%v…%v) is outside (0, %v]",
					i, length, seg.Start, seg.End, cfg.Limits.MaxSeconds)
			}
			s.seconds = length
			s.frame1 = s.frame0 + max(1, int(math.Round(length*cfg.FPS)))
			s.sample1 = s.sample0 + max(1, int(math.Round(length*rate)))
		}
		spans[i] = s
	}
	return spans, nil
}

// assembler cuts the two streams of one file into clips and yields them.
type assembler struct {
	cfg   DecodeConfig
	spans []span
	info  Info
	yield func(i int, c *Clip) error

	next          int // the span to be yielded next
	width, height int
	frames        [][]byte // of the grid from frameBase on
	frameBase     int
	lastFrame     []byte // repeated where the picture ends early
	samples       []int16
	sampleBase    int
	heard         bool  // there were samples
	held          int64 // bytes in frames
	videoEnded    bool
	audioEnded    bool
}

const (
	seekFrom   = 20 // seconds: a file is read from the start when the first span begins earlier
	seekMargin = 5  // seconds read ahead of it, for decoders to settle
)

// seek sets where reading begins, as near to the first span as is worth it and
// safe, and returns that in seconds. A file that may end before is read whole, and
// so is one without an index of its key frames.
func (a *assembler) seek(how way) float64 {
	a.frameBase, a.sampleBase = 0, 0
	start := float64(a.spans[0].frame0) / a.cfg.FPS
	if start < seekFrom || how == probedFirst && (a.info.Seconds < start+1 || !a.info.indexed()) {
		return 0
	}
	a.frameBase = int(math.Floor((start - seekMargin) * a.cfg.FPS))
	at := float64(a.frameBase) / a.cfg.FPS
	a.sampleBase = int(math.Round(at * float64(a.cfg.SampleRateHz)))
	return at
}

// readSeconds is how much of the file the spans need, with a margin.
func (a *assembler) readSeconds() float64 {
	end := 0.0
	for _, s := range a.spans {
		if s.toEnd() {
			end = max(end, float64(s.frame0)/a.cfg.FPS+a.cfg.Limits.MaxSeconds)
		} else {
			end = max(end, float64(s.frame1)/a.cfg.FPS)
		}
	}
	return end + 1
}

// frameSlot is what a frame takes that repeats another: its slice.
const frameSlot = 24

func (a *assembler) addFrame(x piece) error {
	if limit := a.cfg.Limits.MaxPixels; x.width > limit/max(1, x.height) {
		return &FileError{TooLarge, fmt.Sprintf("%d × %d pixels to give out, the limit is %d in all",
			x.width, x.height, limit)}
	}
	if a.width == 0 {
		a.width, a.height = x.width, x.height
	}
	if x.width != a.width || x.height != a.height {
		return &FileError{Corrupt, fmt.Sprintf("frame size changes from %d × %d to %d × %d",
			a.width, a.height, x.width, x.height)}
	}
	// A still stretch costs the memory of one frame.
	if bytes.Equal(x.frame, a.lastFrame) {
		x.frame = a.lastFrame
	} else {
		a.held += int64(len(x.frame))
	}
	a.lastFrame = x.frame
	a.frames = append(a.frames, x.frame)
	return a.advance()
}

func (a *assembler) addSamples(samples []int16) error {
	a.samples = append(a.samples, samples...)
	a.heard = a.heard || len(samples) > 0
	return a.advance()
}

// end notes that a stream is over.
func (a *assembler) end(video bool) error {
	if video {
		a.videoEnded = true
	} else {
		a.audioEnded = true
	}
	return a.advance()
}

// advance yields every span that is complete, drops what no later one needs and
// checks the bounds. It returns errStop after the last span.
func (a *assembler) advance() error {
	a.drop()
	for a.next < len(a.spans) {
		s := a.spans[a.next]
		if !a.complete(s) {
			break
		}
		if err := a.emit(a.clip(s)); err != nil {
			return err
		}
		a.drop()
	}
	if a.next == len(a.spans) {
		return errStop
	}
	if bytes := a.held + frameSlot*int64(len(a.frames)) +
		2*int64(len(a.samples)); bytes > a.cfg.Limits.MaxBytes {
		return &FileError{TooLarge, fmt.Sprintf("%d bytes of frames and samples held, the limit "+
			"is %d", bytes, a.cfg.Limits.MaxBytes)}
	}
	if s := a.spans[a.next]; s.toEnd() {
		limit := a.cfg.Limits.MaxSeconds
		seconds := max(float64(a.frameBase+len(a.frames)-s.frame0)/a.cfg.FPS,
			float64(a.sampleBase+len(a.samples)-s.sample0)/float64(a.cfg.SampleRateHz))
		if seconds > limit {
			return &FileError{TooLarge, fmt.Sprintf("longer than %v s, the limit for a clip", limit)}
		}
	}
	return nil
}

// complete reports whether all of a bounded span has been read. Spans to the end
// and spans cut off by it wait for finish, which knows how the child ended.
func (a *assembler) complete(s span) bool {
	if s.toEnd() {
		return false
	}
	frames := a.frameBase+len(a.frames) >= s.frame1
	samples := a.sampleBase+len(a.samples) >= s.sample1
	return (frames || a.info.Video == nil) && (samples || a.info.Audio == nil)
}

// drop forgets what lies before the next span.
func (a *assembler) drop() {
	if a.next == len(a.spans) {
		return
	}
	s := a.spans[a.next]
	if n := min(s.frame0-a.frameBase, len(a.frames)); n > 0 {
		a.frames = append(a.frames[:0:0], a.frames[n:]...)
		a.frameBase += n
		a.held = 0
		for i, frame := range a.frames {
			if i == 0 || &frame[0] != &a.frames[i-1][0] {
				a.held += int64(len(frame))
			}
		}
	}
	if n := min(s.sample0-a.sampleBase, len(a.samples)); n > 0 {
		a.samples = append(a.samples[:0:0], a.samples[n:]...)
		a.sampleBase += n
	}
}

func (a *assembler) emit(c *Clip) error {
	a.next++
	return a.yield(a.next-1, c)
}

// failRest gives every clip that is still due the same outcome.
func (a *assembler) failRest(o Outcome, reason string) error {
	for a.next < len(a.spans) {
		c := &Clip{Outcome: o, Reason: reason, FPS: a.cfg.FPS, Info: a.info}
		if err := a.emit(c); err != nil {
			return err
		}
	}
	return nil
}
