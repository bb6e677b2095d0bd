package train

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
)

// Metrics is one line of metrics.jsonl: what a step measured.
type Metrics struct {
	Step       int     `json:"step"`       // from 1
	Epoch      float64 `json:"epoch"`      // passes over the data after this step
	Total      float64 `json:"total"`      // (1−λ)·invariance + λ·SIGReg
	Invariance float64 `json:"invariance"` // prediction loss
	SIGReg     float64 `json:"sigreg"`     // unweighted, mean over views
	Std        float64 `json:"std"`        // of the projections, mean over dimensions
	LR         float64 `json:"lr"`
	GradNorm   float64 `json:"grad_norm"` // before clipping
	Seconds    float64 `json:"seconds"`   // of the step
	ClipsPerS  float64 `json:"clips_per_s"`
	GFLOPS     float64 `json:"gflops"`     // of the step, blocks and patches
	WaitShare  float64 `json:"wait_share"` // of the step spent waiting for data

	// Losses of the online probes, not there without: the unimodal one is the mean over
	// audio-only and video-only locals.
	ProbeLinear    float64 `json:"probe_linear,omitempty"`
	ProbeAttentive float64 `json:"probe_attentive,omitempty"`
	ProbeUnimodal  float64 `json:"probe_unimodal,omitempty"`
}

const metricsName = "metrics.jsonl"

// metricsLog appends to metrics.jsonl: a line a step, written at once, so that a
// crash costs none and readers see a run as it goes.
type metricsLog struct {
	f    *os.File
	line []byte
}

// openLog opens the log of a run that stands at step: lines of later steps,
// written between the last checkpoint and a crash, are dropped, because the
// steps will be made again.
func (f *Folder) openLog(step int) (*metricsLog, error) {
	path := filepath.Join(f.Dir, metricsName)
	old, err := ReadMetrics(f.Dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var kept []byte
	for i := range old {
		if old[i].Step <= step {
			kept = old[i].appendJSON(kept)
		}
	}
	if err := f.Write(metricsName, kept); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, err
	}
	return &metricsLog{f: file}, nil
}

func (l *metricsLog) add(m *Metrics) error {
	l.line = m.appendJSON(l.line[:0])
	if _, err := l.f.Write(l.line); err != nil {
		return fmt.Errorf("train: metrics of step %d: %w", m.Step, err)
	}
	return nil
}

// close makes the log durable.
func (l *metricsLog) close() error { return errors.Join(l.f.Sync(), l.f.Close()) }

// appendJSON appends the line of m, the same as encoding/json reads, without
// allocating. All numbers must be finite, which Pretrain sees to.
func (m *Metrics) appendJSON(b []byte) []byte {
	b = append(b, `{"step":`...)
	b = strconv.AppendInt(b, int64(m.Step), 10)
	for i, f := range [...]struct {
		key   string
		value float64
	}{
		{`,"epoch":`, m.Epoch}, {`,"total":`, m.Total}, {`,"invariance":`, m.Invariance},
		{`,"sigreg":`, m.SIGReg}, {`,"std":`, m.Std}, {`,"lr":`, m.LR},
		{`,"grad_norm":`, m.GradNorm}, {`,"seconds":`, m.Seconds},
		{`,"clips_per_s":`, m.ClipsPerS}, {`,"gflops":`, m.GFLOPS},
		{`,"wait_share":`, m.WaitShare},
		{`,"probe_linear":`, m.ProbeLinear}, {`,"probe_attentive":`, m.ProbeAttentive},
		{`,"probe_unimodal":`, m.ProbeUnimodal},
	} {
		if i >= firstOptional && f.value == 0 {
			continue
		}
		b = append(b, f.key...)
		b = strconv.AppendFloat(b, f.value, 'g', -1, 64)
	}
	return append(b, "}\n"...)
}

// firstOptional is the number of values that every line of the log has.
const firstOptional = 11

// Bounds on what is read of a log: some millions of steps, and lines far longer
// than ours. A line of two bytes would take fifty times that in memory.
const (
	maxMetricsBytes = 1 << 30
	maxMetricsLine  = 1 << 20
	maxMetricsSteps = 1 << 23
)

// ReadMetrics returns the log of a run. A last line cut short by a crash is
// left out; any other broken line is an error.
func ReadMetrics(dir string) ([]Metrics, error) { return readLog[Metrics](dir, metricsName) }

// readLog returns the lines of a log of a run.
func readLog[T any](dir, name string) ([]T, error) {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Size() > maxMetricsBytes {
		return nil, fmt.Errorf("train: %s has %d bytes, at most %d are read: move it away, and "+
			"the run begins a new one", f.Name(), st.Size(), maxMetricsBytes)
	}
	all, err := readLines[T](f)
	if err != nil {
		return nil, fmt.Errorf("train: %s %w", f.Name(), err)
	}
	return all, nil
}

// readLines reads the lines of a log. An error begins with the line.
func readLines[T any](r io.Reader) ([]T, error) {
	var all []T
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, maxMetricsLine)
	var broken error
	for line := 1; sc.Scan(); line++ {
		if broken != nil {
			return nil, broken
		}
		var m T
		if err := json.Unmarshal(sc.Bytes(), &m); err != nil {
			broken = fmt.Errorf("line %d: %w", line, err)
			continue
		}
		if len(all) == maxMetricsSteps {
			return nil, fmt.Errorf("line %d: more than %d steps", line, maxMetricsSteps)
		}
		all = append(all, m)
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", len(all)+1, err)
	}
	return all, nil
}
