package dataset

import (
	"bytes"
	"context"
	"fmt"
	"image/jpeg"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"avjepa/internal/manifest"
	"avjepa/internal/media"
	"avjepa/internal/store"
)

// sharedData is where test media lie beside a checkout, when they do.
const sharedData = "../../../shared/data"

func realTools(t testing.TB) media.Tools {
	tools, err := media.Find()
	if err != nil {
		skip(t, "ffmpeg", err.Error())
	}
	if _, err := os.Stat(sharedData); err != nil {
		skip(t, "shared", "no test media: "+err.Error())
	}
	return tools
}

// With the real decoder, stored clips hold whole pictures and sound of one
// length, and every broken file is left out with a reason.
func TestIngestWithFFmpeg(t *testing.T) {
	tools := realTools(t)
	clips, err := filepath.Glob(filepath.Join(sharedData, "clips/grid_s1/b*a.mp4"))
	if err != nil || len(clips) == 0 {
		t.Fatalf("no clips (%v)", err)
	}
	args := clips[:min(2, len(clips))]
	for _, name := range []string{"-dash-name-1x1.mp4", "audio_late_0.8s.mkv", "base_ok.mp4",
		"html_error_page.mp4", "no_video.m4a", "trunc_4k.mp4", "zero_bytes.mp4",
		"vfr phone (name with spaces).mp4", "theora_noaudio_crop.ogv"} {
		args = append(args, filepath.Join(sharedData, "odd", name))
	}
	entries := sources(t, args...)
	cfg := DefaultIngestConfig()
	cfg.Dir, cfg.Entries, cfg.Decoder = t.TempDir(), entries, tools
	cfg.Settings.ShortSide = 64
	cfg.Settings.Keep = []media.Outcome{media.Usable, media.NoVideo, media.NoAudio}
	sum, err := Ingest(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	set, err := Open(cfg.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if set.Len() != sum.Clips || sum.Clips+len(sum.LeftOut) < len(entries) || sum.Clips < 4 {
		t.Errorf("%d clips in the set, %d kept and %d left out of %d entries",
			set.Len(), sum.Clips, len(sum.LeftOut), len(entries))
	}
	for _, l := range sum.LeftOut {
		if l.Reason == "" {
			t.Errorf("%s: %s without a reason", l.Key, l.Outcome)
		}
	}
	var c Clip
	for i := range set.Len() {
		if err := set.Read(context.Background(), i, &c); err != nil {
			t.Error(err)
			continue
		}
		for k, frame := range c.Frames {
			h, err := jpeg.DecodeConfig(bytes.NewReader(frame))
			if err != nil || h.Width != c.Width || h.Height != c.Height {
				t.Errorf("%s frame %d: %d×%d, want %d×%d (%v)",
					c.Key, k, h.Width, h.Height, c.Width, c.Height, err)
				break
			}
		}
		sound := float64(c.SampleCount) / float64(max(1, c.SampleRateHz))
		picture := float64(c.FrameCount) / max(1, c.FPS)
		if d := sound - picture; c.HasAudio() && c.HasVideo() && !(d > -0.2 && d < 0.2) {
			t.Errorf("%s: %v s of sound, %v s of picture", c.Key, sound, picture)
		}
	}
}

// Of films of one speaker before one wall only those are near duplicates that are one
// recording, encoded at half the size into another container and begun 0.3 s later.
func TestDuplicatesOfRealFilms(t *testing.T) {
	tools := realTools(t)
	films, err := filepath.Glob(filepath.Join(sharedData, "clips/grid_s1/b*a.mp4"))
	if err != nil || len(films) < 8 {
		t.Fatalf("%d films (%v)", len(films), err)
	}
	src := t.TempDir()
	films, again := films[:8], films[:3]
	for _, film := range again {
		out, err := exec.Command(tools.FFmpeg, "-v", "error", "-ss", "0.3", "-i", "file:"+film,
			"-vf", "scale=iw/2:ih/2", "-c:v", "mpeg4", "-b:v", "200k", "-c:a", "aac", "-b:a", "48k",
			"file:"+filepath.Join(src, "again-"+strings.TrimSuffix(filepath.Base(film), ".mp4")+".mkv")).CombinedOutput()
		if err != nil {
			t.Fatalf("ffmpeg: %v\n%s", err, out)
		}
	}
	cfg := DefaultIngestConfig()
	cfg.Dir, cfg.Entries, cfg.Decoder = t.TempDir(), sources(t, append(films, src)...), tools
	cfg.Settings.ShortSide = 112
	sum, err := Ingest(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	at, err := store.Open(t.Context(), cfg.Dir, store.Config{Retry: -1})
	if err != nil {
		t.Fatal(err)
	}
	read, err := ReadDuplicates(t.Context(), at)
	if err != nil || len(read) != len(sum.Duplicates) || len(sum.Duplicates) != len(again) {
		t.Fatalf("%d pairs, %d in the file, want %d (%v)", len(sum.Duplicates), len(read), len(again), err)
	}
	for _, d := range sum.Duplicates {
		if d.Key != "again-"+d.Other {
			t.Errorf("%+v", d)
		}
	}
	if len(sum.Flags) > 0 {
		t.Errorf("flags %v", sum.Flags)
	}
}

// BenchmarkIngest reports clips per second for 3-second clips of 224 pixels at
// short side 112, and the same for the decoder alone.
func BenchmarkIngest(b *testing.B) {
	tools := realTools(b)
	list, err := manifest.Read([]string{filepath.Join(sharedData, "clips/grid_s1")},
		manifest.Options{})
	if err != nil {
		b.Fatal(err)
	}
	cfg := DefaultIngestConfig()
	cfg.Entries, cfg.Decoder = list.Entries, tools
	cfg.Settings.ShortSide = 112
	for b.Loop() {
		cfg.Dir = filepath.Join(b.TempDir(), "set")
		start := time.Now()
		sum, err := Ingest(b.Context(), cfg)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(sum.Clips)/time.Since(start).Seconds(), "clips/s")
		b.ReportMetric(float64(sum.Bytes)/float64(sum.Clips), "B/clip")
		if len(sum.LeftOut) > 0 {
			b.Log(fmt.Sprint(sum.Outcomes))
		}
	}
}
