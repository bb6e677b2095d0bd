package media

import (
	"context"
	"fmt"
	"strconv"
)

// EncodeSound writes mono samples as AAC in an MP4 file (.m4a), its index in front, at
// about bitrate bits a second. What holds for Encode's file holds for this one.
func (t Tools) EncodeSound(ctx context.Context, path string, sampleRateHz, bitrate int,
	samples []int16) error {

	switch {
	case len(samples) == 0:
		return fmt.Errorf("media: encode no sample; at least one is needed")
	case sampleRateHz < 7350 || sampleRateHz > 96000:
		return fmt.Errorf("media: encode rate %d Hz is outside AAC's 7350…96000", sampleRateHz)
	case bitrate < 8000 || bitrate > 512000:
		return fmt.Errorf("media: encode bitrate %d is outside 8000…512000 bits/s", bitrate)
	}
	return whole(path, ".encode-*.m4a", func(temporary string) error {
		args := []string{"-hide_banner", "-nostats", "-v", "error", "-y",
			"-f", "s16le", "-ar", strconv.Itoa(sampleRateHz), "-ac", "1", "-i", "pipe:0",
			"-map", "0:a", "-c:a", "aac", "-b:a", strconv.Itoa(bitrate), "-aac_coder", "fast",
			"-map_metadata", "-1", "-fflags", "+bitexact", "-flags:a", "+bitexact",
			"-movflags", "+faststart", "-f", "mp4", "file:" + temporary}
		p, err := start(ctx, t.FFmpeg, args, Limits{Timeout: encodeTimeout}, 1, 1)
		if err != nil {
			return fmt.Errorf("media: %w", err)
		}
		writeErr := writeSamples(p.inputs[0], samples)
		_, _ = readBounded(p.outputs[0], 1)
		waitErr := p.wait()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := firstError(waitErr, writeErr); err != nil {
			return fmt.Errorf("media: encoding %s: %w: %s", path, err, p.log.complaint())
		}
		return nil
	})
}
