// Package servertest has a library, a model and runs for tests of the server and of its
// pages. They are small, made in memory, and know something: clips are of eight kinds, a
// kind has a colour and a pitch, and the model finds the pictures of a colour by the sound
// of its pitch.
//
//	s := servertest.New(t, nil)
//	web := httptest.NewServer(s.Handler())
package servertest

import (
	"os"
	"slices"
	"strings"
	"testing"

	"avjepa/internal/media"
	"avjepa/internal/server"
)

// Tools are ffmpeg's, or the test is left out, or fails where AVJEPA_REQUIRE has ffmpeg.
func Tools(t testing.TB) media.Tools {
	t.Helper()
	found, err := media.Find()
	if err != nil {
		if slices.Contains(strings.Split(os.Getenv("AVJEPA_REQUIRE"), ","), "ffmpeg") {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	return found
}

// Clips is how many clips the library of New has.
const Clips = 120

// New returns a server with a library, a model and two runs, which is closed when the test
// ends. change may change its configuration first.
func New(t testing.TB, change func(*server.Config)) *server.Server {
	t.Helper()
	runs := t.TempDir()
	WriteRun(t, runs, "first", 300)
	WriteRun(t, runs, "second", 40)
	WriteSamples(t, runs, "first", []string{"a", "b", "c", "d", "e", "f"}, 100, 200, 300)
	cfg := server.Config{Library: NewLibrary(Clips), Model: &Model{Tools: Tools(t)},
		Explainer: Explainer{}, Tools: Tools(t), RunsDir: runs, Dir: t.TempDir(), Version: "test",
		Hosts: server.LoopbackHosts}
	if change != nil {
		change(&cfg)
	}
	s, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}
