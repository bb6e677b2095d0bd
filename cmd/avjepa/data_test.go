package main

import (
	"bytes"
	"encoding/json"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"avjepa/internal/dataset/datasettest"
	"avjepa/internal/media"
)

// dullSet is a set of 12 clips: 3 is still, 4 silent, 5 has no sound, 6 no picture, and 8
// is 7 once more.
func dullSet(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "set")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	var before media.Clip
	datasettest.Make(t, datasettest.Config{Dir: dir, Clips: 12, Seconds: 2,
		Keep: []media.Outcome{media.StillImage, media.Silent, media.NoAudio, media.NoVideo},
		Alter: func(i int, c *media.Clip) {
			switch i {
			case 3:
				for k := range c.Frames {
					c.Frames[k] = c.Frames[0]
				}
				c.Still, c.Outcome = true, media.StillImage
			case 4:
				clear(c.Samples)
				c.Silent, c.Outcome = true, media.Silent
			case 5:
				c.Samples, c.Outcome = nil, media.NoAudio
			case 6:
				c.Frames, c.Outcome = nil, media.NoVideo
			case 7:
				for k := range c.Samples { // nine notes, so that there is something to tell
					if k/3000%2 == 0 {
						c.Samples[k] = int16(k * (k / 3000) * 40)
					}
				}
				before = *c
			case 8:
				c.Frames, c.Samples = before.Frames, before.Samples
			}
		}})
	return dir
}

func jsonLines(t *testing.T, o outcome) (all []map[string]any) {
	t.Helper()
	for _, line := range strings.Split(strings.TrimSpace(o.stdout), "\n") {
		all = append(all, parse(t, []byte(line)))
	}
	return all
}

func TestDataList(t *testing.T) {
	dir := dullSet(t)
	o := run(t, ".", "data", "ls", dir).wants(t, 0)
	for _, text := range []string{"12 clips", "train 12", "3 classes", "1 without video", "1 without audio",
		"flagged: duplicate 2, silent 1, still 1", "clip0011", "class2", "16", "40×32", "no audio"} {
		if !strings.Contains(o.stdout, text) {
			t.Errorf("lacks %q:\n%s", text, o.stdout)
		}
	}
	for args, want := range map[string]string{
		"--flag still": "clip0003", "--flag silent": "clip0004", "--flag duplicate": "clip0007 clip0008",
		"--label class1": "clip0001 clip0004 clip0007 clip0010", "--split train --limit 2": "clip0000 clip0001",
		"--sort label --limit 5": "clip0000 clip0003 clip0006 clip0009 clip0001",
	} {
		o := run(t, ".", append(strings.Fields("data ls --json "+args), dir)...).wants(t, 0)
		var keys []string
		for _, m := range jsonLines(t, o) {
			keys = append(keys, m["key"].(string))
		}
		if got := strings.Join(keys, " "); got != want {
			t.Errorf("%s: %s, want %s", args, got, want)
		}
	}
	m := run(t, ".", "data", "ls", dir, "--summary", "--classes", "--json").wants(t, 0).object(t)
	if number(t, m, "clips") != 12 || number(t, m, "flags.still") != 1 || len(m["per_class"].([]any)) != 3 {
		t.Errorf("%v", m)
	}
	o = run(t, ".", "data", "ls", dir, "--limit", "3").wants(t, 0)
	if !strings.Contains(o.stdout, "… and 9 more") {
		t.Errorf("%s", o.stdout)
	}
	run(t, ".", "data", "ls", dir, "--flag", "x").wants(t, 2, `"x"`, "low-motion")
	run(t, ".", "data", "ls", dir, "--sort", "x").wants(t, 2, `"x"`, "seconds")
	run(t, ".", "data", "ls", dir, "--limit", "-1").wants(t, 2, "-1")
	run(t, ".", "data", "ls", dir, "--split", "x").wants(t, 1, `"x"`, "train")
	run(t, ".", "data", "ls", dir, "--label", "x").wants(t, 1, `"x"`, "--classes")
	run(t, ".", "data", "ls", t.TempDir()).wants(t, 1, "ingest")
}

// What ingest leaves out is listed with its reasons; --keep keeps it, flagged.
func TestDataLeftOutAndKeep(t *testing.T) {
	dir := t.TempDir()
	film(t, "1", dir, "v/good.mp4")
	writeFile(t, "no film", dir, "v/bad.mp4")
	run(t, dir, "ingest", "v", "--out", "d", "--quiet", "--keep", "silent,loud").wants(t, 2, `"loud"`, "no-video")
	run(t, dir, "ingest", "v", "--out", "d", "--quiet", "--keep", "silent,still").wants(t, 0)
	run(t, dir, "ingest", "v", "--out", "d", "--quiet", "--keep", "still,silent").wants(t, 0)
	run(t, dir, "ingest", "v", "--out", "d", "--quiet").wants(t, 1, "keep is", "another folder")
	o := run(t, dir, "data", "ls", "d", "--left-out").wants(t, 0)
	if !strings.Contains(o.stdout, "1 clip left out: corrupt 1") || !strings.Contains(o.stdout, "bad") {
		t.Errorf("%s", o.stdout)
	}
	all := jsonLines(t, run(t, dir, "data", "ls", "d", "--outcome", "corrupt", "--json").wants(t, 0))
	if len(all) != 1 || all[0]["key"] != "bad" || all[0]["reason"] == "" {
		t.Errorf("%v", all)
	}
	run(t, dir, "data", "ls", "d", "--outcome", "silent").wants(t, 1, `"silent"`, "corrupt 1")
	run(t, dir, "data", "ls", "d", "--left-out", "--split", "val").wants(t, 2, "--outcome")
}

func TestDataShow(t *testing.T) {
	dir := dullSet(t)
	out := t.TempDir()
	size := func(name string, args ...string) (w, h int, image []byte) {
		t.Helper()
		o := run(t, out, append([]string{"data", "show", dir, "--out", name}, args...)...).wants(t, 0)
		if o.stdout != name+"\n" {
			t.Errorf("stdout %q", o.stdout)
		}
		image = readFile(t, out, name)
		c, err := png.DecodeConfig(bytes.NewReader(image))
		if err != nil {
			t.Fatal(err)
		}
		return c.Width, c.Height, image
	}
	w, all, light := size("all.png")
	_, _, dark := size("dark.png", "--dark")
	_, three, first := size("three.png", "--clips", "3", "--seed", "5")
	_, _, again := size("again.png", "--clips", "3", "--seed", "5")
	_, one, _ := size("one.png", datasettest.Key(6))
	if w < 1000 || all < three || three < one || one < 80 || bytes.Equal(light, dark) {
		t.Errorf("%d wide, %d, %d, %d high", w, all, three, one)
	}
	if !bytes.Equal(first, again) {
		t.Error("the same seed shows other clips")
	}
	run(t, out, "data", "show", dir, "nobody").wants(t, 1, `"nobody"`, "data ls")
	run(t, out, "data", "show", dir, "--clips", "0").wants(t, 2, "1 to 500")
	run(t, out, "data", "show", dir, "--flag", "quiet").wants(t, 1, "no such clip")
	run(t, out, "data", "show").wants(t, 2, "takes DATA")
	// A clip that cannot be read is shown as such, beside the others.
	flipByte(t, 2000, dir, "shard-000000.tar")
	run(t, out, "data", "show", dir, "--out", "broken.png").wants(t, 3, "(1)")
}

func flipByte(t *testing.T, at int, parts ...string) {
	t.Helper()
	b := readFile(t, parts...)
	b[at] ^= 1
	if err := os.WriteFile(filepath.Join(parts...), b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestDataVerifyAndIndex(t *testing.T) {
	dir := dullSet(t)
	o := run(t, ".", "data", "verify", dir, "--decode").wants(t, 0, "verify")
	if !strings.Contains(o.stdout, "12 clips in 1 shard") || !strings.Contains(o.stdout, "all as written") {
		t.Errorf("%s", o.stdout)
	}
	index := readFile(t, dir, "index.jsonl")
	if err := os.Remove(filepath.Join(dir, "index.jsonl")); err != nil {
		t.Fatal(err)
	}
	run(t, ".", "data", "verify", dir).wants(t, 1, "avjepa data index")
	o = run(t, ".", "data", "index", dir).wants(t, 0)
	if !strings.Contains(o.stdout, "12 clips in 1 shard") || !bytes.Equal(readFile(t, dir, "index.jsonl"), index) {
		t.Errorf("another index; %s", o.stdout)
	}
	flipByte(t, 2000, dir, "shard-000000.tar")
	o = run(t, ".", "data", "verify", dir, "--json").wants(t, 3, "damaged", "1 of 12 clips broken")
	var got verifiedJSON
	if err := json.Unmarshal([]byte(o.stdout), &got); err != nil || got.OK || got.Broken != 1 ||
		len(got.Faults) != 1 || got.Faults[0].Key != "clip0000" {
		t.Errorf("%+v (%v)", got, err)
	}
	o = run(t, ".", "data", "verify", dir).wants(t, 3)
	if !strings.Contains(o.stdout, "clip0000") || !strings.Contains(o.stdout, "checksum") {
		t.Errorf("%s", o.stdout)
	}
	flipByte(t, 3, dir, "shard-000000.tar") // in a header
	o = run(t, ".", "data", "index", dir).wants(t, 3, "no whole clips")
	if !strings.Contains(o.stdout, "11 clips") || !strings.Contains(o.stdout, "wrong checksum") {
		t.Errorf("%s", o.stdout)
	}
	run(t, ".", "data", "index", t.TempDir()).wants(t, 1, "shard-000000.tar")
	run(t, ".", "data", "verify", dir, "--workers", "-1").wants(t, 2, "-1")
}
