package main

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// The toy demo: clips lie in toyClips below the folder.
const toyClips = "data/demo/clips-64-32"

var toy = struct {
	sync.Once
	dir string
	outcome
}{}

// small is a configuration that trains in moments on the toy's clips.
var small = []string{"--preset", "demo", "--data", toyClips, "--threads", "1",
	"--set", "model.width=64", "--set", "model.depth=3", "--set", "model.heads=2",
	"--set", "train.batch_size=16", "--set", "loss.directions=32", "--set", "projector.hidden=32"}

// demoFolder returns a folder in which a toy demo has run.
func demoFolder(t *testing.T) string {
	t.Helper()
	needsFFmpeg(t)
	toy.Do(func() {
		toy.dir = filepath.Join(scratch, "toy")
		if err := os.Mkdir(toy.dir, 0o755); err != nil {
			t.Fatal(err)
		}
		toy.outcome = run(t, toy.dir, "demo", "--scenes", "64", "--held-out", "32",
			"--set", "train.steps=12")
	})
	toy.wants(t, 0)
	return toy.dir
}

// pretrain runs pretrain in the toy's folder into a run folder of its own.
func pretrain(t *testing.T, runs string, args ...string) outcome {
	t.Helper()
	return finish(t, command(demoFolder(t), pretrainArgs(runs, args...)...))
}

func pretrainArgs(runs string, args ...string) []string {
	return append(append([]string{"pretrain", "--runs", runs, "--name", "r"}, small...), args...)
}

func TestDemoFromNothingToReport(t *testing.T) {
	dir := demoFolder(t)
	sum := parse(t, readFile(t, dir, "runs/demo/summary.json"))
	for _, path := range []string{"seconds", "stages.pretrain", "retrieval.a2v.r5", "retrieval.a2v.r10",
		"retrieval.v2a.r1", "retrieval.v2a.median", "probe.video.top1", "probe.both.top1"} {
		number(t, sum, path)
	}
	for path, want := range map[string]float64{"retrieval.n": 32, "clips.train": 64, "clips.heldout": 32,
		"pretrain.steps": 12, "probe.classes": 8, "seed": 0} {
		if got := number(t, sum, path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	for _, path := range []string{"retrieval.a2v.r1", "probe.audio.top1"} {
		if x := number(t, sum, path); !(x >= 0 && x <= 1) {
			t.Errorf("%s is %v: not a share", path, x)
		}
	}
	if n := number(t, sum, "pretrain.last.total"); !(n > 0) {
		t.Errorf("last loss %v", n)
	}
	page := string(readFile(t, dir, "runs/demo/report.html"))
	for _, text := range []string{"<!doctype html", "Retrieval", "data:image/", "avjepa demo --fresh"} {
		if !strings.Contains(strings.ToLower(page), strings.ToLower(text)) {
			t.Errorf("report.html lacks %q", text)
		}
	}
	if target, err := os.Readlink(filepath.Join(dir, "runs/latest")); err != nil || target != "demo" {
		t.Errorf("runs/latest points at %q, %v", target, err)
	}
}

func TestDemoSeparatesResultsFromProgress(t *testing.T) {
	demoFolder(t)
	for _, word := range []string{"retrieval of 32", "sound → picture", "chance", "linear probe", "report.html"} {
		if !strings.Contains(toy.stdout, word) {
			t.Errorf("stdout lacks %q:\n%s", word, toy.stdout)
		}
	}
	for _, line := range strings.Split(toy.stdout, "\n") {
		if n := len([]rune(line)); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	for _, stage := range []string{"scenes", "ingest", "statistics", "pretrain", "embed", "probe"} {
		if n := strings.Count(toy.stderr, "\n"+stage) + strings.Count(toy.stderr[:len(stage)], stage); n == 0 {
			t.Errorf("stderr lacks stage %s:\n%s", stage, toy.stderr)
		}
	}
	if strings.Contains(toy.stdout, "done") || strings.Contains(toy.stderr, "sound →") {
		t.Errorf("results and progress are mixed:\nstdout: %s\nstderr: %s", toy.stdout, toy.stderr)
	}
}

// A finished demo has nothing to do again: it gives the same figures.
func TestDemoAgainKeepsTheRun(t *testing.T) {
	dir := demoFolder(t)
	before := readFile(t, dir, "runs/demo/metrics.jsonl")
	peak := number(t, parse(t, readFile(t, dir, "runs/demo/pretrain.json")), "peak_rss_mb")
	o := run(t, dir, "demo", "--scenes", "64", "--held-out", "32", "--json", "--quiet").wants(t, 0)
	if o.stderr != "" {
		t.Errorf("--quiet wrote %q", o.stderr)
	}
	sum := o.object(t)
	if n := number(t, sum, "pretrain.steps"); n != 12 {
		t.Errorf("%v steps, want those of the run, 12", n)
	}
	if n := number(t, sum, "pretrain.peak_rss_mb"); !(n >= peak) {
		t.Errorf("%v MB at most, forgot the %v of the training", n, peak)
	}
	if x := number(t, sum, "pretrain.last.std"); !(x > 0) {
		t.Errorf("std %v of a run that is finished", x)
	}
	if string(before) != string(readFile(t, dir, "runs/demo/metrics.jsonl")) {
		t.Error("metrics.jsonl changed")
	}
}

func TestRetrieveReportAndStats(t *testing.T) {
	dir := demoFolder(t)
	o := run(t, dir, "retrieve", "runs/demo", "--json").wants(t, 0, "embed")
	m := o.object(t)
	if n := number(t, m, "n"); n != 32 {
		t.Errorf("n = %v, want 32", n)
	}
	for _, d := range []string{"a2v", "v2a"} {
		for _, k := range []string{"r1", "r5", "r10", "median"} {
			number(t, m, d+"."+k)
		}
	}
	run(t, dir, "retrieve", "runs/latest", "--split", "train", "--embedding", "cls", "--windows", "2",
		"--center").wants(t, 0)
	report := run(t, dir, "report", "runs/latest", "--json", "--clips", "2").wants(t, 0).object(t)
	if report["report"] != "runs/demo/report.html" {
		t.Errorf("report at %v", report["report"])
	}
	stats := run(t, dir, "data", "stats", toyClips, "--mel-bands", "64", "--json").wants(t, 0, "statistics").object(t)
	if n := number(t, stats, "clips"); n != 96 {
		t.Errorf("statistics of %v clips, want 96", n)
	}
	if std := number(t, stats, "mel_std"); !(std > 1 && std < 100) {
		t.Errorf("mel_std %v dB", std)
	}
}
