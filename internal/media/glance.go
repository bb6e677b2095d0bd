package media

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// Still returns one frame of a file as a JPEG file: the first that is shown at a time, in
// seconds from the file's start, or later; where there is none, the file's first. Of the
// config ShortSide, JPEGQuality and Limits are used. Unlike Decode it reads no more of the
// file than it needs, and takes the first picture stream that is no cover.
//
// A broken file, or one without a picture, is a *FileError. Other errors are ctx's and our
// own.
func (t Tools) Still(ctx context.Context, path string, at float64, cfg DecodeConfig) ([]byte, error) {
	cfg.FPS, cfg.SampleRateHz, cfg.Raw = 1, 16000, false // not used
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if !(at >= 0 && at < maxStart) {
		return nil, fmt.Errorf("media: a frame at %v s", at)
	}
	in, err := openInput(path)
	if err != nil {
		return nil, err
	}
	defer in.close()
	for _, from := range []float64{at, 0} {
		var frame []byte
		err = t.glance(ctx, in, cfg.Limits, func(name string) []string {
			args := append([]string{"-ss", formatFloat(from)}, inputArgs(name, cfg.Limits)...)
			return append(args, "-map", "0:V:0", "-frames:v", "1", "-vf",
				strings.Join(sizeFilters(cfg), ","), "-threads", strconv.Itoa(childThreads),
				"-c:v", "mjpeg", "-qmin", "1", "-q:v", formatFloat(jpegScale(cfg.JPEGQuality)),
				"-f", "mjpeg", "pipe:1")
		}, func(out *os.File) error {
			x, err := newFrameReader(out, false, cfg.Limits.MaxBytes).next()
			frame = x.frame
			return err
		})
		if frame != nil || err == nil || ctx.Err() != nil || at == 0 {
			return frame, err
		}
	}
	return nil, err
}

// Sound returns the sound of the first seconds of a file, without its picture: mono, at the
// rate, and the same samples as Decode's. A file without sound is a *FileError, NoAudio.
func (t Tools) Sound(ctx context.Context, path string, seconds float64, rateHz int, lim Limits) (
	[]int16, error) {

	cfg, err := DecodeConfig{FPS: 1, SampleRateHz: rateHz, Limits: lim}.withDefaults()
	if err != nil {
		return nil, err
	}
	if !(seconds > 0 && seconds <= cfg.Limits.MaxSeconds) {
		return nil, fmt.Errorf("media: %v s of sound are outside (0, %v]", seconds, cfg.Limits.MaxSeconds)
	}
	in, err := openInput(path)
	if err != nil {
		return nil, err
	}
	defer in.close()
	info, err := t.probe(ctx, in, cfg.Limits)
	if err != nil {
		return nil, err
	}
	_, stream := info.maps()
	if stream == "" {
		return nil, &FileError{NoAudio, "no sound in it"}
	}
	most := int(seconds * float64(rateHz))
	var samples []int16
	err = t.glance(ctx, in, cfg.Limits, func(name string) []string {
		args := append([]string{"-ss", "0", "-t", formatFloat(seconds)}, inputArgs(name, cfg.Limits)...)
		return append(args, "-map", stream, "-af", audioFilters(cfg), "-c:a", "pcm_s16be", "-f", "au",
			"pipe:1")
	}, func(out *os.File) error {
		var broken error
		readSamples(out, func(x piece) bool {
			samples = append(samples, x.samples...)
			if x.err != nil && x.err != io.EOF {
				broken = x.err
			}
			return len(samples) < most
		})
		if len(samples) > 0 { // what there is can be heard
			broken = nil
		}
		return broken
	})
	if err == nil && len(samples) == 0 {
		err = &FileError{Corrupt, "no sound could be decoded"}
	}
	return samples[:min(len(samples), most)], err
}

// glance runs ffmpeg once and has read take what it needs of its output.
func (t Tools) glance(parent context.Context, in *input, lim Limits, args func(name string) []string,
	read func(out *os.File) error) error {

	ctx, cancel := context.WithTimeoutCause(parent, lim.Timeout, errOverTime)
	defer cancel()
	name, files := in.forChild(1)
	all := append([]string{"-nostdin", "-hide_banner", "-nostats", "-v", "repeat+level+error",
		"-threads", strconv.Itoa(childThreads)}, args(name)...)
	p, err := start(ctx, t.FFmpeg, all, lim, 0, 1, files...)
	if err != nil {
		return fmt.Errorf("media: %w", err)
	}
	err = read(p.outputs[0])
	waitErr := p.wait()
	flood := p.log.tooMuch(lim.MaxLogBytes)
	var broken *FileError
	switch {
	case parent.Err() != nil:
		return context.Cause(parent)
	case err == nil:
		return nil
	case ctx.Err() != nil || p.overTime(lim):
		return &FileError{Timeout, fmt.Sprintf("decoding took more than %v", lim.Timeout)}
	case flood != nil:
		return flood
	case errors.As(err, &broken):
		return broken
	}
	return refusal(p.log, name, waitErr)
}
