package main

import (
	"bytes"
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tinyPlan are runs of moments on the toy's clips.
const tinyPlan = `name = "x"
data = "` + toyClips + `"
base = "demo"
steps = 40
set = ["train.batch_size=8", "loss.directions=32", "projector.hidden=32", "engine.threads=1",
  "model.depth=1", "model.width=48", "train.checkpoint_every=10"]
[[run]]
name = "baseline"
[[run]]
name = "none"
preset = "no-masking"
[[compare]]
name = "masking"
runs = ["baseline", "none"]
`

// ablateArgs runs ablate on a plan, with results below runs.
func ablateArgs(t *testing.T, runs, plan string, args ...string) []string {
	t.Helper()
	file := writeFile(t, plan, t.TempDir(), "plan.toml")
	return append([]string{"ablate", file, "--runs", runs}, args...)
}

// TestAblate makes two runs, interrupts the same two and goes on: all comes out the same,
// and what is finished is not made again.
func TestAblate(t *testing.T) {
	dir, whole, parts := demoFolder(t), t.TempDir(), t.TempDir()
	dry := run(t, dir, ablateArgs(t, whole, tinyPlan, "--dry-run")...).wants(t, 0)
	if !strings.Contains(dry.stdout, "2 of 2 runs to make") {
		t.Errorf("--dry-run says\n%s", dry.stdout)
	}
	if left, err := os.ReadDir(whole); err != nil || len(left) > 0 {
		t.Errorf("--dry-run left %v, %v", left, err)
	}
	sum := run(t, dir, ablateArgs(t, whole, tinyPlan, "--json")...).wants(t, 0).object(t)
	if n := len(sum["results"].([]any)); n != 2 {
		t.Errorf("%d results", n)
	}
	if n := len(sum["verdicts"].([]any)); n != 2 { // of no masking: invariance, deviation
		t.Errorf("%d verdicts", n)
	}
	for _, name := range []string{"summary.json", "table.md", "table.csv", "report.html",
		"figures/masking-total-light.svg", "figures/masking-std-dark.svg", "none-seed0/result.json"} {
		if len(readFile(t, whole, "x", name)) < 100 {
			t.Errorf("%s is empty", name)
		}
	}

	c := command(dir, ablateArgs(t, parts, tinyPlan)...)
	var errs bytes.Buffer
	c.Stderr = &errs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	waitForLine(t, filepath.Join(parts, "x/none-seed0/metrics.jsonl"))
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	outcome{c.ProcessState.ExitCode(), "", errs.String()}.wants(t, 130, "run none-seed0",
		"the same command goes on from here")
	first := readFile(t, parts, "x/baseline-seed0/result.json")
	o := run(t, dir, ablateArgs(t, parts, tinyPlan)...).wants(t, 0, "run 1 of 1: none-seed0")
	if !strings.Contains(o.stdout, "reproduced") || !strings.Contains(o.stdout, "report.html") {
		t.Errorf("stdout:\n%s", o.stdout)
	}
	if !bytes.Equal(first, readFile(t, parts, "x/baseline-seed0/result.json")) {
		t.Error("a finished run was made again")
	}
	for _, name := range []string{"baseline-seed0", "none-seed0"} {
		checkpoint := filepath.Join("x", name, "checkpoints/step-00000040.safetensors")
		if !bytes.Equal(readFile(t, whole, checkpoint), readFile(t, parts, checkpoint)) {
			t.Errorf("%s ends in another checkpoint than that of a run not interrupted", name)
		}
	}
	if a, b := measured(t, whole), measured(t, parts); a != b {
		t.Errorf("interrupted:\n%s\nnot interrupted:\n%s", b, a)
	}
}

// measured is table.csv without its last column, which is time.
func measured(t *testing.T, runs string) string {
	t.Helper()
	lines, err := csv.NewReader(bytes.NewReader(readFile(t, runs, "x/table.csv"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, l := range lines {
		text.WriteString(strings.Join(l[:len(l)-1], ",") + "\n")
	}
	return text.String()
}

// TestAblateInParts: --only makes some, others follow; figures are drawn anew from what is
// there, and nothing is mixed with runs of other settings.
func TestAblateInParts(t *testing.T) {
	dir, runs := demoFolder(t), t.TempDir()
	short := strings.Replace(tinyPlan, "steps = 40", "steps = 3", 1)
	run(t, dir, ablateArgs(t, runs, short, "--figures-only")...).wants(t, 1, "nothing to draw")
	o := run(t, dir, ablateArgs(t, runs, short, "--only", "none")...).wants(t, 0)
	if !strings.Contains(o.stdout, "not finished: baseline-seed0") {
		t.Errorf("does not say what is missing:\n%s", o.stdout)
	}
	run(t, dir, ablateArgs(t, runs, short, "--only", "nobody")...).wants(t, 2, "nobody", "baseline, none")

	old := writeFile(t, "<svg/>", runs, "x/figures/gone-light.svg")
	figure := filepath.Join(runs, "x/figures/masking-total-light.svg")
	if err := os.Remove(figure); err != nil {
		t.Fatal(err)
	}
	probes := `{"step":1,"epoch":0.1,"clips":8,"classes":8,"both":{"linear_top1":0.5}}` + "\n"
	writeFile(t, probes, runs, "x/none-seed0/probes.jsonl")
	run(t, dir, ablateArgs(t, runs, short, "--figures-only")...).wants(t, 0)
	readFile(t, figure)
	readFile(t, runs, "x/figures/masking-probe-linear-dark.svg")
	if _, err := os.Stat(old); err == nil {
		t.Error("a figure of an earlier drawing is left")
	}

	longer := strings.Replace(tinyPlan, "steps = 40", "steps = 4", 1)
	for _, args := range [][]string{nil, {"--figures-only"}, {"--dry-run"}} {
		run(t, dir, ablateArgs(t, runs, longer, args...)...).wants(t, 13, "train.steps = 3, now 4", "none-seed0")
	}
	run(t, dir, ablateArgs(t, runs, short, "--set", "engine.threads=2", "--set", "eval.embedding=cls")...).
		wants(t, 0, "run 2 of 2: none-seed0") // is measured again, not trained
	if n := strings.Count(string(readFile(t, runs, "x/none-seed0/metrics.jsonl")), "\n"); n != 3 {
		t.Errorf("%d steps in the log", n)
	}
}

func TestAblateRefuses(t *testing.T) {
	dir, runs := t.TempDir(), t.TempDir()
	for name, c := range map[string]struct {
		old, new string
		code     int
		want     string
	}{
		"unknown key": {"steps", "stepps", exitConfig, "stepps"},
		"escape":      {`"x"`, `"../x"`, exitConfig, "name ="},
		"setting":     {"model.depth=1", "model.dept=1", exitConfig, "model.depth"},
		"value":       {"model.depth=1", "model.depth=-1", exitConfig, "run baseline"},
		"preset":      {`"no-masking"`, `"nothing"`, exitConfig, "run none"},
		"no data":     {toyClips, "data/nowhere", exitError, "nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, dir, ablateArgs(t, runs, strings.Replace(tinyPlan, c.old, c.new, 1), "--dry-run")...).
				wants(t, c.code, c.want)
		})
	}
	run(t, dir, "ablate", "none.toml").wants(t, exitError, "none.toml")
	run(t, dir, "ablate").wants(t, exitUsage, "FILE")
	if left, err := os.ReadDir(runs); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}
