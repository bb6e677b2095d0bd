package dataset

import (
	"path/filepath"
	"strings"
	"testing"

	"avjepa/internal/manifest"
	"avjepa/internal/media"
)

// A clip that the list knows to have no file is not looked for, and one whose file has
// come under another name is taken up when that is asked for.
func TestMissingClips(t *testing.T) {
	src, dir := makeFiles(t, map[string]string{"a.mp4": "3 usable", "there.mp4": "3 usable"}), t.TempDir()
	entry := func(key, name, missing string) manifest.Entry {
		return manifest.Entry{Key: key, Path: filepath.Join(src, name), Split: "test", Missing: missing}
	}
	cfg := testConfig(dir, []manifest.Entry{entry("a", "a.mp4", ""), entry("b", "b.mp4", "not in the folders"),
		entry("c", "there.mp4", "leads outside"), entry("d", "d.mp4", "")})
	sum, err := Ingest(t.Context(), cfg)
	if err != nil || sum.Clips != 1 || sum.Files != 1 || sum.Outcomes[media.Missing] != 3 {
		t.Fatalf("%+v (%v)", sum, err)
	}
	for i, want := range []string{"not in the folders", "leads outside", "no such file"} {
		if got := sum.LeftOut[i]; got.Outcome != media.Missing || got.Reason != want {
			t.Errorf("left out %+v, want %s", got, want)
		}
	}
	makeMore := makeFiles(t, map[string]string{"b.webm": "4 usable"})
	cfg.Entries[1].Path, cfg.Entries[1].Missing = filepath.Join(makeMore, "b.webm"), ""
	sum, err = Ingest(t.Context(), cfg)
	if err != nil || sum.Clips != 2 || sum.Files != 2 || len(sum.LeftOut) != 2 || sum.Splits["test"] != 2 {
		t.Errorf("with a file that came later: %+v (%v)", sum, err)
	}
	cfg.Entries[1].Path = filepath.Join(src, "there.mp4")
	if _, err = Ingest(t.Context(), cfg); err == nil {
		t.Error("a kept clip came from another file, and nothing was said")
	}
}

// Of a list that knows its clips to be of 10 s, a file of a minute is no clip.
func TestWholeVideoIsNoClip(t *testing.T) {
	src, dir := makeFiles(t, map[string]string{"v.mp4": "60 usable", "w.mp4": "11 usable"}), t.TempDir()
	cfg := testConfig(dir, []manifest.Entry{
		{Key: "v_000002", Path: filepath.Join(src, "v.mp4"), Seconds: 10},
		{Key: "w_000002", Path: filepath.Join(src, "w.mp4"), Seconds: 10}})
	sum, err := Ingest(t.Context(), cfg)
	if err != nil || sum.Clips != 1 || len(sum.LeftOut) != 1 ||
		!strings.Contains(sum.LeftOut[0].Reason, "--whole-videos") {
		t.Errorf("%+v (%v)", sum, err)
	}
}

// Two clips of one video keep the splits that a published list gives them.
func TestSplitsOfOneVideo(t *testing.T) {
	src, dir := makeFiles(t, map[string]string{"v.mp4": "60 usable"}), t.TempDir()
	path := filepath.Join(src, "v.mp4")
	cfg := testConfig(dir, []manifest.Entry{
		{Key: "v_000002", Path: path, Start: 2, End: 12, Split: "train"},
		{Key: "v_000030", Path: path, Start: 30, End: 40, Split: "test"},
		{Key: "v_000045", Path: path, Start: 45, End: 55}})
	sum, err := Ingest(t.Context(), cfg)
	if err != nil || sum.Splits["train"] != 2 || sum.Splits["test"] != 1 {
		t.Errorf("%+v (%v)", sum, err)
	}
}
