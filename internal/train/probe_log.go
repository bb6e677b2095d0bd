package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ProbeLog is one line of probes.jsonl: an evaluation of the online probes on held-out
// clips.
type ProbeLog struct {
	Step    int     `json:"step"`
	Epoch   float64 `json:"epoch"`
	Clips   int     `json:"clips"` // evaluated; those that could not be read are not among them
	Classes int     `json:"classes"`

	Both  ProbeScores `json:"both"` // with sound and picture
	Audio ProbeScores `json:"audio"`
	Video ProbeScores `json:"video"`
}

// ProbeScores are shares of 1: of clips whose class is the first, or among the first 5;
// where clips have several labels instead the mean over classes of the average
// precision. What was not measured is nil.
type ProbeScores struct {
	LinearTop1    *float64 `json:"linear_top1,omitempty"`
	LinearTop5    *float64 `json:"linear_top5,omitempty"`
	AttentiveTop1 *float64 `json:"attentive_top1,omitempty"`
	AttentiveTop5 *float64 `json:"attentive_top5,omitempty"`
	LinearMAP     *float64 `json:"linear_map,omitempty"`
	AttentiveMAP  *float64 `json:"attentive_map,omitempty"`
}

// Linear and Attentive return the head's main number, top-1 or mAP; nil without one.
func (s ProbeScores) Linear() *float64 { return either(s.LinearTop1, s.LinearMAP) }

func (s ProbeScores) Attentive() *float64 { return either(s.AttentiveTop1, s.AttentiveMAP) }

func either(a, b *float64) *float64 {
	if a != nil {
		return a
	}
	return b
}

const probesName = "probes.jsonl"

// probeLog appends to probes.jsonl.
type probeLog struct{ f *os.File }

// openProbes opens the log of evaluations of a run that stands at step, without lines
// of later steps.
func (f *Folder) openProbes(step int) (*probeLog, error) {
	if err := f.cutProbes(step); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(f.Dir, probesName), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	return &probeLog{file}, nil
}

// cutProbes drops lines of later steps from the log of evaluations, if there is one.
func (f *Folder) cutProbes(step int) error {
	old, err := ReadProbes(f.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var kept []byte
	for _, l := range old {
		if l.Step > step {
			continue
		}
		line, err := json.Marshal(l)
		if err != nil {
			return err
		}
		kept = append(append(kept, line...), '\n')
	}
	return f.Write(probesName, kept)
}

func (l *probeLog) add(line ProbeLog) error {
	text, err := json.Marshal(line)
	if err == nil {
		_, err = l.f.Write(append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("train: evaluation of step %d: %w", line.Step, err)
	}
	return nil
}

// close makes the log durable.
func (l *probeLog) close() error { return errors.Join(l.f.Sync(), l.f.Close()) }

// ReadProbes returns the evaluations of a run's online probes, as ReadMetrics does the
// steps. The error is fs.ErrNotExist for a run without.
func ReadProbes(dir string) ([]ProbeLog, error) { return readLog[ProbeLog](dir, probesName) }

// lastEvaluated returns the step of the last evaluation in the log up to a step, −1 for
// none. A log that cannot be read is an error of opening it, not here.
func (f *Folder) lastEvaluated(step int) int {
	last := -1
	lines, err := ReadProbes(f.Dir)
	if err != nil {
		return last
	}
	for _, l := range lines {
		if l.Step <= step {
			last = l.Step
		}
	}
	return last
}
