package scenes

import (
	"context"
	"encoding/csv"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"avjepa/internal/media"
)

// findTools skips the test without ffmpeg, or fails it when AVJEPA_REQUIRE
// lists ffmpeg.
func findTools(t *testing.T) media.Tools {
	t.Helper()
	tools, err := media.Find()
	if err != nil {
		if slices.Contains(strings.Split(os.Getenv("AVJEPA_REQUIRE"), ","), "ffmpeg") {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	return tools
}

func readCSV(t *testing.T, path string) [][]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// decoded returns the clips of one file of dir, in the order of the manifest,
// with the manifest's labels checked against cfg.
func decoded(t *testing.T, tools media.Tools, dir string, cfg Config, split Split) []media.Clip {
	t.Helper()
	name := reel{split: split}.name()
	var segments []media.Segment
	for _, row := range readCSV(t, filepath.Join(dir, ManifestName))[1:] {
		if row[0] != name {
			continue
		}
		start, err1 := strconv.ParseFloat(row[3], 64)
		end, err2 := strconv.ParseFloat(row[4], 64)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		s := cfg.Scene(split, len(segments))
		if row[1] != s.Kind.String() || row[2] != string(split) {
			t.Fatalf("row %q, want label %s and split %s", row, s.Kind, split)
		}
		segments = append(segments, media.Segment{Start: start, End: end})
	}
	clips := make([]media.Clip, len(segments))
	err := tools.Decode(t.Context(), filepath.Join(dir, name),
		media.DecodeConfig{FPS: cfg.FPS, SampleRateHz: cfg.SampleRateHz, Raw: true}, segments,
		func(i int, c *media.Clip) error {
			clips[i] = *c
			return nil
		})
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range clips {
		if c.Outcome != media.Usable || len(c.Frames) != cfg.frames() ||
			len(c.Samples) != cfg.frames()*cfg.samplesPerFrame() {
			t.Fatalf("clip %d: %s (%s), %d frames, %d samples", i, c.Outcome, c.Reason,
				len(c.Frames), len(c.Samples))
		}
	}
	return clips
}

func testConfig() Config {
	cfg := Default()
	cfg.Seed, cfg.Train, cfg.HeldOut, cfg.ScenesPerFile = 77, 24, 8, 24
	return cfg
}

// A second call keeps what is there, remakes what is missing, and another
// config replaces all; videos of unknown origin are not touched.
func TestWriteResumes(t *testing.T) {
	tools := findTools(t)
	dir, cfg := t.TempDir(), testConfig()
	cfg.Train, cfg.HeldOut, cfg.ScenesPerFile, cfg.Seconds = 5, 2, 2, .4
	var calls []int
	progress := func(done, total int) {
		if total != 7 {
			t.Errorf("total %d, want 7", total)
		}
		calls = append(calls, done)
	}
	if err := Write(t.Context(), tools, dir, cfg, progress); err != nil {
		t.Fatal(err)
	}
	if !slices.IsSorted(calls) || calls[len(calls)-1] != 7 {
		t.Errorf("progress %v, want rising to 7", calls)
	}
	first := contents(t, dir)
	want := []string{"heldout-000.mp4", "scenes.csv", "scenes.json", "train-000.mp4",
		"train-001.mp4", "train-002.mp4", "truth.csv"}
	if names := sortedKeys(first); !slices.Equal(names, want) {
		t.Fatalf("files %v, want %v", names, want)
	}

	kept := filepath.Join(dir, "train-000.mp4")
	if err := os.WriteFile(kept, []byte("kept"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "train-001.mp4")); err != nil {
		t.Fatal(err)
	}
	cfg.Workers = 1
	if err := Write(t.Context(), tools, dir, cfg, nil); err != nil {
		t.Fatal(err)
	}
	second := contents(t, dir)
	if second["train-000.mp4"] != "kept" {
		t.Error("a video that was there has been made again")
	}
	if second["train-001.mp4"] != first["train-001.mp4"] {
		t.Error("the video made again has other bytes")
	}

	cfg.Seed, cfg.Train = 78, 2
	if err := Write(t.Context(), tools, dir, cfg, nil); err != nil {
		t.Fatal(err)
	}
	third := contents(t, dir)
	if third["train-000.mp4"] == "kept" || third["train-001.mp4"] != "" ||
		third["scenes.csv"] == first["scenes.csv"] {
		t.Errorf("another config left old files: %v", sortedKeys(third))
	}

	if err := os.Remove(filepath.Join(dir, configName)); err != nil {
		t.Fatal(err)
	}
	if err := Write(t.Context(), tools, dir, cfg, nil); err == nil {
		t.Error("videos of unknown origin were accepted")
	}
}

func TestWriteStops(t *testing.T) {
	tools := findTools(t)
	dir, cfg := t.TempDir(), testConfig()
	ctx, cancel := context.WithCancel(t.Context())
	err := Write(ctx, tools, dir, cfg, func(done, _ int) {
		if done == 3 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want cancelled", err)
	}
	if names := sortedKeys(contents(t, dir)); !slices.Equal(names, []string{configName}) {
		t.Errorf("files %v left, want %s alone", names, configName)
	}
}

func TestValidate(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
	cfg := Config{Side: 33, FPS: 12.5, Seconds: 3.21, GapSeconds: .08, SampleRateHz: 16001}
	err := cfg.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	if n := len(strings.Split(err.Error(), "\n")); n != 7 {
		t.Errorf("%d errors, want 7:\n%v", n, err)
	}
	for _, n := range []int{-1, maxScenes + 1, math.MaxInt} {
		cfg := Default()
		cfg.Train, cfg.HeldOut = n, n
		if cfg.Validate() == nil {
			t.Errorf("%d scenes in each split are accepted", n)
		}
	}
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(data)
	}
	return files
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
