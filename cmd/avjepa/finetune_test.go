package main

import (
	"bytes"
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mattn/go-runewidth"

	"avjepa/internal/dataset/datasettest"
)

// lab is a folder with a labelled set of three splits, 9 clips each, and a run that was
// pretrained on it for two steps; made once.
var lab struct {
	sync.Once
	dir string
	outcome
}

// labSmall are settings that make everything small.
var labSmall = []string{"--set", "view.seconds=0.8", "--set", "view.frames=4", "--set", "view.side=32",
	"--set", "view.resize=32", "--set", "view.mel_bands=32", "--set", "model.depth=1", "--set", "model.width=32",
	"--set", "model.heads=2", "--set", "model.patch_mel=16", "--set", "model.patch_mel_frames=16",
	"--set", "model.patch=16", "--set", "model.patch_frames=2", "--set", "data.split=fold1", "--set", "eval.split=fold2"}

func labFolder(t *testing.T) string {
	t.Helper()
	lab.Do(func() {
		lab.dir = filepath.Join(scratch, "lab")
		if err := os.Mkdir(lab.dir, 0o755); err != nil {
			t.Fatal(err)
		}
		datasettest.Make(t, datasettest.Config{Dir: filepath.Join(lab.dir, "set"), Clips: 27,
			Splits: []string{"fold1", "fold2", "fold3"}})
		lab.outcome = run(t, lab.dir, append([]string{"pretrain", "--preset", "demo", "--data", "set",
			"--name", "base", "--steps", "2", "--batch-size", "4", "--quiet"}, labSmall...)...)
	})
	lab.wants(t, 0)
	return lab.dir
}

// supervised runs finetune or probe in the lab into runs of its own.
func supervised(t *testing.T, runs, command string, args ...string) outcome {
	t.Helper()
	return run(t, labFolder(t), append([]string{command, "runs/base", "--runs", runs, "--name", "r",
		"--batch-size", "4", "--quiet"}, args...)...)
}

// A probe is trained, says what it found, and is evaluated: the same numbers as its best
// epoch's, with intervals, classes in a CSV.
func TestProbeAndEvaluate(t *testing.T) {
	dir, runs := labFolder(t), t.TempDir()
	m := supervised(t, runs, "probe", "--epochs", "3", "--json").wants(t, 0).object(t)
	for path, want := range map[string]float64{"steps": 6, "epochs": 3, "clips": 9, "validation": 9, "classes": 3} {
		if got := number(t, m, path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	if m["frozen"] != true || m["features"] != "memory" {
		t.Errorf("frozen %v, features in %v", m["frozen"], m["features"])
	}
	csvPath := filepath.Join(runs, "classes.csv")
	e := run(t, dir, "evaluate", filepath.Join(runs, "r"), "--json", "--quiet", "--bootstrap", "50", "--out",
		csvPath).wants(t, 0).object(t)
	best := m["best"].(map[string]any)["scores"].([]any)
	results := e["results"].([]any)
	if len(results) != 6 || len(best) != 6 {
		t.Fatalf("%d results, %d scores of the best epoch", len(results), len(best))
	}
	for i, r := range results {
		a, b := r.(map[string]any), best[i].(map[string]any)
		top := a["top1"].(map[string]any)
		if a["input"] != b["input"] || a["head"] != b["head"] || top["value"] != b["top1"] {
			t.Errorf("evaluated %v, trained %v", a, b)
		}
		if top["ci"] == nil {
			t.Errorf("no interval in %v", a)
		}
	}
	rows, err := csv.NewReader(bytes.NewReader(readFile(t, csvPath))).ReadAll()
	if err != nil || len(rows) != 1+6*3 || rows[1][2] != "3" {
		t.Errorf("classes: %v, %v", rows, err)
	}
	text := run(t, dir, "evaluate", filepath.Join(runs, "r"), "--quiet", "--windows", "2", "--bootstrap", "0").
		wants(t, 0).stdout
	for _, want := range []string{"picture and sound", "attentive", "mAP %", "windows of a clip: 2"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	// Whatever takes a run takes the best epoch of this one.
	r := run(t, dir, "retrieve", filepath.Join(runs, "r"), "--per-class", "2", "--json", "--quiet",
		"--bootstrap", "20").wants(t, 0).object(t)
	if n := number(t, r, "n"); n != 6 {
		t.Errorf("retrieval of %v, want 2 clips of 3 classes", n)
	}
	if r["a2v"].(map[string]any)["ci"] == nil {
		t.Errorf("no intervals in %v", r)
	}
	run(t, dir, "evaluate", "runs/base", "--data", "nowhere", "--quiet").
		wants(t, 13, "no classifier", "avjepa probe")
	run(t, dir, "retrieve", "runs/base", "--data", "nowhere", "--embedding", "x").wants(t, 2, `"x"`, "patches")
	run(t, dir, "retrieve", "runs/base", "--data", "nowhere", "--shift", "-1").wants(t, 2, "--shift -1")
	run(t, dir, "evaluate", filepath.Join(runs, "r"), "--confused", "-1").wants(t, 2, "--confused -1")
	run(t, dir, "evaluate", filepath.Join(runs, "r"), "--data", "nowhere", "--out", "no/such.csv").
		wants(t, 2, "no/such.csv", "folder")
	for _, command := range []string{"evaluate", "retrieve"} {
		text := run(t, dir, command, filepath.Join(runs, "r"), "--quiet", "--bootstrap", "50").wants(t, 0).stdout
		if !strings.Contains(text, "[") {
			t.Errorf("%s: no intervals in\n%s", command, text)
		}
		before, _, _ := strings.Cut(text, "in brackets")
		for line := range strings.Lines(before) {
			if n := runewidth.StringWidth(strings.TrimSpace(line)); n > 80 {
				t.Errorf("%s: a table %d columns wide:\n%s", command, n, line)
			}
		}
	}
	run(t, dir, "evaluate", filepath.Join(runs, "r"), "--split", "none", "--quiet").wants(t, 1, "fold1, fold2")
}

// A fine-tuned run changes the encoder, refuses to begin again, and resumes at its end
// without a step.
func TestFinetune(t *testing.T) {
	runs := t.TempDir()
	plan := supervised(t, runs, "finetune", "--epochs", "2", "--dry-run", "--json").wants(t, 0).object(t)
	if a, b := number(t, plan, "parameters"), number(t, plan, "trained"); a != b || number(t, plan, "steps") != 4 {
		t.Errorf("plan %v", plan)
	}
	if left, err := os.ReadDir(runs); err != nil || len(left) > 0 {
		t.Errorf("a dry run left %v, %v", left, err)
	}
	m := supervised(t, runs, "finetune", "--epochs", "2", "--modality", "audio", "--hold-out", "fold3",
		"--json").wants(t, 0).object(t)
	if n := number(t, m, "clips"); n != 18 {
		t.Errorf("trained on %v clips, want those of two folds", n)
	}
	supervised(t, runs, "finetune", "--epochs", "2").wants(t, 1, "--resume")
	again := run(t, labFolder(t), "finetune", "--runs", runs, "--name", "r", "--resume", "--json", "--quiet").
		wants(t, 0).object(t)
	if a, b := number(t, m, "steps"), number(t, again, "steps"); a != b {
		t.Errorf("%v steps, %v after going on", a, b)
	}
	supervised(t, runs, "finetune", "--name", "x", "--batch-size", "400").wants(t, 1, "finetune.batch_size = 400")
	supervised(t, runs, "finetune", "--name", "x", "--modality", "smell").wants(t, 11, "finetune.modality")
	supervised(t, runs, "finetune", "--name", "x", "--set", "eval.split=fold1").wants(t, 11, "both")
}

// A set smaller than the default batch is taken whole, which is said; who asked for more is
// told that there is not as much.
func TestProbeOfATinySet(t *testing.T) {
	runs, dir := t.TempDir(), labFolder(t)
	o := run(t, dir, "probe", "runs/base", "--runs", runs, "--name", "r", "--epochs", "2", "--json").
		wants(t, 0, "finetune.batch_size is 9, not 320")
	if n := number(t, o.object(t), "steps"); n != 2 {
		t.Errorf("%v steps of 9 clips in 2 epochs", n)
	}
	run(t, dir, "probe", "--runs", runs, "--name", "r", "--resume", "--quiet").wants(t, 0)
	run(t, dir, "probe", "runs/base", "--runs", runs, "--name", "x", "--set", "finetune.batch_size=10").
		wants(t, 1, "9 labelled clips", "--batch-size")
}

// Cross-validation holds out every split, and tells mean and deviation.
func TestCrossValidate(t *testing.T) {
	runs := t.TempDir()
	m := supervised(t, runs, "probe", "--epochs", "1", "--cross-validate", "--json").wants(t, 0).object(t)
	if n := len(m["folds"].([]any)); n != 3 {
		t.Errorf("%d folds", n)
	}
	if n := len(m["mean"].([]any)); n != 6 {
		t.Errorf("%d means", n)
	}
	for _, name := range []string{"fold1/best.safetensors", "fold3/finetune.json", "cross.json"} {
		readFile(t, runs, "r", name)
	}
	text := supervised(t, runs, "probe", "--epochs", "1", "--cross-validate", "--resume").wants(t, 0).stdout
	if !strings.Contains(text, "± std") || !strings.Contains(text, "fold2 held out") {
		t.Errorf("shows\n%s", text)
	}
}
