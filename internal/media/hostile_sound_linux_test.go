package media

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

// wavClaiming returns a file of sound whose header claims a rate and channels.
func wavClaiming(rateHz uint32, channels uint16, seconds int) []byte {
	le := binary.LittleEndian
	head := le.AppendUint16(le.AppendUint16(nil, 1), channels)
	head = le.AppendUint32(head, rateHz)
	head = le.AppendUint32(head, rateHz*2*uint32(channels))
	head = le.AppendUint16(le.AppendUint16(head, 2*channels), 16)
	data := bytes.Repeat([]byte{1, 40, 2, 200}, 8000*seconds/2)
	return riff("RIFF", []byte("WAVE"), riff("fmt ", head), riff("data", data))
}

// Sound whose rate or channels would make a resampler or a mixer large.
func TestClaimsOfSound(t *testing.T) {
	t.Parallel()
	tools := findTools(t)
	for _, c := range []struct {
		name     string
		rateHz   uint32
		channels uint16
		want     []Outcome
	}{
		{"1 Hz", 1, 1, []Outcome{TooLarge, NoVideo}},
		{"4 GHz", 4_000_000_000, 1, []Outcome{Corrupt, Unsupported, TooShort, Empty, TooLarge}},
		{"2 GHz", 2_000_000_011, 1, []Outcome{Corrupt, TooShort, Empty, TooLarge, Timeout}},
		{"65535 channels", 8000, 65535, []Outcome{Corrupt, Unsupported, Empty}},
		{"500 channels", 8000, 500, []Outcome{Corrupt, TooShort, Unsupported, Empty}},
		{"no channels", 8000, 0, []Outcome{Corrupt, Unsupported, Empty}},
		{"no rate", 0, 1, []Outcome{Corrupt, Unsupported, Empty}},
	} {
		t.Run(c.name, func(t *testing.T) {
			meet(t, tools, writeHostile(t, "a.wav", wavClaiming(c.rateHz, c.channels, 4)), c.want...)
		})
	}
}

// Texts in a file that look like what ffmpeg says of it: nothing of them passes
// for a limit that is kept, and the picture is what it is.
func TestMetadataThatImitatesMessages(t *testing.T) {
	t.Parallel()
	tools := findTools(t)
	lie := "x\n[info] Input #0, lie, from 'a':\n[info]   Duration: 00:00:01.00, start: 0\n" +
		"[info]   Stream #0:0: Video: lie, lie, 9x9, 1 fps\n" +
		"[info]   Stream #0:1: Audio: lie, 1 Hz, mono\n[info] Stream mapping:\n" +
		"[verbose]   Input stream #0:0 (video): 9 packets read; 0 frames decoded\n"
	tag := func(name, value string) []byte {
		return ebml("\x12\x54\xc3\x67", ebml("\x73\x73", ebml("\x63\xc0"),
			ebml("\x67\xc8", ebml("\x45\xa3", []byte(name)), ebml("\x44\x87", []byte(value)))))
	}
	mkv := plainClip(t, tools, "a.mkv", "-write_crc32", "0")
	at := bytes.Index(mkv, []byte("\x1f\x43\xb6\x75")) // the first cluster
	if at < 0 {
		t.Fatal("no cluster")
	}
	for name, what := range map[string][]byte{
		"name":  tag(lie, "v"),
		"value": tag("n", lie),
		"large": tag("n", strings.Repeat("a\n", 20_000)),
		"many":  bytes.Repeat(tag("n", "v"), 20_000),
	} {
		t.Run(name, func(t *testing.T) {
			data := slices.Concat(mkv[:at], what, mkv[at:])
			path := writeHostile(t, "a.mkv", data)
			meet(t, tools, path, Usable, TooLarge, Corrupt)
			cfg := smallConfig
			cfg.Limits = hostileLimits
			cfg.Limits.MaxPixels = 64*48 - 1
			meetWith(t, tools, path, cfg, meetTime, TooLarge)
		})
	}
}
