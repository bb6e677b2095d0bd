package media

import (
	"context"
	"path/filepath"
	"reflect"
	"testing"
)

// TestSoundsTakeOneChild decodes files of sound alone without asking ffprobe, and gives
// what it gives when ffprobe is asked. A file that begins like a sound and has a picture
// is decoded with it.
func TestSoundsTakeOneChild(t *testing.T) {
	tools := findTools(t)
	dir := t.TempDir()
	cover := filepath.Join(dir, "cover.png")
	ffmpeg(t, tools, "-f", "lavfi", "-i", "color=red:s=64x64", "-frames:v", "1", cover)
	sine := []string{"-f", "lavfi", "-i", "sine=440:r=44100:d=1.3"}
	picture := []string{"-f", "lavfi", "-i", "testsrc=s=64x48:d=1.3:r=25"}
	for name, c := range map[string]struct {
		args  []string
		probe bool // ffprobe has to be asked
		video bool
	}{
		"a.wav":         {args: sine},
		"stereo.wav":    {args: append(sine, "-ac", "2")},
		"a.flac":        {args: sine},
		"a.aiff":        {args: sine},
		"vorbis.ogg":    {args: append(sine, "-c:a", "vorbis", "-strict", "-2", "-ac", "2")},
		"opus.ogg":      {args: append(sine, "-c:a", "opus", "-strict", "-2", "-ar", "48000")},
		"a.m4a":         {args: sine},
		"bare.mp3":      {args: append(sine, "-id3v2_version", "0", "-write_xing", "0")},
		"tagged.mp3":    {args: sine},
		"cover.mp3":     {args: append(sine, "-i", cover, "-map", "0", "-map", "1")},
		"two.m4a":       {args: append(sine, "-map", "0", "-map", "0"), probe: true},
		"picture.m4a":   {args: append(append([]string{}, picture...), append(sine, "-f", "mp4", "-brand", "M4A ")...), video: true, probe: true},
		"no magic.webm": {args: append(sine, "-c:a", "opus", "-strict", "-2", "-ar", "48000"), probe: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(dir, name)
			ffmpeg(t, tools, append(append([]string{}, c.args...), path)...)
			cfg := DecodeConfig{ShortSide: 48, FPS: 12.5, SampleRateHz: 16000, MinSeconds: 0.5}
			blind := tools
			blind.FFprobe = filepath.Join(dir, "none")
			got, err := decodeOne(blind, path, cfg)
			if (err != nil) != c.probe {
				t.Fatalf("without ffprobe: %v", err)
			}
			if c.probe {
				if got, err = decodeOne(tools, path, cfg); err != nil {
					t.Fatal(err)
				}
			}
			if !got.HasAudio || got.HasVideo != c.video || !(got.AudioSeconds >= 1.29 && got.AudioSeconds < 1.4) {
				t.Fatalf("%s: sound %v of %v s, picture %v", got.Outcome, got.HasAudio, got.AudioSeconds,
					got.HasVideo)
			}
			want := probedClip(t, tools, path, cfg)
			sameInfo(t, got.Info, want.Info)
			if got.Outcome != want.Outcome || got.Reason != want.Reason || got.Seconds != want.Seconds ||
				!reflect.DeepEqual(got.Samples, want.Samples) || !reflect.DeepEqual(got.Frames, want.Frames) {
				t.Errorf("%s %q %v s, %d samples; asked ffprobe first: %s %q %v s, %d", got.Outcome, got.Reason,
					got.Seconds, len(got.Samples), want.Outcome, want.Reason, want.Seconds, len(want.Samples))
			}
		})
	}
}

func decodeOne(tools Tools, path string, cfg DecodeConfig) (clip *Clip, err error) {
	err = tools.Decode(context.Background(), path, cfg, []Segment{{}}, func(_ int, c *Clip) error {
		clip = c
		return nil
	})
	return clip, err
}

// probedClip decodes a file by what ffprobe says of it.
func probedClip(t *testing.T, tools Tools, path string, cfg DecodeConfig) (clip *Clip) {
	t.Helper()
	cfg, err := cfg.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	spans, err := spansOf([]Segment{{}}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	in, err := openInput(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.close()
	a := &assembler{cfg: cfg, spans: spans, yield: func(_ int, c *Clip) error {
		clip = c
		return nil
	}}
	if a.info, err = tools.probe(context.Background(), in, cfg.Limits); err != nil {
		t.Fatal(err)
	}
	if err := tools.decodeStreams(context.Background(), in, a, probedFirst); err != nil {
		t.Fatal(err)
	}
	return clip
}
