package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"avjepa/internal/encoder/encodertest"
)

// Files are indexed, listed and found, and what cannot be used is told apart.
func TestIndexAndSearch(t *testing.T) {
	needsFFmpeg(t)
	dir, model := t.TempDir(), encodertest.Save(t)
	films := filepath.Join(dir, "films")
	os.MkdirAll(films, 0o755)
	encodertest.Film(t, filepath.Join(films, "a.mp4"), 2, true)
	encodertest.Film(t, filepath.Join(films, "mute.mp4"), 3, false)
	os.WriteFile(filepath.Join(films, "broken.mp4"), []byte("no film"), 0o644)
	run(t, dir, "index", model, "films", "--library", "lib").wants(t, 3, "left out: ", "broken.mp4", "--left-out")
	again := run(t, dir, "index", model, "films", "--library", "lib", "--json").wants(t, 3).object(t)
	if again["unchanged"] != 2.0 || again["added"] != 0.0 {
		t.Errorf("%v", again)
	}
	ls := run(t, dir, "library", "ls", "lib", "--json").wants(t, 0).object(t)
	if ls["clips"] != 2.0 || ls["left_out"] != 1.0 {
		t.Errorf("%v", ls)
	}
	found := run(t, dir, "search", "lib", "films/mute.mp4", "--json").wants(t, 0).object(t)
	hits, _ := found["hits"].([]any)
	if found["from"] != "video" || found["in"] != "audio" || len(hits) != 1 {
		t.Errorf("%v", found)
	}
	run(t, dir, "search", "lib", "films/a.mp4", "--html", "x.html").wants(t, 0)
	page, err := os.ReadFile(filepath.Join(dir, "x.html"))
	if err != nil || !bytes.Contains(page, []byte("data:image/jpeg;base64,/9j/")) || bytes.Contains(page, []byte("http://")) ||
		bytes.Contains(page, []byte("https://")) {
		t.Errorf("the page has no pictures, or asks for something: %v", err)
	}
	run(t, dir, "search", "lib", "films/broken.mp4").wants(t, 1, "broken.mp4 cannot be used: corrupt")
	run(t, dir, "search", "lib", "--clip", "99").wants(t, 2, "library ls")
	run(t, dir, "search", "films", "films/a.mp4").wants(t, 1, "avjepa index")
	run(t, dir, "search", "lib").wants(t, 2, "--clip")
	run(t, dir, "embed", model, "films", "--out", "x.csv").wants(t, 2, ".parquet")
}

// Files that lack what --modality asks for are left out and named; where all do nothing is
// written, and the error says what would help.
func TestEmbedOfWhatIsNotThere(t *testing.T) {
	needsFFmpeg(t)
	dir, model := t.TempDir(), encodertest.Save(t)
	writeFile(t, string(encodertest.Tone()), dir, "media", "tone.wav")
	args := []string{"embed", model, "media", "--modality", "video", "--out"}
	for _, name := range []string{"x.parquet", "x.npy", "x.jsonl"} {
		run(t, dir, append(args, name)...).wants(t, 1, name+" was not written", "tone.wav", "--modality video",
			"sound alone takes audio")
	}
	left, err := filepath.Glob(filepath.Join(dir, "x.*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
	encodertest.Film(t, filepath.Join(dir, "media", "mute.mp4"), 2, false)
	out := run(t, dir, append(args, "x.jsonl")...).wants(t, 3, "left out: ", "tone.wav: no video")
	if !strings.Contains(out.stdout, "1 row") || !strings.Contains(out.stdout, "from 1 source") {
		t.Errorf("%s", out.stdout)
	}
}

// A file that is too long is left out with what helps; cut, its parts are clips that say where
// they are.
func TestIndexInParts(t *testing.T) {
	needsFFmpeg(t)
	dir, model := t.TempDir(), encodertest.Save(t)
	encodertest.Film(t, filepath.Join(dir, "film.mp4"), 7, true)
	run(t, dir, "index", model, "film.mp4", "--max-seconds", "5").wants(t, 3, "film.mp4", "--segment 10s")
	run(t, dir, "index", model, "film.mp4", "--max-seconds", "5", "--segment", "2s", "--json").wants(t, 0, "lengths")
	ls := run(t, dir, "library", "ls", "library", "--json").wants(t, 0).object(t)
	list := ls["list"].([]any)
	if len(list) != 4 || ls["left_out"] != 0.0 {
		t.Fatalf("%v", ls)
	}
	part := list[1].(map[string]any)
	if part["start"] != 2.0 || part["end"] != 4.0 || filepath.Base(part["file"].(string)) != "film.mp4" {
		t.Errorf("part %v", part)
	}
	o := run(t, dir, "search", "library", "--clip", "1", "--html", "x.html").wants(t, 0)
	if !strings.Contains(o.stdout, "film.mp4 0:02–0:04") {
		t.Errorf("no times in\n%s", o.stdout)
	}
	if page := readFile(t, dir, "x.html"); bytes.Count(page, []byte("data:image/jpeg;base64,/9j/")) < 3 {
		t.Error("parts have no pictures")
	}
	run(t, dir, "embed", model, "film.mp4", "--max-seconds", "5", "--segment", "2s", "--modality", "audio", "--out",
		"x.jsonl").wants(t, 0)
	lines := strings.Split(strings.TrimSpace(string(readFile(t, dir, "x.jsonl"))), "\n")
	if len(lines) != 4 {
		t.Fatalf("%d rows", len(lines))
	}
	row := parse(t, []byte(lines[2]))
	if start := number(t, row, "start_seconds"); !(start >= 4 && start <= 5) || filepath.Base(row["path"].(string)) != "film.mp4" {
		t.Errorf("row %v", row)
	}
	for _, args := range [][]string{{"--segment", "0.5s"}, {"--segment", "50s"}, {"--segment", "10s", "--data", "x"}} {
		all := append([]string{"index", model}, args...)
		if args[len(args)-1] != "x" {
			all = append(all, "film.mp4")
		}
		run(t, dir, all...).wants(t, 2, "--segment")
	}
}

// Looking at a library leaves no files of SQLite's beside it.
func TestLibraryIsLeftTidy(t *testing.T) {
	needsFFmpeg(t)
	dir, model := t.TempDir(), encodertest.Save(t)
	encodertest.Film(t, filepath.Join(dir, "a.mp4"), 2, true)
	run(t, dir, "index", model, "a.mp4", "--library", "lib").wants(t, 0)
	run(t, dir, "library", "ls", "lib").wants(t, 0)
	run(t, dir, "search", "lib", "a.mp4").wants(t, 0)
	// One trained in BF16 is opened in the precision that the engine here has.
	other := encodertest.Save(t, [2]string{"engine.precision", "bf16"})
	run(t, dir, "embed", other, "a.mp4", "--out", "x.npy").wants(t, 0)
	if left, err := filepath.Glob(filepath.Join(dir, "lib", "library.db-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// A killed embed goes on and writes the bytes that one without a kill does.
func TestKilledEmbed(t *testing.T) {
	needsFFmpeg(t)
	dir, model := t.TempDir(), encodertest.Save(t)
	first := filepath.Join(dir, "films", "film-00.mp4")
	os.MkdirAll(filepath.Dir(first), 0o755)
	encodertest.Film(t, first, 2, true)
	data, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i < 36; i++ {
		os.WriteFile(filepath.Join(dir, "films", fmt.Sprintf("film-%02d.mp4", i)), data, 0o644)
	}
	args := []string{"embed", model, "films", "--stride", "500ms", "--out", "x.parquet"}
	c := command(dir, args...)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	part := filepath.Join(dir, "x.parquet.work", "part-000000000-32")
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if _, err := os.Stat(part); err == nil {
			break
		}
	}
	c.Process.Kill()
	c.Wait()
	if _, err := os.Stat(part); err != nil {
		t.Fatal("no part was written before the kill")
	}
	args[len(args)-1] = "x.parquet"
	out := run(t, dir, args...).wants(t, 0)
	if !strings.Contains(out.stdout, "from 36 sources") {
		t.Errorf("%s", out.stdout)
	}
	args[len(args)-1] = "y.parquet"
	run(t, dir, args...).wants(t, 0)
	x, err := os.ReadFile(filepath.Join(dir, "x.parquet"))
	y, _ := os.ReadFile(filepath.Join(dir, "y.parquet"))
	if err != nil || !bytes.Equal(x, y) {
		t.Errorf("%d bytes after a kill, %d without: %v", len(x), len(y), err)
	}
	run(t, dir, args...).wants(t, 2, "--fresh")
}
