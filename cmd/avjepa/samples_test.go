package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"avjepa/internal/report"
)

// losses are what a run's log says of its steps, without what the clock decides.
func losses(t *testing.T, dir string) string {
	t.Helper()
	text := readFile(t, dir, "metrics.jsonl")
	return string(bytes.Join(regexp.MustCompile(`"(?:step|total|sigreg|std|grad_norm)":[^,}]*`).FindAll(text, -1), []byte(" ")))
}

func readSamples(t *testing.T, dir string, step int) *report.Samples {
	t.Helper()
	var s report.Samples
	if err := json.Unmarshal(readFile(t, dir, report.SamplesName(step)), &s); err != nil {
		t.Fatal(err)
	}
	if !s.Valid() || s.Step != step {
		t.Errorf("samples of step %d: %+v", step, s)
	}
	return &s
}

// TestSamples trains with samples and without: they stand beside every checkpoint, are as
// asked for, and change nothing of the training; interrupted and resumed it is the same.
func TestSamples(t *testing.T) {
	runs := t.TempDir()
	every := []string{"--set", "train.steps=6", "--set", "train.checkpoint_every=3", "--set", "train.keep=1"}
	pretrain(t, filepath.Join(runs, "none"), append(every, "--set", "eval.samples=0")...).wants(t, 0)
	pretrain(t, filepath.Join(runs, "some"), append(every, "--set", "eval.samples=10")...).wants(t, 0)
	none, some := filepath.Join(runs, "none", "r"), filepath.Join(runs, "some", "r")
	if a, b := losses(t, none), losses(t, some); a != b || len(a) < 100 {
		t.Errorf("samples change the training:\n%s\n%s", a, b)
	}
	if _, err := os.Stat(filepath.Join(none, report.SamplesDir)); err == nil {
		t.Error("samples that nobody asked for")
	}
	first, last := readSamples(t, some, 3), readSamples(t, some, 6)
	if len(first.Clips) != 10 || first.Split != "heldout" || len(first.Clips[0].Labels) == 0 ||
		len(first.A2V[0].Nearest) != report.SampleNeighbours {
		t.Errorf("%+v", first)
	}
	if a, b := first.A2V[0], last.A2V[0]; a.Nearest[0] == b.Nearest[0] && a.Nearest[1] == b.Nearest[1] {
		t.Error("three steps change nothing of what is found")
	}
	// The same run stopped after four steps and resumed.
	stopped := filepath.Join(runs, "stopped")
	pretrain(t, stopped, append([]string{"--set", "train.steps=6", "--set", "train.checkpoint_every=3", "--set",
		"eval.samples=10"}, "--set", "train.keep=5")...).wants(t, 0)
	if err := os.Remove(filepath.Join(stopped, "r", "checkpoints", "step-00000006.safetensors")); err != nil {
		t.Fatal(err)
	}
	was := readFile(t, stopped, "r", report.SamplesName(6))
	pretrain(t, stopped, append(every, "--set", "eval.samples=10", "--set", "train.keep=5", "--resume")...).wants(t, 0)
	if !bytes.Equal(was, readFile(t, stopped, "r", report.SamplesName(6))) {
		t.Error("a resumed run finds other samples")
	}
	if losses(t, stopped+"/r") != losses(t, some) {
		t.Error("a resumed run trains otherwise")
	}
}
