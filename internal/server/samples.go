package server

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strconv"

	"avjepa/internal/report"
)

// RunSamples are what a run found for some held-out clips after one of its steps.
type RunSamples struct {
	Steps   []SampleStep    `json:"steps"` // of all that there are, oldest first
	Samples *report.Samples `json:"samples"`
}

// SampleStep is a step that has samples.
type SampleStep struct {
	Step       int  `json:"step"`
	Checkpoint bool `json:"checkpoint"` // the run still has it
}

// Bounds of samples: others may write into a run's folder.
const (
	maxSampleBytes = 4 << 20
	maxSampleSteps = 2000
	maxSampleClips = 1000
)

// RunSamples returns the samples of a step of a run, and which steps have some; a negative
// step is the last.
func (s *Server) RunSamples(id string, step int) (*RunSamples, error) {
	dir, id, err := s.runs.open(id)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	out := &RunSamples{}
	for _, e := range entriesOf(dir, report.SamplesDir) {
		if n, ok := report.SamplesStep(e.Name()); ok && e.Type().IsRegular() {
			out.Steps = append(out.Steps, SampleStep{Step: n})
		}
	}
	if len(out.Steps) == 0 {
		return nil, problem(http.StatusNotFound, "no-samples", "this run keeps no samples").
			withHint("they are written beside the checkpoints of runs with held-out clips (eval.samples)")
	}
	slices.SortFunc(out.Steps, func(a, b SampleStep) int { return a.Step - b.Step })
	out.Steps = out.Steps[max(0, len(out.Steps)-maxSampleSteps):]
	kept := map[string]bool{}
	for _, e := range entriesOf(dir, "checkpoints") {
		kept[e.Name()] = true
	}
	at := len(out.Steps) - 1
	for i := range out.Steps {
		out.Steps[i].Checkpoint = kept[fmt.Sprintf("step-%08d.safetensors", out.Steps[i].Step)]
		if step >= 0 && out.Steps[i].Step == step {
			at = i
		}
	}
	if step >= 0 && out.Steps[at].Step != step {
		return nil, notFound("samples of step", strconv.Itoa(step))
	}
	text, err := readSmall(dir, report.SamplesName(out.Steps[at].Step), maxSampleBytes)
	if err == nil {
		out.Samples = &report.Samples{}
		err = json.Unmarshal(text, out.Samples)
	}
	if err != nil || len(out.Samples.Clips) > maxSampleClips || !out.Samples.Valid() {
		s.log.Warn("samples cannot be read", "run", id, "step", out.Steps[at].Step, "error", err)
		return nil, problem(http.StatusNotFound, "no-samples",
			fmt.Sprintf("the samples of step %d are damaged", out.Steps[at].Step))
	}
	out.Samples.Step = out.Steps[at].Step
	return out, nil
}

// entriesOf returns the files of a folder of a run, as many as are looked at.
func entriesOf(dir *os.Root, name string) []fs.DirEntry {
	f, err := dir.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	all, _ := f.ReadDir(maxRuns)
	return all
}

func (s *Server) getSamples(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	if err := known(q, "step"); err != nil {
		return err
	}
	step := -1
	if text := q.Get("step"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return badRequest("step", "is no step")
		}
		step = n
	}
	out, err := s.RunSamples(r.PathValue("id"), step)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, out)
}
