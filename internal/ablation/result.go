package ablation

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"avjepa/internal/retrieval"
	"avjepa/internal/train"
)

// ResultName is the file of a run's folder that says that it is finished, and how.
const ResultName = "result.json"

// Result is what a finished run measured.
type Result struct {
	Run        string  `json:"run"`
	Preset     string  `json:"preset"` // over the base
	Seed       int64   `json:"seed"`
	Lambda     float64 `json:"lambda"`
	Parameters int     `json:"parameters"`
	Steps      int     `json:"steps"`
	Epochs     float64 `json:"epochs"`
	Seconds    float64 `json:"seconds"` // of training, all processes of the run together
	End        End     `json:"end"`

	// Retrieval is that of the held-out clips: split, embedding and windows a clip.
	Retrieval retrieval.Metrics `json:"retrieval"`
	Split     string            `json:"split"`
	Embedding string            `json:"embedding"`
	Windows   int               `json:"windows"`

	Probe *Probe `json:"probe,omitempty"` // nil when the clips have no labels
}

// End is the mean over the last steps of a run.
type End struct {
	Steps      int     `json:"steps"` // over so many
	Total      float64 `json:"total"`
	Invariance float64 `json:"invariance"`
	SIGReg     float64 `json:"sigreg"`
	Std        float64 `json:"std"`
}

// Probe is the accuracy, as shares, of linear probes on the frozen encoder.
type Probe struct {
	Classes int     `json:"classes"`
	Both    float64 `json:"both"`
	Audio   float64 `json:"audio"`
	Video   float64 `json:"video"`
}

// endShare is the share of a run's steps that EndOf averages: single steps are noisy.
const endShare = 20

// EndOf returns the mean over the last twentieth of a log, at least one step.
func EndOf(log []train.Metrics) End {
	n := len(log) / endShare
	if n == 0 {
		n = min(1, len(log))
	}
	e := End{Steps: n}
	for _, m := range log[len(log)-n:] {
		e.Total += m.Total / float64(n)
		e.Invariance += m.Invariance / float64(n)
		e.SIGReg += m.SIGReg / float64(n)
		e.Std += m.Std / float64(n)
	}
	return e
}

// maxResultBytes is far more than a result takes.
const maxResultBytes = 1 << 20

// ReadResult returns the result in a run's folder, nil without an error when the run is not
// finished.
func ReadResult(dir string) (*Result, error) {
	path := filepath.Join(dir, ResultName)
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := &Result{}
	if err := json.NewDecoder(io.LimitReader(f, maxResultBytes)).Decode(r); err != nil {
		return nil, fmt.Errorf("ablation: %s: %w: remove it, and the run is measured again", path, err)
	}
	return r, nil
}
