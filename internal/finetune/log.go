package finetune

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"avjepa/internal/train"
)

// StepMetrics is a line of metrics.jsonl: what a step measured.
type StepMetrics struct {
	Step       int     `json:"step"`  // from 1
	Epoch      float64 `json:"epoch"` // passes over the clips after this step
	Loss       float64 `json:"loss"`  // of both heads
	Linear     float64 `json:"linear"`
	Attentive  float64 `json:"attentive,omitempty"`
	LR         float64 `json:"lr"` // of the heads
	BackboneLR float64 `json:"backbone_lr"`
	GradNorm   float64 `json:"grad_norm"` // before clipping, of all that is trained
	Seconds    float64 `json:"seconds"`
	ClipsPerS  float64 `json:"clips_per_s"`
	WaitShare  float64 `json:"wait_share"`
}

// EpochMetrics is a line of epochs.jsonl: what an epoch gave.
type EpochMetrics struct {
	Epoch     int     `json:"epoch"` // from 1
	Step      int     `json:"step"`  // its last
	Loss      float64 `json:"loss"`  // means over its steps
	Linear    float64 `json:"linear"`
	Attentive float64 `json:"attentive,omitempty"`
	LR        float64 `json:"lr"` // of the heads, at its last step
	Scores    []Score `json:"scores"`
	Best      bool    `json:"best"` // of all epochs so far, by the metric that chooses
}

// Score is how well one head does on one input of the validation clips.
type Score struct {
	Input string   `json:"input"` // both, audio or video
	Head  string   `json:"head"`  // attentive or linear
	Top1  *float64 `json:"top1,omitempty"`
	Top5  *float64 `json:"top5,omitempty"`
	MAP   *float64 `json:"map,omitempty"`
}

// Names in a run folder.
const (
	stepsName  = "metrics.jsonl"
	epochsName = "epochs.jsonl"
)

// openLog opens a log of JSON lines for appending, without the lines that keep refuses:
// those written between the last checkpoint and a crash. A broken line ends it.
func openLog(run *train.Folder, name string, keep func(line []byte) bool) (*os.File, error) {
	path := filepath.Join(run.Dir, name)
	var kept bytes.Buffer
	old, err := os.Open(path)
	switch {
	case err == nil:
		defer old.Close()
		sc := bufio.NewScanner(old)
		sc.Buffer(nil, maxLine)
		for sc.Scan() && json.Valid(sc.Bytes()) {
			if keep(sc.Bytes()) {
				kept.Write(append(sc.Bytes(), '\n'))
			}
		}
	case !errors.Is(err, os.ErrNotExist):
		return nil, err
	}
	if err := run.Write(name, kept.Bytes()); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
}

// appendLine writes v as a line, at once: a crash costs none.
func appendLine(f *os.File, v any) error {
	line, err := json.Marshal(v)
	if err == nil {
		_, err = f.Write(append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("finetune: %s: %w", f.Name(), err)
	}
	return nil
}

// ReadEpochs returns the epochs of a run.
func ReadEpochs(dir string) ([]EpochMetrics, error) { return readLog[EpochMetrics](dir, epochsName) }

// ReadSteps returns the steps of a run.
func ReadSteps(dir string) ([]StepMetrics, error) { return readLog[StepMetrics](dir, stepsName) }

// Bounds on what is read of a log.
const (
	maxLine  = 1 << 20
	maxLines = 1 << 23
)

// readLog returns the lines of a log of a run. A last line cut short by a crash is left
// out; any other broken line is an error.
func readLog[T any](dir, name string) ([]T, error) {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []T
	var broken error
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, maxLine)
	for line := 1; sc.Scan(); line++ {
		if broken != nil {
			return nil, broken
		}
		var m T
		if err := json.Unmarshal(sc.Bytes(), &m); err != nil {
			broken = fmt.Errorf("finetune: %s line %d: %w", f.Name(), line, err)
			continue
		}
		if len(all) == maxLines {
			return nil, fmt.Errorf("finetune: %s has more than %d lines", f.Name(), maxLines)
		}
		all = append(all, m)
	}
	return all, sc.Err()
}

// String is the number that counts: top-1, or mAP, in per cent.
func (s Score) String() string {
	switch {
	case s.Top1 != nil:
		return fmt.Sprintf("top-1 %.1f %%", 100**s.Top1)
	case s.MAP != nil:
		return fmt.Sprintf("mAP %.1f %%", 100**s.MAP)
	}
	return "–"
}
