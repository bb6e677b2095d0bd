package media

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// ErrNoFFmpeg is returned by Find when ffmpeg or ffprobe is not on the PATH.
var ErrNoFFmpeg = errors.New("media: ffmpeg and ffprobe not found on the PATH; install them: " +
	"apt install ffmpeg (Debian, Ubuntu), dnf install ffmpeg-free (Fedora), " +
	"brew install ffmpeg (macOS)")

// Tools are the paths of the two programs.
type Tools struct{ FFmpeg, FFprobe string }

// Find looks both programs up on the PATH. Its error wraps ErrNoFFmpeg.
func Find() (Tools, error) {
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		return Tools{}, fmt.Errorf("%w (%v)", ErrNoFFmpeg, err)
	}
	ffprobe, err := exec.LookPath("ffprobe")
	if err != nil {
		return Tools{}, fmt.Errorf("%w (%v)", ErrNoFFmpeg, err)
	}
	return Tools{FFmpeg: ffmpeg, FFprobe: ffprobe}, nil
}

// Version returns ffmpeg's version, such as "5.1.9-0+deb12u1". It fails when
// the program does not start or does not answer like ffmpeg.
func (t Tools) Version(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	p, err := start(ctx, t.FFmpeg, []string{"-hide_banner", "-version"}, DefaultLimits(), 0, 1)
	if err != nil {
		return "", fmt.Errorf("media: %w", err)
	}
	out, _ := readBounded(p.outputs[0], 64<<10)
	err = p.wait()
	if err != nil {
		return "", fmt.Errorf("media: %s -version: %w", t.FFmpeg, err)
	}
	fields := strings.Fields(string(out))
	if len(fields) < 3 || fields[0] != "ffmpeg" || fields[1] != "version" {
		return "", fmt.Errorf("media: %s -version answered %.40q, not a version of ffmpeg",
			t.FFmpeg, out)
	}
	return fields[2], nil
}
