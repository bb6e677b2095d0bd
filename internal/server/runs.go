package server

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"avjepa/internal/config"
	"avjepa/internal/report"
)

// RunState says whether a run goes on.
type RunState string

// The states of a run, judged by its files: the log of one that trains grows.
const (
	RunTraining RunState = "training"
	RunDone     RunState = "done"
	RunStopped  RunState = "stopped"
	RunEmpty    RunState = "empty" // it has no step yet
)

// RunInfo is a line of the table of runs.
type RunInfo struct {
	ID         string    `json:"id"`
	State      RunState  `json:"state"`
	Size       string    `json:"size"`    // of the encoder: tiny, small, …
	Encoder    string    `json:"encoder"` // shared or dual
	Step       int       `json:"step"`
	Steps      int       `json:"steps"` // in all; 0: not known
	Epoch      float64   `json:"epoch"`
	Loss       float64   `json:"loss"`
	Invariance float64   `json:"invariance"`
	SIGReg     float64   `json:"sigreg"`
	Std        float64   `json:"std"`
	ClipsPerS  float64   `json:"clips_per_s"`
	R1         *float64  `json:"a2v_r1,omitempty"` // share of 1, where it was measured
	Spark      []float64 `json:"spark"`            // the loss, at most 40 values
	Updated    time.Time `json:"updated"`
	Latest     bool      `json:"latest"`
}

// RunDetail is everything of a run but its curves.
type RunDetail struct {
	RunInfo
	Lambda    float64         `json:"lambda"`
	BatchSize int             `json:"batch_size"`
	Seconds   float64         `json:"seconds"` // spent in steps
	Health    string          `json:"health"`  // did the embeddings collapse, in words
	Settings  []Setting       `json:"config"`
	Files     []File          `json:"files"`
	Summary   json.RawMessage `json:"summary,omitempty"` // pretrain.json as it is
}

// runs reads the folders of runs. Logs that were read are kept and read on from where
// they ended.
type runs struct {
	dir string // "": there is none

	mu   sync.Mutex
	logs *lru[*runLog]
}

// maxLogs bounds the logs that are kept in memory.
const maxLogs = 64

func newRuns(dir string) *runs {
	return &runs{dir: dir, logs: newLRU(maxLogs, one[*runLog])}
}

// latestRun is the name by which the newest run is asked for.
const latestRun = "latest"

// open opens a run's folder. Names come from clients: none leads out of the folder of
// runs.
func (x *runs) open(id string) (*os.Root, string, error) {
	if x.dir == "" {
		return nil, "", notFound("run", id)
	}
	if id == latestRun {
		names, err := x.names()
		if err != nil || len(names) == 0 {
			return nil, "", notFound("run", id)
		}
		id = names[0]
	}
	if id == "" || strings.HasPrefix(id, ".") || strings.ContainsAny(id, `/\`+"\x00") {
		return nil, "", notFound("run", id)
	}
	all, err := os.OpenRoot(x.dir)
	if err != nil {
		return nil, "", notFound("run", id)
	}
	defer all.Close()
	one, err := all.OpenRoot(id)
	if err != nil {
		return nil, "", notFound("run", id)
	}
	for _, name := range []string{"config.toml", metricsFile} {
		if info, err := one.Stat(name); err == nil && info.Mode().IsRegular() {
			return one, id, nil
		}
	}
	one.Close()
	return nil, "", notFound("run", id)
}

const metricsFile = "metrics.jsonl"

// maxRuns bounds how many folders are looked at.
const maxRuns = 5000

// names returns the folders of runs, the one that changed last first.
func (x *runs) names() ([]string, error) {
	if x.dir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(x.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	type found struct {
		name string
		at   time.Time
	}
	var all []found
	for _, e := range entries[:min(len(entries), maxRuns)] {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if at, ok := x.changed(e.Name()); ok {
			all = append(all, found{e.Name(), at})
		}
	}
	slices.SortFunc(all, func(a, b found) int {
		return cmp.Or(b.at.Compare(a.at), cmp.Compare(a.name, b.name))
	})
	names := make([]string, len(all))
	for i, f := range all {
		names[i] = f.name
	}
	return names, nil
}

// changed returns when a run's log or, without one, its configuration was written last.
func (x *runs) changed(name string) (time.Time, bool) {
	for _, file := range []string{metricsFile, "config.toml"} {
		if info, err := os.Stat(x.dir + "/" + name + "/" + file); err == nil {
			return info.ModTime(), true
		}
	}
	return time.Time{}, false
}

// log returns the log of a run, read up to now.
func (x *runs) log(dir *os.Root, id string) (*runLog, error) {
	x.mu.Lock()
	l, ok := x.logs.get(id)
	if !ok {
		l = &runLog{}
		x.logs.put(id, l)
	}
	x.mu.Unlock()
	return l, l.update(dir)
}

// Runs returns all runs, the one that changed last first.
func (s *Server) Runs(ctx context.Context) ([]RunInfo, error) {
	names, err := s.runs.names()
	if err != nil {
		return nil, &internalError{err}
	}
	out := []RunInfo{}
	for i, name := range names {
		if ctx.Err() != nil {
			return nil, canceled()
		}
		dir, id, err := s.runs.open(name)
		if err != nil {
			continue // it went away, or is no run
		}
		info, _, _, err := s.runInfo(dir, id)
		dir.Close()
		if err != nil {
			s.log.Warn("a run cannot be read", "run", name, "error", err)
			continue
		}
		info.Latest = i == 0
		out = append(out, info)
	}
	return out, nil
}

// Run returns one run; "latest" is the one that changed last.
func (s *Server) Run(ctx context.Context, id string) (*RunDetail, error) {
	dir, id, err := s.runs.open(id)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	info, log, cfg, err := s.runInfo(dir, id)
	if err != nil {
		return nil, err
	}
	if names, err := s.runs.names(); err == nil && len(names) > 0 {
		info.Latest = names[0] == id
	}
	d := &RunDetail{RunInfo: info, Settings: []Setting{}, Files: []File{}}
	if cfg != nil {
		d.Lambda, d.BatchSize = cfg.Loss.Lambda, cfg.Train.BatchSize
		d.Settings = settings(cfg)
	}
	steps, _ := log.steps()
	for _, m := range steps {
		d.Seconds += m.Seconds
	}
	d.Health = report.Health(steps)
	if text, err := readSmall(dir, "pretrain.json", 1<<20); err == nil && json.Valid(text) {
		d.Summary = text
	}
	d.Files = files(dir)
	return d, nil
}

// settings returns a configuration for people.
func settings(cfg *config.Config) []Setting {
	var out []Setting
	for _, x := range cfg.Settings() {
		out = append(out, Setting{Key: x.Key, Value: fmt.Sprint(x.Value), Origin: x.Origin})
	}
	return out
}

// files lists what a run holds, checkpoints included.
func files(dir *os.Root) []File {
	out := []File{}
	_ = fs.WalkDir(dir.FS(), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || len(out) == 200 || strings.Count(path, "/") > 1 {
			return fs.SkipDir
		}
		if strings.HasPrefix(e.Name(), ".") && path != "." {
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			out = append(out, File{Name: path, Bytes: info.Size()})
		}
		return nil
	})
	return out
}

// runInfo reads what the table shows of a run; cfg is nil when it cannot be read.
func (s *Server) runInfo(dir *os.Root, id string) (info RunInfo, log *runLog,
	cfg *config.Config, err error) {

	info = RunInfo{ID: id, State: RunEmpty, Spark: []float64{}}
	if text, err := readSmall(dir, "config.toml", 64<<10); err == nil {
		cfg = config.New()
		if err := cfg.ApplyText(string(text), "config.toml"); err != nil {
			cfg = nil
		}
	}
	if cfg != nil {
		info.Size, info.Encoder, info.Steps = cfg.Model.Size, cfg.Model.Encoder, cfg.Train.Steps
	}
	if log, err = s.runs.log(dir, id); err != nil {
		return info, nil, cfg, err
	}
	steps, at := log.steps()
	info.Updated = at.UTC()
	if len(steps) == 0 {
		if st, err := dir.Stat("config.toml"); err == nil {
			info.Updated = st.ModTime().UTC()
		}
		return info, log, cfg, nil
	}
	last := steps[len(steps)-1]
	info.Step, info.Epoch, info.Loss, info.Std = last.Step, last.Epoch, last.Total, last.Std
	info.Invariance, info.SIGReg, info.ClipsPerS = last.Invariance, last.SIGReg, last.ClipsPerS
	if cfg != nil && info.Steps == 0 && last.Epoch > 0 {
		info.Steps = int(math.Round(float64(cfg.Train.Epochs) * float64(last.Step) / last.Epoch))
	}
	info.Spark = spark(steps)
	info.State = RunStopped
	pause := 30*time.Second + time.Duration(5*last.Seconds*float64(time.Second))
	switch end, err := dir.Stat("pretrain.json"); {
	case err == nil && !end.ModTime().Before(at) && info.Steps > 0 && info.Step >= info.Steps:
		info.State = RunDone
	case time.Since(at) < pause && !(err == nil && !end.ModTime().Before(at)):
		info.State = RunTraining
	}
	info.R1 = recallOf(dir)
	return info, log, cfg, nil
}

// recallOf returns the recall at 1 from sound to picture that a summary tells of.
func recallOf(dir *os.Root) *float64 {
	var sum struct {
		Retrieval *struct {
			A2V struct {
				R1 *float64 `json:"r1"`
			} `json:"a2v"`
		} `json:"retrieval"`
	}
	text, err := readSmall(dir, "summary.json", 1<<20)
	if err != nil || json.Unmarshal(text, &sum) != nil || sum.Retrieval == nil {
		return nil
	}
	return sum.Retrieval.A2V.R1
}

// readSmall reads a file of a run, if it is no larger than most.
func readSmall(dir *os.Root, name string, most int64) ([]byte, error) {
	f, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file", name)
	}
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%s is larger than %d bytes", name, most)
	}
	return text, err
}

func (s *Server) getRuns(w http.ResponseWriter, r *http.Request) error {
	all, err := s.Runs(r.Context())
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]any{"items": all})
}

func (s *Server) getRun(w http.ResponseWriter, r *http.Request) error {
	d, err := s.Run(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, d)
}

// getRunConfig sends the configuration as it lies in the folder.
func (s *Server) getRunConfig(w http.ResponseWriter, r *http.Request) error {
	dir, _, err := s.runs.open(r.PathValue("id"))
	if err != nil {
		return err
	}
	defer dir.Close()
	text, err := readSmall(dir, "config.toml", 64<<10)
	if err != nil {
		return notFound("configuration of run", r.PathValue("id"))
	}
	w.Header().Set("Content-Type", "application/toml")
	return serveBytes(w, r, text, "")
}
