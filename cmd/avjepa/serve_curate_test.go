package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"avjepa/internal/encoder/encodertest"
	"avjepa/internal/media"
	"avjepa/internal/server/browsertest"
)

// TestServeCurate indexes a film twice under two names beside others and a file that is
// none, and asks for the pair, for what was left out, and for glances at a clip.
func TestServeCurate(t *testing.T) {
	needsFFmpeg(t)
	dir, films := t.TempDir(), t.TempDir()
	// Made-up films are too plain to be told from each other.
	text, err := os.ReadFile("../../../shared/data/clips/misc/bear_zoo.mp4")
	if err != nil {
		if browsertest.Required("shared") {
			t.Fatalf("AVJEPA_REQUIRE has shared: %v", err)
		}
		t.Skip(err)
	}
	writeFile(t, string(text), films, "a.mp4")
	writeFile(t, string(text), films, "b.mp4")
	writeFile(t, "no film", films, "c.mp4")
	s := serve(t, dir, "--model", encodertest.Save(t), "--library", filepath.Join(dir, "library"))
	_, job := s.post("/v1/library/index", map[string]string{"folder": films})
	for range 600 {
		if _, job = s.do("GET", "/v1/jobs/"+job["id"].(string), "", nil); job["finished"] != nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if job["state"] != "done" || number(t, job, "result.added") != 2 {
		t.Fatalf("job: %v: %s", job, s.errs)
	}
	for _, query := range []string{"", "?clip=1", "?clip=2"} {
		_, page := s.do("GET", "/v1/duplicates"+query, "", nil)
		items, _ := page["items"].([]any)
		if len(items) != 1 {
			t.Errorf("duplicates%s: %v", query, page)
			continue
		}
		pair := items[0].(map[string]any)
		for _, c := range pair["clips"].([]any) {
			if got := c.(map[string]any)["size_bytes"]; got != float64(len(text)) {
				t.Errorf("a clip of %v bytes, its file has %d", got, len(text))
			}
		}
		if !(pair["picture"].(float64) < .01 && pair["sound"].(float64) < .01) {
			t.Errorf("the same film differs: %v", pair)
		}
	}
	for _, path := range []string{"/v1/library/left-out.csv", "/v1/library/flags.csv", "/library/duplicates"} {
		if status, got := s.do("GET", path, "", nil); status != 200 || !(got["bytes"].(float64) > 40) {
			t.Errorf("%s: %d %v", path, status, got)
		}
	}
	if status, got := s.do("GET", "/v1/clips/1/excerpt.m4a", "", nil); status != 200 ||
		!(got["bytes"].(float64) > 1000 && got["bytes"].(float64) < 40000) {
		t.Errorf("excerpt: %d %v", status, got)
	}
	if status, _ := s.do("GET", "/v1/clips/1/thumb.jpg", "", nil); status != 200 {
		t.Errorf("thumbnail: %d", status)
	}
	s.end()
	tools, err := media.Find()
	if err != nil {
		t.Fatal(err)
	}
	excerpts, _ := filepath.Glob(filepath.Join(dir, "cache", "previews", "*.m4a"))
	if len(excerpts) != 1 {
		t.Fatalf("excerpts: %v", excerpts)
	}
	info, err := tools.Probe(t.Context(), excerpts[0], media.Limits{})
	if err != nil || info.Audio == nil || info.Audio.Channels != 1 || !(info.Seconds > 2 && info.Seconds < 3.2) {
		t.Errorf("an excerpt is %+v (%v)", info, err)
	}
}
