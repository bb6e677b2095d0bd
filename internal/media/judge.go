package media

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
)

// clip cuts one span out of what is held, pads the shorter stream and judges it.
func (a *assembler) clip(s span) *Clip {
	c := &Clip{FPS: a.cfg.FPS, Width: a.width, Height: a.height, Info: a.info}
	rate := float64(a.cfg.SampleRateHz)

	frames := cut(a.frames, s.frame0-a.frameBase, s.frame1, a.frameBase)
	samples := cut(a.samples, s.sample0-a.sampleBase, s.sample1, a.sampleBase)
	c.HasVideo, c.HasAudio = a.lastFrame != nil, a.heard
	c.VideoSeconds = float64(len(frames)) / a.cfg.FPS
	c.AudioSeconds = float64(len(samples)) / rate
	// The last frame may stand beyond the length asked for; sound ends there.
	c.Seconds = min(s.seconds, max(c.VideoSeconds, c.AudioSeconds))
	if c.Seconds > 0 && c.HasVideo {
		n := max(1, len(frames), int(math.Round(c.Seconds*a.cfg.FPS)))
		c.Frames = append(make([][]byte, 0, n), frames...)
		for len(c.Frames) < n {
			c.Frames = append(c.Frames, a.lastFrame)
		}
		c.Still = still(c.Frames)
	}
	if c.Seconds > 0 && c.HasAudio {
		n := max(len(samples), int(math.Round(c.Seconds*rate)))
		c.Samples = make([]int16, n)
		copy(c.Samples, samples)
		c.Silent = peakDB(c.Samples) < a.cfg.SilenceDB
	}
	c.judge(a.cfg)
	return c
}

// cut returns all[from : end−base] as far as it exists.
func cut[T any](all []T, from, end, base int) []T {
	from = max(0, from)
	to := len(all)
	if end != endless {
		to = min(to, end-base)
	}
	if from >= to {
		return nil
	}
	return all[from:to]
}

func (c *Clip) judge(cfg DecodeConfig) {
	switch {
	case c.Seconds == 0:
		c.Outcome, c.Reason = TooShort, "the file ends before the segment begins"
	case c.Seconds < cfg.MinSeconds-1e-9:
		c.Outcome = TooShort
		c.Reason = fmt.Sprintf("%.3f s, at least %v s are needed", c.Seconds, cfg.MinSeconds)
	case !c.HasVideo:
		c.Outcome, c.Reason = NoVideo, "no picture stream that decodes"
	case !c.HasAudio:
		c.Outcome, c.Reason = NoAudio, "no sound stream that decodes"
	case c.Silent:
		c.Outcome = Silent
		c.Reason = fmt.Sprintf("peak %.1f dB, silence is below %v dB", peakDB(c.Samples), cfg.SilenceDB)
	case c.Still:
		c.Outcome, c.Reason = StillImage, fmt.Sprintf("%d equal frames", len(c.Frames))
	default:
		c.Outcome = Usable
	}
}

// still reports whether all frames are one picture. Equal pictures give equal
// JPEG files; a still picture that its encoder let flicker is not noticed.
func still(frames [][]byte) bool {
	for _, frame := range frames {
		if string(frame) != string(frames[0]) {
			return false
		}
	}
	return true
}

// peakDB returns the largest magnitude in dB of full scale, −Inf for zeros.
func peakDB(samples []int16) float64 {
	peak := 0
	for _, s := range samples {
		peak = max(peak, int(s), -int(s))
	}
	return 20 * math.Log10(float64(peak)/32768)
}

// finish judges the spans that the end of the file left open.
//
// Damage inside a file is common and mostly small: a frame lost in fifty leaves a
// usable clip, in which its predecessor stands longer. But if less than half of
// the packets of a stream decode, what was decoded does not stand for the file,
// and it is Corrupt. (Codecs with invisible frames lose a tenth at most.)
func (a *assembler) finish(waitErr error, log *childLog, name string) error {
	log.mu.Lock()
	counts := log.counts
	log.mu.Unlock()
	if a.lastFrame == nil && !a.heard {
		complaint := log.complaint()
		if lacking := lackingDecoder(complaint); lacking != nil {
			return lacking
		}
		if waitErr != nil {
			return refusal(log, name, waitErr)
		}
		if complaint != "" && packets(counts) > 0 {
			return log.damage()
		}
		return &FileError{Empty, "the container holds no picture and no sound"}
	}
	broken := log.damage()
	if a.lastFrame == nil && a.info.Video != nil && broken.Outcome == TooLarge {
		return broken // there is a picture
	}
	for index, n := range counts {
		if 2*n.frames < n.packets {
			return &FileError{Corrupt, fmt.Sprintf("%d of the %d packets of stream %d decode: %s",
				n.frames, n.packets, index, log.complaint())}
		}
	}
	for a.next < len(a.spans) {
		if err := a.emit(a.clip(a.spans[a.next])); err != nil {
			return err
		}
		a.drop()
	}
	return nil
}

func packets(counts map[int]count) int {
	sum := 0
	for _, n := range counts {
		sum += n.packets
	}
	return sum
}

// decoderError says that ffmpeg has no decoder for a stream.
type decoderError struct {
	index int
	codec string
}

func (e *decoderError) Error() string {
	return fmt.Sprintf("media: no decoder for stream %d (%s)", e.index, e.codec)
}

var noDecoder = regexp.MustCompile(
	`Decoder \(codec ([^)]*)\) not found for input stream #0:(\d+)|` +
		`Decoding requested, but no decoder found for: ([^;]*)`)

// lackingDecoder returns nil when the complaint is another.
func lackingDecoder(complaint string) *decoderError {
	m := noDecoder.FindStringSubmatch(complaint)
	if m == nil || m[2] == "" {
		return nil
	}
	index, _ := strconv.Atoi(m[2])
	return &decoderError{index: index, codec: m[1]}
}

// without drops a stream that cannot be decoded; a FileError if none is left.
func (info *Info) without(lacking *decoderError) error {
	switch {
	case info.Video != nil && info.Video.Index == lacking.index && info.Audio != nil:
		info.Video = nil
	case info.Audio != nil && info.Audio.Index == lacking.index && info.Video != nil:
		info.Audio = nil
	default:
		return &FileError{Unsupported, "no decoder for " + lacking.codec}
	}
	return nil
}
