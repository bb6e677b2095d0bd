package servertest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"avjepa/internal/config"
	"avjepa/internal/report"
	"avjepa/internal/train"
)

// Step returns what step i of a run might measure.
func Step(i int) train.Metrics {
	x := float64(i)
	return train.Metrics{Step: i, Epoch: x / 50, Total: .3 + 2*math.Exp(-x/40), Invariance: .05 + .3*math.Exp(-x/30),
		SIGReg: 1.1 + 20*math.Exp(-x/25), Std: 1 - .8*math.Exp(-x/20), LR: 1e-3, GradNorm: 1 + math.Sin(x)/2,
		Seconds: .02, ClipsPerS: 800, GFLOPS: 60, WaitShare: .01}
}

// WriteRun writes the folder of a run of some steps, which is over.
func WriteRun(t testing.TB, dir, name string, steps int) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Join(path, "checkpoints"), 0o755); err != nil {
		t.Fatal(err)
	}
	cfg := config.New()
	if err := cfg.ApplyPreset("demo"); err != nil {
		t.Fatal(err)
	}
	if err := cfg.Set("train.steps", fmt.Sprint(steps), "test"); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	for i := range steps {
		text, err := json.Marshal(Step(i + 1))
		if err != nil {
			t.Fatal(err)
		}
		log.Write(append(text, '\n'))
	}
	for file, text := range map[string]string{"config.toml": cfg.TOML(), "metrics.jsonl": log.String(),
		"summary.json": `{"retrieval": {"n": 200, "a2v": {"r1": 0.15}, "v2a": {"r1": 0.12}}}`,
		"probes.jsonl": `{"step": 20, "epoch": 0.4, "clips": 40, "classes": 8, "both": {"linear_top1": 0.5}, ` +
			`"audio": {}, "video": {}}` + "\n"} {
		if err := os.WriteFile(filepath.Join(path, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(path, "pretrain.json"), []byte(`{"steps": 1}`), 0o644); err != nil {
		t.Fatal(err)
	}
}

// WriteSamples writes what a run found after some of its steps for clips with these names:
// at first nothing, later more and more of them find their own other half.
func WriteSamples(t testing.TB, dir, name string, names []string, steps ...int) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, name, report.SamplesDir), 0o755); err != nil {
		t.Fatal(err)
	}
	n := len(names)
	for k, step := range steps {
		s := report.Samples{Step: step, Split: "heldout", Embedding: "projected"}
		audio, video := make([]float32, n*n), make([]float32, n*n)
		for i, key := range names {
			s.Clips = append(s.Clips, report.SampleClip{Key: key, Labels: []string{"kind"}})
			audio[i*n+i], video[i*n+i], video[i*n+(i+1)%n] = 1, float32(k), float32(len(steps)-1-k)+.5
		}
		err := s.Fill(audio, video, n)
		text, errText := json.Marshal(&s)
		if err = errors.Join(err, errText); err == nil {
			err = os.WriteFile(filepath.Join(dir, name, report.SamplesName(step)), text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Append adds steps to the log of a run, as one that trains does.
func Append(t testing.TB, dir, name string, from, to int) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, name, "metrics.jsonl"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i := from; i <= to; i++ {
		text, err := json.Marshal(Step(i))
		if err == nil {
			_, err = f.Write(append(text, '\n'))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
