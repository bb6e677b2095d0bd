package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"avjepa/internal/checkpoint"
)

// Wrong command lines end with 2 and a hint, print nothing on stdout and write nothing.
func TestUsageErrors(t *testing.T) {
	for _, c := range []struct {
		args string
		want []string
	}{
		{"frobnicate", []string{`"frobnicate"`, "avjepa --help"}},
		{"pretrian", []string{"did you mean pretrain?"}},
		{"help pretrian", []string{"did you mean pretrain?"}},
		{"config", nil}, // shows its help
		{"config shwo", []string{"did you mean show?"}},
		{"config show x", []string{"no argument", `"x"`}},
		{"demo x", []string{"no argument"}},
		{"demo --name a/b", []string{`"a/b"`, "plain name"}},
		{"demo --name ..", []string{`".."`}},
		{"demo --scenes -1", []string{"-1 train", "counts"}},
		{"pretrain --name latest", []string{"link"}},
		{"pretrain --foo", []string{"--foo", "avjepa pretrain --help"}},
		{"pretrain --lr abc", []string{`"abc"`, "--lr"}},
		{"pretrain --set lr", []string{`"lr"`, "key=value"}},
		{"pretrain", []string{"--data"}},
		{"ingest", []string{"folder"}},
		{"ingest x", []string{"--out"}},
		{"ingest x --out y --workers -1", []string{"--workers -1", "negative"}},
		{"ingest x --dry-run --limit -1", []string{"--limit -1", "negative"}},
		{"ingest x --dry-run --per-class -2", []string{"--per-class -2", "negative"}},
		{"retrieve", []string{"takes RUN, got none", "avjepa retrieve --help"}},
		{"retrieve a b", []string{"takes RUN", "2 arguments"}},
		{"data stats", []string{"takes DATA"}},
		{"report " + os.Args[0], []string{"is a file"}},
	} {
		dir := t.TempDir()
		o := run(t, dir, strings.Fields(c.args)...)
		if c.want == nil {
			if o.wants(t, 0); !strings.Contains(o.stdout, "Usage:") {
				t.Errorf("%s: no help", c.args)
			}
			continue
		}
		if o.wants(t, 2, c.want...); o.stdout != "" {
			t.Errorf("%s: stdout %q", c.args, o.stdout)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%s: wrote %v (%v)", c.args, left, err)
		}
	}
}

// What stands under an interrupt is not what a person is told; what to do next is.
func TestInterruptedIsOneWord(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("media: starting ffmpeg: %w", context.Canceled), "interrupted"},
		{sameAgain(errInterrupted), "interrupted; the same command goes on from here"},
		{errors.New("no such file"), "no such file"},
	} {
		if got := sentence(c.err); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}

func TestAmount(t *testing.T) {
	for want, got := range map[string]string{"1 clip": amount(1, "clips"), "0 clips": amount(0, "clips"),
		"2 classes": amount(2, "classes"), "1 class": amount(1, "classes")} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Wrong settings end with 11 and name key, value and remedy.
func TestConfigErrors(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, "[trian]\nlr = 1.0\n", dir, "typo.toml")
	writeFile(t, "[train\n", dir, "broken.toml")
	for _, c := range []struct {
		code int
		args string
		want []string
	}{
		{11, "--set trian.lr=1", []string{`"trian.lr"`, "did you mean train.lr"}},
		{11, "--config typo.toml", []string{"typo.toml", `"trian.lr"`, "did you mean train.lr"}},
		{11, "--config broken.toml", []string{"broken.toml"}},
		{11, "--config nowhere.toml", []string{"nowhere.toml"}},
		{11, "--preset huge", []string{`"huge"`, "tiny"}},
		{11, "--set train.lr=fast", []string{"train.lr", `"fast"`, "number"}},
		{11, "--set view.side=225 --set train.batch_size=1 --set model.heads=5",
			[]string{"225", "patch size 16", "train.batch_size = 1", "heads 5"}},
		{10, "--set engine.name=cuda", []string{`"cuda"`, `"cpu"`}},
	} {
		run(t, dir, append([]string{"config", "show"}, strings.Fields(c.args)...)...).wants(t, c.code, c.want...)
		args := append([]string{"pretrain", "--data", "x"}, strings.Fields(c.args)...)
		if o := run(t, dir, args...).wants(t, c.code, c.want...); o.stdout != "" {
			t.Errorf("%s: stdout %q", c.args, o.stdout)
		}
	}
}

func TestConfigShowsOrigins(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, "[train]\nlr = 1e-3\nclip = 2.0\nkeep = 3\n", dir, "mine.toml")
	c := command(dir, "config", "show", "--preset", "tiny", "--config", "mine.toml",
		"--set", "train.clip=1.5", "--json")
	c.Env = append(c.Env, "AVJEPA_TRAIN_KEEP=4")
	var settings []struct {
		Key, Origin string
		Value       any
	}
	if err := json.Unmarshal([]byte(finish(t, c).wants(t, 0).stdout), &settings); err != nil {
		t.Fatal(err)
	}
	want := map[string]struct {
		value  any
		origin string
	}{
		"train.beta1": {0.9, "default"}, "model.size": {"tiny", "preset tiny"},
		"train.lr": {1e-3, "file mine.toml"}, "train.keep": {4.0, "environment AVJEPA_TRAIN_KEEP"},
		"train.clip": {1.5, "flag --set"},
	}
	for _, s := range settings {
		if w, ok := want[s.Key]; ok {
			if s.Value != w.value || s.Origin != w.origin {
				t.Errorf("%s = %v from %q, want %v from %q", s.Key, s.Value, s.Origin, w.value, w.origin)
			}
			delete(want, s.Key)
		}
	}
	if len(want) > 0 {
		t.Errorf("not shown: %v", want)
	}
	text := run(t, dir, "config", "show", "--preset", "demo", "--toml").wants(t, 0).stdout
	writeFile(t, text, dir, "demo.toml")
	if again := run(t, dir, "config", "show", "--config", "demo.toml", "--toml").stdout; again != text {
		t.Error("config show --toml does not read back as itself")
	}
}

func TestDoctor(t *testing.T) {
	dir := t.TempDir()
	o := run(t, dir, "doctor", "--json")
	m := o.object(t)
	if checks, ok := m["checks"].([]any); !ok || len(checks) < 4 {
		t.Errorf("checks %v", m["checks"])
	}
	if (m["ok"] == true) != (o.code == 0) {
		t.Errorf("ok is %v, exit code %d", m["ok"], o.code)
	}
}

// Without ffmpeg every command that needs it ends with 12 and says how to get it.
func TestNoFFmpeg(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, "x", dir, "a.mp4")
	for _, args := range [][]string{{"doctor"}, {"demo"}, {"ingest", "a.mp4", "--out", "d"}} {
		c := command(dir, args...)
		c.Env = append(c.Env, "PATH=")
		o := finish(t, c).wants(t, 12)
		if text := o.stdout + o.stderr; !strings.Contains(text, "apt") || !strings.Contains(text, "ffmpeg") {
			t.Errorf("%v does not say how to install ffmpeg:\n%s", args, text)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != 1 {
		t.Errorf("left %v, %v", left, err)
	}
}

// What is not there, or is something else, ends with 1 (13 for a file that is no
// checkpoint) and names it.
func TestWrongInputs(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, "not a checkpoint", dir, "text.safetensors")
	writeFile(t, "", dir, "empty/file")
	for _, c := range []struct {
		code int
		args string
		want []string
	}{
		{1, "retrieve nowhere", []string{"nowhere"}},
		{1, "retrieve empty", []string{"empty", "not a run folder"}},
		{13, "retrieve text.safetensors", []string{"text.safetensors"}},
		{1, "report nowhere", []string{"nowhere"}},
		{1, "data stats nowhere", []string{"nowhere", "ingest"}},
		{1, "data stats empty", []string{"empty", "ingest"}},
		{1, "pretrain --data empty", []string{"empty", "ingest"}},
	} {
		if o := run(t, dir, strings.Fields(c.args)...).wants(t, c.code, c.want...); o.stdout != "" {
			t.Errorf("%s: stdout %q", c.args, o.stdout)
		}
	}
	demo := demoFolder(t)
	run(t, demo, "retrieve", "runs/demo", "--split", "dev").wants(t, 1, `"dev"`, "heldout, train", "--split")
	run(t, demo, "retrieve", "runs/demo", "--embedding", "mean").wants(t, 2, `"mean"`, "cls")
	run(t, demo, "retrieve", "runs/demo", "--data", dir).wants(t, 1, dir, "ingest")
}

// A checkpoint whose configuration describes a model that its few bytes cannot hold
// is refused before the model's memory is taken.
func TestCheckpointThatClaimsMuch(t *testing.T) {
	dir := demoFolder(t)
	w := checkpoint.New(map[string]string{"format": "avjepa-1", "step": "1", "seed": "0",
		"config": "extends = \"tiny\"\n[model]\nwidth = 12288\ndepth = 64\nheads = 64\n[data]\ndir = \"" +
			toyClips + "\"\n[eval]\nsplit = \"train\"\n"})
	w.AddFloat32("x", []int{1}, []float32{1})
	path := filepath.Join(t.TempDir(), "x.safetensors")
	if err := w.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	run(t, dir, "retrieve", path).wants(t, 13, path+" holds 4 bytes", "damaged")
}
