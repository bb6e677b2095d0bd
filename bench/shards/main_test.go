package main

import (
	"path/filepath"
	"testing"

	"avjepa/internal/dataset"
)

// The clips open as a data set, and weigh what films of their size do.
func TestShards(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "set")
	if err := run(dir, 2, 224, 224); err != nil {
		t.Fatal(err)
	}
	set, err := dataset.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if set.Len() != 2 {
		t.Fatalf("%d clips, want 2", set.Len())
	}
	for i := range set.Len() {
		c := set.Info(i)
		if c.FrameCount != 80 || c.Width != 224 || c.SampleCount != 160_000 {
			t.Errorf("clip %s: %d frames %d wide, %d samples", c.Key, c.FrameCount, c.Width,
				c.SampleCount)
		}
		// Mixed films: 9.3 kB a frame in the mean, 3.9 to 18.5 by clip.
		if frame := float64(c.Bytes-2*int64(c.SampleCount)) / 80; !(frame > 7000 && frame < 12000) {
			t.Errorf("clip %s: %.0f bytes a frame", c.Key, frame)
		}
	}
}

func TestShardsRefuse(t *testing.T) {
	if run("", 2, 224, 224) == nil || run(t.TempDir(), 0, 224, 224) == nil ||
		run(t.TempDir(), 1, 8, 224) == nil {
		t.Error("no folder, no clip or no picture is accepted")
	}
}
