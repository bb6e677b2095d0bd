package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// published makes a list of VGGSound's form with files for some of its clips: one cut,
// one whole video that two clips are of, and two clips that are gone.
func published(t *testing.T) (dir string) {
	dir = t.TempDir()
	film(t, "1", dir, "videos/test/aaaaaaaaaaa_000030.mp4")
	film(t, "25", dir, "videos/bbbbbbbbbbb.mp4")
	writeFile(t, "aaaaaaaaaaa,30,\"dog, barking\",test\nbbbbbbbbbbb,2,sea,train\nbbbbbbbbbbb,13,rain,test\n"+
		"ccccccccccc,5,rain,train\nddddddddddd,5,rain,train\neeeeeeeeeee,soon,rain,train\n", dir, "vggsound.csv")
	return dir
}

func TestIngestVGGSound(t *testing.T) {
	dir := published(t)
	args := []string{"ingest", "vggsound.csv", "--media", "videos", "--out", "d", "--short-side", "64"}
	o := run(t, dir, args...).wants(t, 0)
	for _, text := range []string{"1 clip kept from 1 file", "4 left out", "missing", "4  ",
		"the same command again",
		"warning: bad row: ", "vggsound.csv:6, start: \"soon\"", "in several splits: bbbbbbbbbbb"} {
		if !strings.Contains(o.stdout, text) {
			t.Errorf("stdout lacks %q:\n%s", text, o.stdout)
		}
	}
	// More files have come; the classes of the list stay, also those without a clip.
	film(t, "1", dir, "videos/ccccccccccc_000005.webm.mkv")
	film(t, "1", dir, "videos/ccccccccccc_000005.mkv")
	m := run(t, dir, append(args, "--retry", "--whole-videos", "--json")...).wants(t, 0).object(t)
	for path, want := range map[string]float64{"clips": 4, "left_out": 1, "bad_rows": 1, "leaks": 1,
		"splits.train": 2, "splits.test": 2, "outcomes.missing": 1, "files": 3} {
		if got := number(t, m, path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	var classes []struct{ ID string }
	if err := json.Unmarshal(readFile(t, dir, "d", "classes.json"), &classes); err != nil || len(classes) != 3 {
		t.Errorf("classes %v (%v)", classes, err)
	}
	index := string(readFile(t, dir, "d", "index.jsonl"))
	for _, text := range []string{`"key":"bbbbbbbbbbb_000013","labels":["rain"],"split":"test"`, `"start":13,"seconds":10`} {
		if !strings.Contains(index, text) {
			t.Errorf("index lacks %s:\n%s", text, index)
		}
	}
}

func TestIngestPartOfAList(t *testing.T) {
	dir := published(t)
	args := []string{"ingest", "vggsound.csv", "--media", "videos", "--out", "d", "--short-side", "64"}
	m := run(t, dir, append(args, "--label", "rain", "--label", "sea", "--split", "test",
		"--whole-videos", "--json")...).wants(t, 0).object(t)
	if got := number(t, m, "clips"); got != 1 {
		t.Errorf("%v clips", got)
	}
	run(t, dir, append(args, "--label", "dog barking")...).wants(t, 1, `did you mean "dog, barking"`)
	run(t, dir, append(args, "--split", "val")...).wants(t, 1, "the list has test, train")
	run(t, dir, append(args, "--format", "parquet")...).wants(t, 2, "vggsound, audioset")
	run(t, dir, append(args, "--media", "nowhere")...).wants(t, 1, "nowhere")
	run(t, dir, append(args, "--classes", "nowhere.csv")...).wants(t, 1, "nowhere.csv")
	run(t, dir, append(args, "--format", "audioset")...).wants(t, 1, "vggsound.csv", "cannot be used")
}

func TestIngestDryRun(t *testing.T) {
	dir := published(t)
	args := []string{"ingest", "vggsound.csv", "--media", "videos", "--whole-videos", "--dry-run", "--short-side", "64"}
	m := run(t, dir, append(args, "--json")...).wants(t, 0).object(t)
	st, err := os.Stat(filepath.Join(dir, "videos/bbbbbbbbbbb.mp4"))
	if err != nil {
		t.Fatal(err)
	}
	st2, err := os.Stat(filepath.Join(dir, "videos/test/aaaaaaaaaaa_000030.mp4"))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]float64{"clips": 5, "found": 3, "missing": 2, "classes": 3,
		"labelled": 5, "labels_per_clip": 1, "splits.test": 2, "splits.train": 3, "leaks": 1, "bad_rows": 1,
		"bytes": float64(st.Size() + st2.Size()), "measured": 3} {
		if got := number(t, m, path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	// What it foretells is what the ingest then makes.
	real := run(t, dir, "ingest", "vggsound.csv", "--media", "videos", "--whole-videos", "--out", "d",
		"--short-side", "64", "--json").wants(t, 0).object(t)
	if said, is := number(t, m, "disk_bytes"), number(t, real, "bytes"); said != is {
		t.Errorf("%v bytes foretold, %v made", said, is)
	}
	o := run(t, dir, args...).wants(t, 0)
	for _, text := range []string{"clips listed", "3, ", "bad row: ", "as 3 clips were measured"} {
		if !strings.Contains(o.stdout, text) {
			t.Errorf("stdout lacks %q:\n%s", text, o.stdout)
		}
	}
	for _, name := range []string{"d2", "dataset.json"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("a dry run made %s", name)
		}
	}
}
