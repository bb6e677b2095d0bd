package main

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// ablated runs pretrain in the toy's folder with a preset over the demo's.
func ablated(t *testing.T, runs, preset string, args ...string) outcome {
	t.Helper()
	return run(t, demoFolder(t), append([]string{"pretrain", "--runs", runs, "--preset", preset,
		"--data", toyClips, "--threads", "1", "--set", "train.batch_size=8",
		"--set", "loss.directions=32", "--set", "projector.hidden=32"}, args...)...)
}

// TestAblationsTrain takes steps of every ablation of the paper on the demo's clips:
// every number of the log is finite and none of another ablation's.
func TestAblationsTrain(t *testing.T) {
	presets := run(t, t.TempDir(), "config", "presets", "--json").wants(t, 0).object(t)
	seen, tried := map[string]string{}, 0
	for name, about := range presets {
		if !strings.HasPrefix(about.(string), "Over another preset") {
			continue
		}
		tried++
		runs := t.TempDir()
		ablated(t, runs, "demo,"+name, "--steps", "2").wants(t, 0)
		log := readFile(t, runs, "demo-"+name, "metrics.jsonl")
		var last map[string]any
		for sc := bufio.NewScanner(bytes.NewReader(log)); sc.Scan(); {
			last = parse(t, sc.Bytes())
			for _, k := range []string{"total", "invariance", "sigreg", "std", "grad_norm"} {
				if x := number(t, last, k); !(x > 0) {
					t.Errorf("%s: %s is %v", name, k, x)
				}
			}
		}
		key := string(bytes.Join(bytes.Fields(log), nil))
		if last == nil || seen[key] != "" {
			t.Errorf("%s: its log is empty, or that of %s", name, seen[key])
		}
		seen[key] = name
	}
	if tried != 10 {
		t.Errorf("%d ablations among %v", tried, presets)
	}
}

// TestDualRun: a run of two encoders is planned, resumed bit for bit, measured and
// reported as one of a shared encoder is, and is not taken for such.
func TestDualRun(t *testing.T) {
	dir, whole, parts := demoFolder(t), t.TempDir(), t.TempDir()
	shared := ablated(t, whole, "demo", "--dry-run", "--json").wants(t, 0).object(t)
	dual := ablated(t, whole, "demo,dual", "--dry-run", "--json").wants(t, 0).object(t)
	if a, b := number(t, shared, "parameters"), number(t, dual, "parameters"); !(b > 1.3*a && b < 2*a) {
		t.Errorf("%v parameters of two encoders, %v of one", b, a)
	}
	if n := number(t, dual, "tokens"); n != number(t, shared, "tokens")+1 {
		t.Errorf("%v tokens in both sequences", n)
	}
	ablated(t, whole, "demo,dual", "--name", "r", "--steps", "6").wants(t, 0)
	ablated(t, parts, "demo,dual", "--name", "r", "--steps", "6", "--set", "train.checkpoint_every=3",
		"--set", "train.keep=5").wants(t, 0)
	want, _ := lastCheckpoint(t, whole)
	saved, err := filepath.Glob(filepath.Join(parts, "r/checkpoints/step-*.safetensors"))
	if err != nil || len(saved) != 2 {
		t.Fatalf("checkpoints %v, %v, want those of steps 3 and 6", saved, err)
	}
	if err := os.Remove(saved[1]); err != nil {
		t.Fatal(err)
	}
	run(t, dir, "pretrain", "--runs", parts, "--name", "r", "--resume",
		"--set", "train.checkpoint_every=0", "--set", "train.keep=2").wants(t, 0)
	if got, at := lastCheckpoint(t, parts); at != 6 || !bytes.Equal(got, want) {
		t.Errorf("resumed to step %d: another checkpoint than that of a run not interrupted", at)
	}
	run(t, dir, "pretrain", "--runs", parts, "--name", "r", "--resume", "--steps", "7",
		"--set", "model.encoder=shared").wants(t, 13, "encoder.embedding.")

	r := filepath.Join(whole, "r")
	m := run(t, dir, "retrieve", r, "--json").wants(t, 0).object(t)
	if n := number(t, m, "n"); n != 32 {
		t.Errorf("retrieval of %v clips, want 32", n)
	}
	for _, embedding := range []string{"cls", "patches"} {
		run(t, dir, "retrieve", r, "--embedding", embedding).wants(t, 0)
	}
	run(t, dir, "report", r, "--json", "--clips", "2").wants(t, 0)
}
