package main

import (
	"encoding/csv"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// film makes a short video with sound at path.
func film(t *testing.T, seconds string, parts ...string) string {
	t.Helper()
	needsFFmpeg(t)
	path := filepath.Join(parts...)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=64x48:rate=10",
		"-f", "lavfi", "-i", "sine=frequency=440:sample_rate=16000", "-t", seconds,
		"-c:v", "mpeg4", "-c:a", "aac", "file:"+path).CombinedOutput()
	if err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, out)
	}
	return path
}

func TestIngestFolderWithOddNames(t *testing.T) {
	dir := t.TempDir()
	film(t, "1", dir, "my videos/dog barks/a clip (1).mp4")
	film(t, "1", dir, "my videos/-x.mp4")
	writeFile(t, "<html>not found</html>", dir, "my videos/page.mp4")
	writeFile(t, "notes", dir, "my videos/notes.txt")
	o := run(t, dir, "ingest", "my videos", "--out", "data/my set", "--held-out", "0", "--json").wants(t, 0, "ingest")
	m := o.object(t)
	for path, want := range map[string]float64{"clips": 2, "left_out": 1, "splits.train": 2} {
		if got := number(t, m, path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	rows, err := csv.NewReader(strings.NewReader(string(readFile(t, dir, "data/my set/left-out.csv")))).ReadAll()
	if err != nil || len(rows) != 2 || rows[1][0] != "page" {
		t.Errorf("left-out.csv is %v, %v", rows, err)
	}
	// A second time there is nothing to do, and the table says the same.
	o = run(t, dir, "ingest", "my videos", "--out", "data/my set", "--held-out", "0").wants(t, 0)
	for _, text := range []string{"2 clips kept", "1 left out", "corrupt", "page: ", "left-out.csv", "Next: avjepa pretrain"} {
		if !strings.Contains(o.stdout, text) {
			t.Errorf("stdout lacks %q:\n%s", text, o.stdout)
		}
	}
	run(t, dir, "ingest", "my videos", "--out", "data/my set", "--fps", "5").wants(t, 1, "fps is 8", "another folder")
	// A name like a flag is a file after --.
	run(t, filepath.Join(dir, "my videos"), "ingest", "--out", "../one", "--quiet", "--", "-x.mp4").wants(t, 0)
}

func TestIngestCSV(t *testing.T) {
	dir := t.TempDir()
	film(t, "3", dir, "long.mp4")
	writeFile(t, "path,label,split,start,end\nlong.mp4,beep,train,0,1.5\nlong.mp4,beep,train,1.5,3\ngone.mp4,beep,train,,\n",
		dir, "clips.csv")
	m := run(t, dir, "ingest", "clips.csv", "--out", "d", "--json", "--quiet").wants(t, 0).object(t)
	if kept, lost := number(t, m, "clips"), number(t, m, "left_out"); kept != 2 || lost != 1 {
		t.Errorf("%v clips kept, %v left out, want 2 and 1", kept, lost)
	}
	writeFile(t, "path,label\n../outside.mp4,x\n", dir, "sub/out.csv")
	run(t, dir, "ingest", "sub/out.csv", "--out", "e").wants(t, 1, "outside.mp4")
}

// An ingest that keeps nothing still shows why, and ends with 1.
func TestIngestWithoutUsableClip(t *testing.T) {
	needsFFmpeg(t)
	dir := t.TempDir()
	writeFile(t, "these are words", dir, "v/words.mp4")
	writeFile(t, "", dir, "v/nothing.mp4")
	o := run(t, dir, "ingest", "v", "--out", "d").wants(t, 1, "no usable clip", "left-out.csv")
	for _, text := range []string{"0 clips kept", "reason", "words: ", "corrupt"} {
		if !strings.Contains(o.stdout, text) {
			t.Errorf("stdout lacks %q:\n%s", text, o.stdout)
		}
	}
	if strings.Contains(o.stdout, "Next:") {
		t.Error("proposes to train on nothing")
	}
	writeFile(t, "x", dir, "w/notes.txt")
	run(t, dir, "ingest", "nowhere", "--out", "d2").wants(t, 1, `"nowhere"`, "not found")
	run(t, dir, "ingest", "w", "--out", "d2").wants(t, 1, `"w"`, "no media files")
	run(t, dir, "ingest", "v", "--out", "d3", "--fps", "0", "--short-side", "8").wants(t, 1, "fps", "short_side")
}

func TestIngestDiskFull(t *testing.T) {
	dir := demoFolder(t)
	disk := smallDisk(t, "3m")
	out := filepath.Join(disk, "clips")
	args := []string{"ingest", "data/demo/scenes-64-32/scenes.csv", "--out", out, "--json"}
	run(t, dir, args...).wants(t, 1, "disk full", "free some space")
	if o, err := exec.Command("mount", "-o", "remount,size=64m", disk).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, o)
	}
	if n := number(t, run(t, dir, args...).wants(t, 0).object(t), "clips"); n != 96 {
		t.Errorf("%v clips after more space, want 96", n)
	}
}

// The odd files are real recordings, broken and unusual in many ways.
func TestIngestOddFiles(t *testing.T) {
	needsFFmpeg(t)
	odd, err := filepath.Abs("../../../shared/data/odd")
	if err != nil {
		t.Fatal(err)
	}
	_, err = os.Stat(odd)
	needs(t, "shared", err == nil, "no odd files at "+odd)
	if testing.Short() {
		t.Skip("short")
	}
	o := run(t, t.TempDir(), "ingest", odd, "--out", "d", "--short-side", "64").wants(t, 0)
	for _, text := range []string{"corrupt", "no video", "no audio", "too short", "silent"} {
		if !strings.Contains(o.stdout, text) {
			t.Errorf("no clip left out as %q:\n%s", text, o.stdout)
		}
	}
	for _, line := range strings.Split(o.stdout, "\n") {
		if n := len([]rune(line)); n > 90 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}
