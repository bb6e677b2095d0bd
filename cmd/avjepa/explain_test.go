package main

import (
	"encoding/csv"
	"encoding/json"
	"image/png"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// cut copies 3 s of a scene of the toy, with sound or without, to a file below dir.
func cut(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	scenes, err := filepath.Glob(filepath.Join(demoFolder(t), "data/demo/*/heldout*.mp4"))
	if err != nil || len(scenes) == 0 {
		t.Fatalf("no scenes of the demo: %v", err)
	}
	path := filepath.Join(dir, name)
	all := append([]string{"-v", "error", "-i", scenes[0], "-t", "3"}, args...)
	if out, err := exec.Command("ffmpeg", append(all, path)...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

func isPNG(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := png.Decode(f); err != nil {
		t.Errorf("%s: %v", path, err)
	}
}

// TestExplainAttention draws a file with both, and one without sound in the same call.
func TestExplainAttention(t *testing.T) {
	toy, dir := demoFolder(t), t.TempDir()
	both, mute := cut(t, dir, "both.mp4"), cut(t, dir, "mute.mp4", "-an")
	out := filepath.Join(dir, "pictures")
	o := run(t, toy, "explain", "attention", "runs/demo", both, mute, "--out", out, "--json")
	o.wants(t, 3, "mute.mp4", "needs both")
	var all []attentionResult
	if err := json.Unmarshal([]byte(o.stdout), &all); err != nil || len(all) != 1 {
		t.Fatalf("%v: %s", err, o.stdout)
	}
	for _, s := range all[0].Sheets {
		isPNG(t, s)
	}
	if len(all[0].Sheets) != 2 || filepath.Base(all[0].Film) != "both-attention.mp4" {
		t.Errorf("sheets %q, film %q", all[0].Sheets, all[0].Film)
	}
	if info, err := os.Stat(all[0].Film); err != nil || info.Size() < 10_000 {
		t.Errorf("film: %v, %v", info, err)
	}
	for _, w := range all[0].Windows {
		for _, x := range []float64{w.AudioVideo, w.VideoAudio, w.CLSVideo, w.CLSAudio} {
			if !(x > 0 && x < 1) {
				t.Errorf("shares %+v", w)
			}
		}
		if !(math.Abs(w.EvenVideo+w.EvenAudio-32./33) <= 1e-9) {
			t.Errorf("even shares %g and %g of 33 tokens", w.EvenVideo, w.EvenAudio)
		}
	}
	cls := run(t, toy, "explain", "attention", "runs/demo", both, "--out", out, "--still", "--from", "cls")
	if cls.wants(t, 0); !strings.Contains(cls.stdout, "CLS → sound %") {
		t.Errorf("--from cls prints %s", cls.stdout)
	}
	run(t, toy, "explain", "attention", "runs/demo", mute, "--out", out).wants(t, 1, "mute.mp4")
	run(t, toy, "explain", "attention", "runs/demo", both, "--out", out, "--seconds", "1").
		wants(t, 1, "--seconds")
	run(t, toy, "explain", "attention", "runs/demo", both, "--from", "me").wants(t, 2, `"me"`)
	run(t, toy, "explain", "attention", "runs/demo").wants(t, 2, "at least one FILE")
}

func TestExplainPCA(t *testing.T) {
	toy, out := demoFolder(t), t.TempDir()
	o := run(t, toy, "explain", "pca", "runs/demo", "--data", toyClips, "--label", "bell",
		"--clips", "3", "--out", out, "--json").wants(t, 0)
	var r pcaResult
	if err := json.Unmarshal([]byte(o.stdout), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Clips) != 3 || len(r.Sheets) != 2 || filepath.Base(r.Sheets[0]) != "bell-pca-light.png" ||
		!(r.Variance[0] > 0 && r.Variance[0] <= 1) {
		t.Errorf("%+v", r)
	}
	for _, s := range r.Sheets {
		isPNG(t, s)
	}
	run(t, toy, "explain", "pca", "runs/demo").wants(t, 2, "FILE", "--data")
	run(t, toy, "explain", "pca", "runs/demo", "--data", toyClips, "--label", "cow").
		wants(t, 1, `"cow"`)
	run(t, toy, "explain", "pca", "runs/nowhere", "x.mp4").wants(t, 1, "nowhere")
}

func TestExplainTSNE(t *testing.T) {
	toy, out := demoFolder(t), t.TempDir()
	args := []string{"explain", "tsne", "runs/demo", "--iterations", "100", "--out", out, "--json"}
	o := run(t, toy, args...).wants(t, 0)
	var r tsneResult
	if err := json.Unmarshal([]byte(o.stdout), &r); err != nil {
		t.Fatal(err)
	}
	if r.Clips != 32 || r.Points != 64 || r.Of != 32 || len(r.Files) != 9 || !(r.Kept > r.Random) {
		t.Errorf("%+v", r)
	}
	rows, err := csv.NewReader(strings.NewReader(string(readFile(t, out, "tsne.csv")))).ReadAll()
	if err != nil || len(rows) != 65 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for _, row := range rows[1:] {
		for _, x := range row[3:] {
			if v, err := strconv.ParseFloat(x, 64); err != nil || v-v != 0 {
				t.Errorf("place %q of %s", x, row[0])
			}
		}
	}
	for _, f := range r.Files {
		if strings.HasSuffix(f, ".png") {
			isPNG(t, f)
		}
	}
	first := readFile(t, out, "tsne.csv")
	run(t, toy, args...).wants(t, 0)
	if string(first) != string(readFile(t, out, "tsne.csv")) {
		t.Error("the same seed gives other places")
	}
	o = run(t, toy, append(args, "--clips", "10")...).wants(t, 0)
	if err := json.Unmarshal([]byte(o.stdout), &r); err != nil || r.Clips != 10 || r.Of != 32 {
		t.Errorf("of 10 clips: %+v, %v", r, err)
	}
	run(t, toy, "explain", "tsne", "runs/demo", "--embedding", "best").wants(t, 2, `"best"`)
	run(t, toy, "explain", "tsne", "runs/demo", "--clips", "1").wants(t, 2, "--clips 1")
}

// TestMapSinglesOutTheLargestClasses has 14 classes: 11 and the rest.
func TestMapSinglesOutTheLargestClasses(t *testing.T) {
	m := &mapped{}
	for c := range 14 {
		for range c + 1 {
			m.keys, m.classes = append(m.keys, "k"), append(m.classes, string(rune('a'+c)))
		}
	}
	m.places = make([]float64, 4*len(m.keys))
	groups := m.byClass()
	last := groups[len(groups)-1]
	if len(groups) != 12 || groups[0].Name != "n" || len(groups[0].Points) != 28 || !last.Rest ||
		last.Name != "3 others" || len(last.Points) != 2*(1+2+3) {
		t.Errorf("%d groups, the first %s (%d), the last %s (%d)", len(groups), groups[0].Name,
			len(groups[0].Points), last.Name, len(last.Points))
	}
}

// Where pictures cannot be written is found before the work.
func TestExplainCannotWrite(t *testing.T) {
	dir := labFolder(t)
	file := writeFile(t, "a file", t.TempDir(), "file")
	for _, args := range [][]string{{"tsne", "runs/base"}, {"pca", "runs/base", "--data", "set"}} {
		o := run(t, dir, append(append([]string{"explain"}, args...), "--out", filepath.Join(file, "x"))...)
		o.wants(t, 2, "--out", file)
		for _, stage := range []string{"embed", "layout"} {
			if strings.Contains(o.stderr, "\n"+stage) || strings.HasPrefix(o.stderr, stage) {
				t.Errorf("%v worked before it looked:\n%s", args, o.stderr)
			}
		}
	}
}

func TestPictureNames(t *testing.T) {
	got := pictureNames([]string{"a/x.mp4", "b/x.mp4", "-dash.mp4", "...", "a:b?.wav"})
	for i, want := range []string{"x", "x-2", "dash", "clip", "a_b_"} {
		if got[i] != want {
			t.Errorf("name %d is %q, want %q", i, got[i], want)
		}
	}
}
