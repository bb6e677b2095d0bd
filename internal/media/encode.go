package media

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// EncodeConfig says how Encode writes. Width and Height must be even and
// positive, FPS positive, SampleRateHz positive when there is sound.
type EncodeConfig struct {
	Width, Height int
	FPS           float64
	SampleRateHz  int
	CRF           int    // x264's quality, 0 means 23; lower is better
	Preset        string // x264's, "" means "veryfast"
	AudioBitrate  int    // bits/s, 0 means 64000
	KeyFrames     int    // frames from one key frame to the next, 0: where x264 likes
	FastAudio     bool   // ffmpeg's fast AAC search: 2.6 times as fast, a little larger
}

func (c EncodeConfig) validate(frames, samples int) error {
	switch {
	case c.Width <= 0 || c.Height <= 0 || c.Width%2 != 0 || c.Height%2 != 0:
		return fmt.Errorf("media: encode size %d × %d; both must be positive and even "+
			"(chroma has half the resolution)", c.Width, c.Height)
	case !(c.FPS > 0 && c.FPS <= 1000):
		return fmt.Errorf("media: encode rate %v frames/s is outside (0, 1000]", c.FPS)
	case samples > 0 && (c.SampleRateHz < 7350 || c.SampleRateHz > 96000):
		return fmt.Errorf("media: encode rate %d Hz is outside AAC's 7350…96000", c.SampleRateHz)
	case c.CRF < 0 || c.CRF > 51:
		return fmt.Errorf("media: encode CRF %d is outside 0…51", c.CRF)
	case frames <= 0:
		return fmt.Errorf("media: encode %d frames; at least one is needed", frames)
	}
	return nil
}

// Encode writes an MP4 with H.264 (yuv420p) and, unless samples is empty, AAC,
// its index in front. frame(i, rgb) fills frame i in [0, frames), called in order
// on one goroutine; rgb has Width·Height·3 bytes and is reused. samples are mono.
//
// The same input gives the same bytes with the same ffmpeg. The file is written
// beside path under another name, synced and renamed, so path is whole or as it
// was. Errors: a bad config, frame's error, ctx's, ffmpeg's with its last words.
func (t Tools) Encode(ctx context.Context, path string, cfg EncodeConfig, frames int,
	frame func(i int, rgb []byte) error, samples []int16) error {

	if err := cfg.validate(frames, len(samples)); err != nil {
		return err
	}
	return whole(path, ".encode-*.mp4", func(temporary string) error {
		return t.encode(ctx, path, temporary, cfg, frames, frame, samples)
	})
}

// whole gives write the name of an empty file beside path, which becomes path when
// write was successful and is removed when it was not.
func whole(path, pattern string, write func(temporary string) error) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("media: %w", err)
	}
	temporary, err := os.CreateTemp(filepath.Dir(abs), pattern)
	if err != nil {
		return fmt.Errorf("media: %w", err)
	}
	defer os.Remove(temporary.Name())
	defer temporary.Close()
	if err := write(temporary.Name()); err != nil {
		return err
	}
	if err := temporary.Chmod(0o644); err != nil {
		return fmt.Errorf("media: %w", err)
	}
	if err := temporary.Sync(); err != nil {
		return fmt.Errorf("media: %w", err)
	}
	if err := os.Rename(temporary.Name(), abs); err != nil {
		return fmt.Errorf("media: %w", err)
	}
	return nil
}

// encode runs ffmpeg into temporary; path is for errors.
func (t Tools) encode(ctx context.Context, path, temporary string, cfg EncodeConfig, frames int,
	frame func(i int, rgb []byte) error, samples []int16) error {

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	inputs := 1
	if len(samples) > 0 {
		inputs = 2
	}
	p, err := start(ctx, t.FFmpeg, cfg.args(temporary, inputs == 2),
		Limits{Timeout: encodeTimeout}, inputs, 1)
	if err != nil {
		return fmt.Errorf("media: %w", err)
	}
	// ffmpeg decides which input it wants next, so each is fed on its own.
	sound := make(chan error, 1)
	go func() {
		if inputs == 2 {
			sound <- writeSamples(p.inputs[1], samples)
			return
		}
		sound <- nil
	}()
	pictureErr, writeErr := writeFrames(p.inputs[0], cfg, frames, frame)
	if pictureErr != nil {
		cancel()
	}
	soundErr := <-sound
	// Inputs are closed by their writers; an answer on stdout means the end.
	_, _ = readBounded(p.outputs[0], 1)
	waitErr := p.wait()
	switch {
	case pictureErr != nil:
		return pictureErr
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case waitErr != nil || writeErr != nil || soundErr != nil:
		return fmt.Errorf("media: encoding %s: %w: %s", path,
			firstError(waitErr, writeErr, soundErr), p.log.complaint())
	}
	return nil
}

func (c EncodeConfig) args(output string, sound bool) []string {
	crf, preset, bitrate := c.CRF, c.Preset, c.AudioBitrate
	if crf == 0 {
		crf = 23
	}
	if preset == "" {
		preset = "veryfast"
	}
	if bitrate == 0 {
		bitrate = 64000
	}
	args := []string{"-hide_banner", "-nostats", "-v", "error", "-y",
		"-f", "rawvideo", "-pixel_format", "rgb24",
		"-video_size", fmt.Sprintf("%dx%d", c.Width, c.Height),
		"-framerate", formatFloat(c.FPS), "-i", "pipe:0"}
	if sound {
		// The inputs' descriptors follow those of the outputs (1).
		args = append(args, "-f", "s16le", "-ar", strconv.Itoa(c.SampleRateHz), "-ac", "1",
			"-i", "pipe:3")
	}
	args = append(args, "-map", "0:v", "-c:v", "libx264", "-preset", preset,
		"-crf", strconv.Itoa(crf), "-pix_fmt", "yuv420p", "-threads", "1")
	if c.KeyFrames > 0 {
		args = append(args, "-g", strconv.Itoa(c.KeyFrames), "-sc_threshold", "0")
	}
	if sound {
		args = append(args, "-map", "1:a", "-c:a", "aac", "-b:a", strconv.Itoa(bitrate))
		if c.FastAudio {
			args = append(args, "-aac_coder", "fast")
		}
	}
	return append(args, "-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact",
		"-flags:a", "+bitexact", "-movflags", "+faststart", "-f", "mp4", "file:"+output)
}

// writeFrames feeds all frames and closes w. The first error is the caller's (of
// frame), the second ffmpeg's (of w).
func writeFrames(w *os.File, cfg EncodeConfig, frames int,
	frame func(i int, rgb []byte) error) (frameErr, writeErr error) {

	defer w.Close()
	rgb := make([]byte, cfg.Width*cfg.Height*3)
	for i := range frames {
		if err := frame(i, rgb); err != nil {
			return err, nil
		}
		if _, err := w.Write(rgb); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func writeSamples(w *os.File, samples []int16) error {
	defer w.Close()
	buffered := bufio.NewWriterSize(w, 64<<10)
	if err := binary.Write(buffered, binary.LittleEndian, samples); err != nil {
		return err
	}
	return buffered.Flush()
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func formatFloat(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }
