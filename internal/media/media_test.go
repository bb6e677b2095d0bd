package media

import (
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
