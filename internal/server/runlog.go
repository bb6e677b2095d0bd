package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"avjepa/internal/train"
)

// runLog is the log of a run as far as it was read.
type runLog struct {
	mu     sync.Mutex
	info   os.FileInfo // of the file that was read
	offset int64       // behind the last whole line
	all    []train.Metrics
	broken error
}

// Bounds of a log that is read.
const (
	maxLogLine = 1 << 16
	maxLogStep = 1 << 22
)

// steps returns what was read, which nobody changes, and when the file was written.
func (l *runLog) steps() ([]train.Metrics, time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.info == nil {
		return nil, time.Time{}
	}
	return l.all[:len(l.all):len(l.all)], l.info.ModTime()
}

// update reads what was added. A file that was replaced or cut, as when a run is
// resumed from an earlier step, is read again.
func (l *runLog) update(dir *os.Root) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	f, err := dir.Open(metricsFile)
	if errors.Is(err, fs.ErrNotExist) {
		l.info, l.offset, l.all = nil, 0, nil
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("server: %s is no file", metricsFile)
	}
	if l.info == nil || !os.SameFile(l.info, info) || info.Size() < l.offset {
		l.offset, l.all, l.broken = 0, nil, nil
	}
	l.info = info
	if l.broken != nil || info.Size() == l.offset {
		return l.broken
	}
	l.broken = l.read(io.NewSectionReader(f, l.offset, info.Size()-l.offset))
	return l.broken
}

// read adds the whole lines of r.
func (l *runLog) read(r io.Reader) error {
	buffer := make([]byte, 0, 256<<10)
	for {
		n, err := r.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		used := 0
		for {
			end := bytes.IndexByte(buffer[used:], '\n')
			if end < 0 {
				break
			}
			var m train.Metrics
			if e := json.Unmarshal(buffer[used:used+end], &m); e != nil {
				return fmt.Errorf("server: a line of %s: %w", metricsFile, e)
			}
			if len(l.all) == maxLogStep {
				return fmt.Errorf("server: %s has more than %d steps", metricsFile, maxLogStep)
			}
			l.all = append(l.all, m)
			used += end + 1
		}
		l.offset += int64(used)
		buffer = buffer[:copy(buffer, buffer[used:])]
		if len(buffer) > maxLogLine {
			return fmt.Errorf("server: a line of %s has more than %d bytes", metricsFile, maxLogLine)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// sparkPoints is how many values the table's small curves have.
const sparkPoints = 40

// spark returns the loss as means over equal parts of the log.
func spark(steps []train.Metrics) []float64 {
	n := min(sparkPoints, len(steps))
	out := make([]float64, 0, n)
	for i := range n {
		lo, hi := i*len(steps)/n, (i+1)*len(steps)/n
		sum := 0.0
		for _, m := range steps[lo:hi] {
			sum += m.Total
		}
		out = append(out, sum/float64(hi-lo))
	}
	return out
}

// Curves are the metrics of a run, reduced to a number of points that a screen can
// show. Point i stands for the steps after that of point i−1 up to Step[i].
type Curves struct {
	Run      string           `json:"run"`
	FirstRow int              `json:"first_step"`
	LastRow  int              `json:"last_step"`
	Rows     int              `json:"steps"`  // that were reduced
	Bucket   float64          `json:"bucket"` // steps a point, on average; 1: nothing was lost
	Step     []int            `json:"step"`   // the last of each point
	Epoch    []float64        `json:"epoch"`
	Seconds  []float64        `json:"seconds"` // from the run's start, steps alone
	Samples  []int            `json:"samples"` // clips seen
	Series   map[string]Curve `json:"series"`
}

// Curve is one metric: of each point the mean, and where a point stands for several
// steps the least and the largest value.
type Curve struct {
	Mean []float64 `json:"mean"`
	Min  []float64 `json:"min,omitempty"`
	Max  []float64 `json:"max,omitempty"`
}

// curveKeys are the metrics there are, by the names of the log.
var curveKeys = map[string]func(*train.Metrics) float64{
	"total":       func(m *train.Metrics) float64 { return m.Total },
	"invariance":  func(m *train.Metrics) float64 { return m.Invariance },
	"sigreg":      func(m *train.Metrics) float64 { return m.SIGReg },
	"std":         func(m *train.Metrics) float64 { return m.Std },
	"lr":          func(m *train.Metrics) float64 { return m.LR },
	"grad_norm":   func(m *train.Metrics) float64 { return m.GradNorm },
	"clips_per_s": func(m *train.Metrics) float64 { return m.ClipsPerS },
	"gflops":      func(m *train.Metrics) float64 { return m.GFLOPS },
	"wait_share":  func(m *train.Metrics) float64 { return m.WaitShare },
}

// CurveQuery selects what Curves returns.
type CurveQuery struct {
	Keys   []string // none: all
	Points int      // 0: 1000, at most 1000
	From   int      // first step, 0: from the start
	To     int      // last step, 0: to the end
}

// maxPoints bounds a curve: with least and largest value 2000 numbers to draw.
const maxPoints = 1000

// Metrics returns the curves of a run.
func (s *Server) Metrics(id string, q CurveQuery) (*Curves, error) {
	if q.Points == 0 {
		q.Points = maxPoints
	}
	if q.Points < 1 || q.Points > maxPoints {
		return nil, badRequest("points", fmt.Sprintf("%d is outside 1…%d", q.Points, maxPoints))
	}
	if len(q.Keys) == 0 {
		for key := range curveKeys {
			q.Keys = append(q.Keys, key)
		}
	}
	for _, key := range q.Keys {
		if curveKeys[key] == nil {
			return nil, badRequest("keys", "no metric of this name")
		}
	}
	dir, id, err := s.runs.open(id)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	_, log, cfg, err := s.runInfo(dir, id)
	if err != nil {
		return nil, err
	}
	batch := 0
	if cfg != nil {
		batch = cfg.Train.BatchSize
	}
	steps, _ := log.steps()
	return reduce(id, steps, batch, q), nil
}

// reduce puts steps together until no more than q.Points are left.
func reduce(id string, steps []train.Metrics, batch int, q CurveQuery) *Curves {
	seconds := 0.0 // before the first step that is shown
	lo, _ := slices.BinarySearchFunc(steps, q.From, func(m train.Metrics, at int) int {
		return m.Step - at
	})
	for _, m := range steps[:lo] {
		seconds += m.Seconds
	}
	steps = steps[lo:]
	if q.To > 0 {
		hi, _ := slices.BinarySearchFunc(steps, q.To+1, func(m train.Metrics, at int) int {
			return m.Step - at
		})
		steps = steps[:hi]
	}
	n := min(q.Points, len(steps))
	c := &Curves{Run: id, Rows: len(steps), Bucket: 1, Series: map[string]Curve{},
		Step: make([]int, n), Epoch: make([]float64, n), Seconds: make([]float64, n),
		Samples: make([]int, n)}
	if n == 0 {
		for _, key := range q.Keys {
			c.Series[key] = Curve{Mean: []float64{}}
		}
		return c
	}
	c.FirstRow, c.LastRow = steps[0].Step, steps[len(steps)-1].Step
	c.Bucket = float64(len(steps)) / float64(n)
	for i := range n {
		part := steps[i*len(steps)/n : (i+1)*len(steps)/n]
		for _, m := range part {
			seconds += m.Seconds
		}
		last := part[len(part)-1]
		c.Step[i], c.Epoch[i], c.Seconds[i] = last.Step, last.Epoch, seconds
		c.Samples[i] = last.Step * batch
	}
	for _, key := range q.Keys {
		c.Series[key] = reduceOne(steps, n, curveKeys[key])
	}
	return c
}

func reduceOne(steps []train.Metrics, n int, value func(*train.Metrics) float64) Curve {
	c := Curve{Mean: make([]float64, n)}
	if len(steps) > n {
		c.Min, c.Max = make([]float64, n), make([]float64, n)
	}
	for i := range n {
		part := steps[i*len(steps)/n : (i+1)*len(steps)/n]
		sum, least, most := 0.0, value(&part[0]), value(&part[0])
		for j := range part {
			v := value(&part[j])
			sum, least, most = sum+v, min(least, v), max(most, v)
		}
		c.Mean[i] = sum / float64(len(part))
		if c.Min != nil {
			c.Min[i], c.Max[i] = least, most
		}
	}
	return c
}

func (s *Server) getMetrics(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	if err := known(q, "keys", "points", "from", "to"); err != nil {
		return err
	}
	var cq CurveQuery
	if keys := q.Get("keys"); keys != "" {
		cq.Keys = strings.Split(keys, ",")
	}
	for name, at := range map[string]*int{"points": &cq.Points, "from": &cq.From, "to": &cq.To} {
		n, err := number(q, name)
		if err != nil {
			return err
		}
		*at = n
	}
	c, err := s.Metrics(r.PathValue("id"), cq)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, c)
}

// maxProbesBytes bounds the log of evaluations that is sent.
const maxProbesBytes = 16 << 20

// Probes returns the evaluations of a run's online probes, oldest first, each as it
// stands in probes.jsonl; none when the run made none.
func (s *Server) Probes(id string) ([]json.RawMessage, error) {
	dir, _, err := s.runs.open(id)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	text, err := readSmall(dir, probesFile, maxProbesBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return []json.RawMessage{}, nil
	}
	if err != nil {
		return nil, &internalError{err}
	}
	return jsonLines(text), nil
}

const probesFile = "probes.jsonl"

// probeLines returns the evaluations of a run, and when the last was made.
func probeLines(dir *os.Root) (lines []json.RawMessage, made time.Time, ok bool) {
	text, err := readSmall(dir, probesFile, maxProbesBytes)
	if err != nil {
		return nil, made, false
	}
	if info, err := dir.Stat(probesFile); err == nil {
		made = info.ModTime().UTC()
	}
	return jsonLines(text), made, true
}

// jsonLines returns the lines that are objects.
func jsonLines(text []byte) []json.RawMessage {
	out := []json.RawMessage{}
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] == '{' && json.Valid(line) {
			out = append(out, json.RawMessage(line))
		}
	}
	return out
}

func (s *Server) getProbes(w http.ResponseWriter, r *http.Request) error {
	all, err := s.Probes(r.PathValue("id"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]any{"items": all})
}
