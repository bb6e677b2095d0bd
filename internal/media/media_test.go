package media

import (
	"bytes"
	"context"
	"image/jpeg"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// missing skips a test for want of a tool or of data, or fails it when
// AVJEPA_REQUIRE lists the thing.
func missing(t testing.TB, thing, reason string) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("AVJEPA_REQUIRE"), ","), thing) {
		t.Fatalf("%s is required but missing: %s", thing, reason)
	}
	t.Skipf("%s: %s", thing, reason)
}

func findTools(t testing.TB) Tools {
	t.Helper()
	tools, err := Find()
	if err != nil {
		missing(t, "ffmpeg", err.Error())
	}
	return tools
}

// sharedFile returns the path of a file or folder of the shared data.
func sharedFile(t testing.TB, elem ...string) string {
	t.Helper()
	path := filepath.Join(append([]string{"..", "..", "..", "shared", "data"}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		missing(t, "shared", err.Error())
	}
	return path
}

// decodeWhole decodes a file as one segment.
func decodeWhole(t testing.TB, tools Tools, path string, cfg DecodeConfig) *Clip {
	t.Helper()
	var clip *Clip
	err := tools.Decode(context.Background(), path, cfg, []Segment{{}}, func(i int, c *Clip) error {
		if clip != nil || i != 0 {
			t.Errorf("segment %d yielded again", i)
		}
		clip = c
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if clip == nil {
		t.Fatal("nothing yielded")
	}
	return clip
}

func jpegSize(t testing.TB, data []byte) (width, height int) {
	t.Helper()
	c, err := jpeg.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return c.Width, c.Height
}
