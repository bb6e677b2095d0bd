package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"avjepa/internal/checkpoint"
	"avjepa/internal/dataset/datasettest"
)

// TestOnlineProbes: a run with probes is planned, logged, resumed bit for bit, reported
// and used as any other, and linear ones leave the encoder as it is without.
func TestOnlineProbes(t *testing.T) {
	dir, runs, parts := demoFolder(t), t.TempDir(), t.TempDir()
	every := []string{"--steps", "10", "--online-probes", "--set", "probe.every=4",
		"--set", "probe.clips=20"}
	bare := pretrain(t, runs, "--dry-run", "--json").wants(t, 0).object(t)
	with := pretrain(t, runs, append(every, "--dry-run", "--json")...).wants(t, 0).object(t)
	probes := number(t, with, "probe_bytes")
	a, b := number(t, bare, "total_bytes"), number(t, with, "total_bytes")
	if !(probes > 0 && b > a+.9*probes) {
		t.Errorf("%v bytes of probes in %v, %v without", probes, b, a)
	}
	if bare["probe_bytes"] != nil {
		t.Error("a run without probes has memory for them")
	}
	m := pretrain(t, runs, append(every, "--json")...).wants(t, 0).object(t)
	for path, want := range map[string]float64{"probes.step": 10, "probes.clips": 20,
		"probes.classes": 8} {
		if got := number(t, m, path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	for _, path := range []string{"probes.both.linear_top1", "probes.audio.attentive_top5",
		"probes.video.attentive_top1", "last.probe_linear", "last.probe_attentive", "last.probe_unimodal"} {
		if x := number(t, m, path); !(x >= 0) {
			t.Errorf("%s is %v", path, x)
		}
	}
	lines := readFile(t, runs, "r/probes.jsonl")
	if n := bytes.Count(lines, []byte("\n")); n != 3 {
		t.Errorf("%d evaluations, want those of steps 4, 8 and 10", n)
	}

	pretrain(t, parts, append(every, "--set", "train.checkpoint_every=5",
		"--set", "train.keep=5")...).wants(t, 0)
	saved, err := filepath.Glob(filepath.Join(parts, "r/checkpoints/*"))
	if err != nil || len(saved) != 2 {
		t.Fatalf("checkpoints %v, %v", saved, err)
	}
	if err := os.Remove(saved[1]); err != nil {
		t.Fatal(err)
	}
	o := run(t, dir, "pretrain", "--runs", parts, "--name", "r", "--resume",
		"--set", "train.checkpoint_every=0", "--set", "train.keep=2").wants(t, 0)
	if !strings.Contains(o.stdout, "online probes after step 10, top-1 of 20 held-out clips, "+
		"8 classes, linear ") {
		t.Errorf("said\n%s", o.stdout)
	}
	want, _ := lastCheckpoint(t, runs)
	if got, at := lastCheckpoint(t, parts); at != 10 || !bytes.Equal(got, want) {
		t.Errorf("resumed to step %d: another checkpoint", at)
	}
	if got := readFile(t, parts, "r/probes.jsonl"); !bytes.Equal(got, lines) {
		t.Errorf("resumed: evaluations\n%s, want\n%s", got, lines)
	}
	useProbed(t, dir, filepath.Join(runs, "r"))
}

// useProbed sees that a run with probes is evaluated, reported and exported, without them.
func useProbed(t *testing.T, dir, r string) {
	t.Helper()
	run(t, dir, "retrieve", r, "--json").wants(t, 0)
	run(t, dir, "report", r, "--clips", "1").wants(t, 0)
	page := string(readFile(t, r, "report.html"))
	for _, text := range []string{"Online linear probe, top-1", "Online attentive probe, top-1",
		"Losses of the online probes"} {
		if !strings.Contains(page, text) {
			t.Errorf("no %q in the report", text)
		}
	}
	readFile(t, r, "figures/probe-top5-dark.svg")
	out := filepath.Join(t.TempDir(), "m.safetensors")
	run(t, dir, "export", r, "--out", out).wants(t, 0)
	f, err := checkpoint.Read(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range f.Names() {
		if strings.Contains(name, "probe") {
			t.Errorf("%s is exported", name)
		}
	}
}

// TestLinearProbesLeaveTheRun: without the attentive probe a run logs the losses that it
// logs without any, to the last digit.
func TestLinearProbesLeaveTheRun(t *testing.T) {
	alone, beside := t.TempDir(), t.TempDir()
	pretrain(t, alone, "--steps", "6").wants(t, 0)
	pretrain(t, beside, "--steps", "6", "--online-probes", "--set", "probe.attentive=false").wants(t, 0)
	read := func(runs string) map[string][]float32 {
		path := filepath.Join(runs, "r/checkpoints/step-00000006.safetensors")
		f, err := checkpoint.Read(path)
		if err != nil {
			t.Fatal(err)
		}
		all := map[string][]float32{}
		for _, n := range f.Names() {
			a, err := f.Float32(n)
			if err != nil {
				t.Fatal(err)
			}
			all[n] = a.Data
		}
		return all
	}
	want, got := read(alone), read(beside)
	if len(got) != len(want)+3*4 {
		t.Errorf("%d arrays, want %d and those of the linear probe", len(got), len(want))
	}
	for name, x := range want {
		if !slices.Equal(x, got[name]) {
			t.Errorf("%s differs where a probe is trained", name)
		}
	}
}

// TestProbesNeedLabels: without labels, and with clips of no split to evaluate on, the
// error says what to do, before anything is written.
func TestProbesNeedLabels(t *testing.T) {
	data, runs := t.TempDir(), t.TempDir()
	datasettest.Make(t, datasettest.Config{Dir: data, Clips: 8, Seconds: 3,
		Labels: func(int) []string { return nil }})
	args := []string{"pretrain", "--preset", "demo", "--data", data, "--runs", runs, "--name", "r",
		"--batch-size", "4", "--steps", "2", "--online-probes"}
	run(t, data, args...).wants(t, 1, "none of the 8 clips has a label", "probe.online=false")
	run(t, data, append(args, "--dry-run")...).wants(t, 1, "none of the 8 clips has a label")
	pretrain(t, runs, "--online-probes", "--set", "probe.split=nowhere").wants(t, 1, `split "nowhere"`,
		"probe.split")
	pretrain(t, runs, "--online-probes", "--set", "train.micro_batch=4").wants(t, 11,
		"probe.attentive = false")
	if left, err := filepath.Glob(filepath.Join(runs, "r/checkpoints/*")); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}
