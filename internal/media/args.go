package media

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// decodeArgs returns ffmpeg's arguments: picture on the first pipe, sound on the
// next; an empty map leaves one out. Reading begins at from, in seconds.
func decodeArgs(name string, a *assembler, from float64, video, audio string) []string {
	cfg := a.cfg
	args := []string{"-nostdin", "-hide_banner", "-nostats", "-v", "repeat+level+verbose",
		"-threads", strconv.Itoa(childThreads),
		"-ss", formatFloat(from), "-t", formatFloat(a.readSeconds() - from)}
	args = append(args, inputArgs(name, cfg.Limits)...)
	fds, outputs := []string{"pipe:1", "pipe:3"}, 0
	if video != "" {
		args = append(args, "-map", video, "-vf", videoFilters(cfg),
			"-threads", strconv.Itoa(childThreads))
		if cfg.Raw {
			args = append(args, "-c:v", "ppm", "-f", "image2pipe")
		} else {
			args = append(args, "-c:v", "mjpeg", "-qmin", "1",
				"-q:v", formatFloat(jpegScale(cfg.JPEGQuality)), "-flush_packets", "0", "-f", "mjpeg")
		}
		args = append(args, fds[outputs])
		outputs++
	}
	if audio != "" {
		args = append(args, "-map", audio, "-af", audioFilters(cfg),
			"-flush_packets", "0", "-c:a", "pcm_s16be", "-f", "au", fds[outputs])
	}
	return args
}

// videoFilters puts frames on the grid, then scales them. Rounding time stamps
// up makes the fps filter show at k/FPS the last frame that is not later; 2 ms
// less before that forgive containers that round to milliseconds. ffmpeg has
// turned the picture before.
func videoFilters(cfg DecodeConfig) string {
	filters := append([]string{
		"settb=AVTB",
		"setpts=PTS-2000",
		"fps=fps=" + formatFloat(cfg.FPS) + ":round=up:start_time=0",
	}, sizeFilters(cfg)...)
	return strings.Join(filters, ",")
}

// sizeFilters make square pixels, scale and convert to what cfg wants.
func sizeFilters(cfg DecodeConfig) []string {
	const w, h = "iw*if(sar,sar,1)", "ih"
	factor := "1"
	if cfg.ShortSide > 0 {
		factor = fmt.Sprintf("min(1,%d/min(%s,%s))", cfg.ShortSide, w, h)
	}
	scale := fmt.Sprintf("scale=w='max(1,round(%s*%s))':h='max(1,round(%s*%s))'",
		w, factor, h, factor)
	if cfg.Raw {
		return []string{scale, "setsar=1", "format=rgb24"}
	}
	// JPEG means BT.601 and the full range.
	return []string{scale + ":out_color_matrix=bt601:out_range=full", "setsar=1", "format=yuvj420p"}
}

// audioFilters resamples, with silence where the stream begins late or has holes.
// Channels stay: their mean is taken here, because ffmpeg's own downmix weighs
// the centre and drops the bass channel.
func audioFilters(cfg DecodeConfig) string {
	return fmt.Sprintf("aresample=%d:async=1:first_pts=0", cfg.SampleRateHz)
}

// jpegScale maps libjpeg's quality to the scale of ffmpeg's quantisation matrix,
// 1 to 31, at equal mean step size: 90 ↦ 3.4, 75 ↦ 8.5, 50 ↦ 17.
func jpegScale(quality int) float64 {
	q := float64(quality)
	scale := 2 - q/50
	if q < 50 {
		scale = 50 / q
	}
	return math.Min(31, math.Max(1, 16.9*scale))
}
