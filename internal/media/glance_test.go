package media

import (
	"bytes"
	"context"
	"errors"
	"image"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestGlance compares a frame and the sound of files, each alone, with what Decode gives.
func TestGlance(t *testing.T) {
	tools := findTools(t)
	cfg := DecodeConfig{ShortSide: 144, FPS: 25, SampleRateHz: 16000}
	for _, elem := range [][]string{{"clips", "grid_s1", "bbaf2n.mp4"}, {"odd", "audio_late_0.8s.mkv"},
		{"odd", "mpeg1_ps_mp2.mpg"}, {"odd", "rot90_noaudio_0.1s.mov"}, {"odd", "no_video.m4a"},
		{"odd", "multistream_2v2a2s.mp4"}} {
		path := sharedFile(t, elem...)
		want := decodeWhole(t, tools, path, cfg)
		samples, err := tools.Sound(t.Context(), path, 60, cfg.SampleRateHz, Limits{})
		var broken *FileError
		switch {
		case !want.HasAudio:
			if !errors.As(err, &broken) || broken.Outcome != NoAudio {
				t.Errorf("%s: sound of none: %v", elem, err)
			}
		case err != nil:
			t.Errorf("%s: %v", elem, err)
		case len(samples) == 0 || !slices.Equal(samples, want.Samples[:min(len(samples), len(want.Samples))]):
			t.Errorf("%s: %d samples are not Decode's %d", elem, len(samples), len(want.Samples))
		}
		frame, err := tools.Still(t.Context(), path, want.Seconds/2, cfg)
		if !want.HasVideo {
			if !errors.As(err, &broken) {
				t.Errorf("%s: a frame of none: %v", elem, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", elem, err)
			continue
		}
		got, _, err := image.Decode(bytes.NewReader(frame))
		if err != nil {
			t.Errorf("%s: %v", elem, err)
			continue
		}
		least := 255.0 // to the frame that is nearest
		for _, f := range want.Frames {
			least = min(least, differ(t, got, f))
		}
		if !(least < 2) {
			t.Errorf("%s: the frame is %.1f from any that Decode gives", elem, least)
		}
	}
}

// differ is the mean distance of luma between a picture and a JPEG, 255 if sizes differ.
func differ(t *testing.T, a image.Image, data []byte) float64 {
	t.Helper()
	b, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if a.Bounds() != b.Bounds() {
		return 255
	}
	x, y := a.(*image.YCbCr), b.(*image.YCbCr)
	sum := 0.0
	for i := range x.Y {
		sum += float64(max(x.Y[i], y.Y[i]) - min(x.Y[i], y.Y[i]))
	}
	return sum / float64(len(x.Y))
}

// TestGlanceAtAnything looks at files that are none, ends where there is no more, and asks
// for what cannot be.
func TestGlanceAtAnything(t *testing.T) {
	tools := findTools(t)
	cfg := DecodeConfig{ShortSide: 64}
	junk := filepath.Join(t.TempDir(), "junk.mp4")
	if err := os.WriteFile(junk, bytes.Repeat([]byte("junk"), 5000), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{junk, filepath.Join(t.TempDir(), "nothing.mp4")} {
		var broken *FileError
		if _, err := tools.Still(t.Context(), path, 1, cfg); !errors.As(err, &broken) {
			t.Errorf("a frame of %s: %v", filepath.Base(path), err)
		}
		if _, err := tools.Sound(t.Context(), path, 1, 16000, Limits{}); !errors.As(err, &broken) {
			t.Errorf("the sound of %s: %v", filepath.Base(path), err)
		}
	}
	path := sharedFile(t, "clips", "grid_s1", "bbaf2n.mp4")
	first, err := tools.Still(t.Context(), path, 0, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if late, err := tools.Still(t.Context(), path, 500, cfg); err != nil || !bytes.Equal(late, first) {
		t.Errorf("behind the end: %d bytes, not the first frame (%v)", len(late), err)
	}
	if got, err := tools.Sound(t.Context(), path, .5, 8000, Limits{}); err != nil || len(got) != 4000 {
		t.Errorf("half a second: %d samples, %v", len(got), err)
	}
	if _, err := tools.Still(t.Context(), path, -1, cfg); err == nil {
		t.Error("a frame before the start")
	}
	if _, err := tools.Sound(t.Context(), path, 700, 16000, Limits{}); err == nil {
		t.Error("more sound than is allowed")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tools.Still(ctx, path, 0, cfg); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
