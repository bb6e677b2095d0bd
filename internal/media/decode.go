package media

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// DecodeConfig says what Decode makes of a file.
type DecodeConfig struct {
	ShortSide    int     // pixels; a smaller picture keeps its size; 0: all do
	FPS          float64 // frames per second of the grid, in (0, 240]
	SampleRateHz int     // of the sound, in [1000, 192000]
	MinSeconds   float64 // a shorter clip is TooShort
	JPEGQuality  int     // 1…100 on libjpeg's scale, 0 means 90
	SilenceDB    float64 // peak in dB of full scale below which sound is Silent; 0 means −84
	Raw          bool    // frames are RGB bytes, not JPEG files
	Limits       Limits
}

func (c DecodeConfig) withDefaults() (DecodeConfig, error) {
	c.Limits = c.Limits.withDefaults()
	if c.JPEGQuality == 0 {
		c.JPEGQuality = 90
	}
	if c.SilenceDB == 0 {
		c.SilenceDB = -84 // 2 steps of 16 bits
	}
	switch {
	case c.ShortSide < 0:
		return c, fmt.Errorf("media: short side %d is negative", c.ShortSide)
	case !(c.FPS > 0 && c.FPS <= 240):
		return c, fmt.Errorf("media: %v frames/s is outside (0, 240]", c.FPS)
	case c.SampleRateHz < 1000 || c.SampleRateHz > 192000:
		return c, fmt.Errorf("media: sample rate %d Hz is outside 1000…192000", c.SampleRateHz)
	case c.JPEGQuality < 1 || c.JPEGQuality > 100:
		return c, fmt.Errorf("media: JPEG quality %d is outside 1…100", c.JPEGQuality)
	case !(c.SilenceDB < 0):
		return c, fmt.Errorf("media: silence %v dB is not below full scale (0 dB)", c.SilenceDB)
	}
	return c, nil
}

// Segment is a stretch of a file, in seconds from its start. End 0 means the
// file's end. Start is moved to the nearest frame of the grid.
type Segment struct{ Start, End float64 }

// Clip is one decoded segment. Frames may be shared between overlapping segments
// and repeated within one: read them only.
type Clip struct {
	Outcome Outcome
	Reason  string // for people; "" when Usable

	Frames        [][]byte // one JPEG file each, or Width·Height·3 RGB bytes
	FPS           float64  // DecodeConfig.FPS; frame i is shown at i/FPS
	Width, Height int      // of every frame
	Samples       []int16  // mono, at DecodeConfig.SampleRateHz
	Seconds       float64  // length of picture and sound, the longer one
	VideoSeconds  float64  // of it with decoded picture; the rest repeats a frame
	AudioSeconds  float64  // of it with decoded sound; the rest is silence

	HasVideo, HasAudio bool
	Silent             bool // HasAudio, and its peak lies below SilenceDB
	Still              bool // HasVideo, and all frames are the same picture
	Info               Info
}

// Decode decodes the segments of one file in one pass and gives each to yield as
// soon as it is complete, in order, exactly once. segs must be sorted by Start;
// they may overlap.
//
// When the first segment begins after 20 s, MP4 and Matroska files are read from
// shortly ahead of it; others are decoded from their start.
//
// A broken file is an Outcome of its clips, not an error; the last clips of a
// file that ends early are shorter or TooShort. Errors: ctx's, yield's, a bad
// config, ffmpeg not starting. No child is left running when Decode returns.
func (t Tools) Decode(ctx context.Context, path string, cfg DecodeConfig, segs []Segment,
	yield func(i int, c *Clip) error) error {

	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	spans, err := spansOf(segs, cfg)
	if err != nil {
		return err
	}
	a := &assembler{cfg: cfg, spans: spans, yield: yield}
	in, err := openInput(path)
	if err == nil {
		defer in.close()
		err = t.decodeFile(ctx, in, a)
	}
	var broken *FileError
	if errors.As(err, &broken) {
		return a.failRest(broken.Outcome, broken.Reason)
	}
	return err
}

// decodeFile tries a single child first, which serves a file with one picture and
// one sound stream, and a sound; for others it asks ffprobe which streams to take.
func (t Tools) decodeFile(ctx context.Context, in *input, a *assembler) error {
	if name, _ := in.forChild(1); !strings.ContainsFunc(name, unicode.IsControl) { // it is printed
		how := quickBoth
		if a.seek(quickBoth) == 0 && in.isSound() {
			how = quickSound
		}
		err := t.decodeStreams(ctx, in, a, how)
		if !errors.Is(err, errAmbiguous) {
			return err
		}
	}
	info, err := t.probe(ctx, in, a.cfg.Limits)
	a.info = info
	for err == nil {
		if err = unfit(a.info, a.cfg, a.spans); err != nil {
			break
		}
		err = t.decodeStreams(ctx, in, a, probedFirst)
		var lacking *decoderError
		if !errors.As(err, &lacking) {
			break
		}
		err = a.info.without(lacking)
	}
	return err
}

// unfit returns a FileError for a file that need not be decoded to be judged.
func unfit(info Info, cfg DecodeConfig, spans []span) error {
	if info.Video == nil && info.Audio == nil {
		return &FileError{Unsupported, "neither picture nor sound in it"}
	}
	last := spans[len(spans)-1]
	if limit := cfg.Limits.MaxSeconds; last.toEnd() &&
		info.Seconds-float64(last.frame0)/cfg.FPS > limit {
		return &FileError{TooLarge, fmt.Sprintf("%.0f s, the limit for a clip is %.0f s",
			info.Seconds, limit)}
	}
	return nil
}

// errStop ends reading without being a fault: all segments are complete.
var errStop = errors.New("media: enough")

// errAmbiguous says that the quick way does not do for a file; nothing of it has
// been yielded.
var errAmbiguous = errors.New("media: ask ffprobe")

// way says how decodeStreams learns about the streams.
type way int

const (
	quickBoth   way = iota // it takes the first two and reads ffmpeg's description
	quickSound             // it takes the first sound, and reads that nothing else is there
	probedFirst            // assembler.info tells
)

// piece is what a reader of one of the child's pipes delivers.
type piece struct {
	frame         []byte
	width, height int
	samples       []int16
	video         bool  // which pipe
	err           error // io.EOF at the end, a FileError, or that it is cut off
}

// decodeStreams runs ffmpeg once over the file and feeds its pipes to a.
func (t Tools) decodeStreams(parent context.Context, in *input, a *assembler, how way) error {
	lim := a.cfg.Limits
	ctx, cancel := context.WithTimeoutCause(parent, lim.Timeout, errOverTime)
	defer cancel()
	video, audio := "0:V:0", "0:a:0"
	switch how {
	case probedFirst:
		video, audio = a.info.maps()
	case quickSound:
		video = ""
	}
	outputs := 0
	for _, stream := range []string{video, audio} {
		if stream != "" {
			outputs++
		}
	}
	name, files := in.forChild(outputs)
	args := decodeArgs(name, a, a.seek(how), video, audio)
	p, err := start(ctx, t.FFmpeg, args, lim, 0, outputs, files...)
	if err != nil {
		return fmt.Errorf("media: %w", err)
	}
	// The readers hand over one piece at a time, so while yield runs ffmpeg soon
	// has to wait; while it does not, both pipes are drained, so ffmpeg cannot
	// get stuck on one of them.
	pieces, done := make(chan piece), make(chan struct{})
	defer close(done)
	send := func(x piece) bool {
		select {
		case pieces <- x:
			return true
		case <-done:
			return false
		}
	}
	open := 0
	if video != "" {
		frames := newFrameReader(p.outputs[open], a.cfg.Raw, lim.MaxBytes)
		go frames.sendAll(send)
		open++
	}
	if audio != "" {
		go readSamples(p.outputs[open], send)
		open++
	}
	told := how == probedFirst
	var broken *FileError
	for open > 0 && err == nil {
		x := <-pieces
		if x.err == nil && !told {
			p.listenNow()
			if err = a.learn(ctx, p.log, how); err != nil {
				break
			}
			told = true
		}
		switch {
		case errors.As(x.err, &broken):
			err = broken
		case x.err != nil:
			open--
			if told {
				err = a.end(x.video)
			}
		case x.video:
			err = a.addFrame(x)
		default:
			err = a.addSamples(x.samples)
		}
	}
	if err != nil {
		cancel()
	}
	waitErr := p.wait()
	flood := p.log.tooMuch(lim.MaxLogBytes)
	switch {
	case parent.Err() != nil:
		return context.Cause(parent)
	case errors.Is(err, errStop):
		return nil
	case flood != nil:
		return flood
	case err != nil:
		return err
	case ctx.Err() != nil || p.overTime(lim):
		return &FileError{Timeout, fmt.Sprintf("decoding took more than %v", lim.Timeout)}
	case !told: // not one frame or sample
		return errAmbiguous
	}
	return a.finish(waitErr, p.log, name)
}

// describeTime is how long a child's description may come after its first output;
// it is written before.
const describeTime = 10 * time.Second

// learn fills a.info from the child's description of its input. It returns
// errAmbiguous when that does not settle which streams to take.
func (a *assembler) learn(ctx context.Context, log *childLog, how way) error {
	timer := time.NewTimer(describeTime)
	defer timer.Stop()
	select {
	case <-log.described:
	case <-timer.C:
		return errAmbiguous
	case <-ctx.Done():
		return &FileError{Timeout, "no description of the input"}
	}
	log.mu.Lock()
	defer log.mu.Unlock()
	pictures := 1
	if how == quickSound {
		pictures = 0
	}
	if !log.input.unambiguous(pictures) {
		return errAmbiguous
	}
	var err error
	if a.info, err = log.input.answer.info(a.cfg.Limits); err != nil {
		return err
	}
	if (a.info.Video == nil) != (pictures == 0) || a.info.Audio == nil ||
		a.frameBase > 0 && !a.info.indexed() {
		return errAmbiguous
	}
	return unfit(a.info, a.cfg, a.spans)
}
