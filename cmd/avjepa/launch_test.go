//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"avjepa/internal/dataset/datasettest"
	"avjepa/internal/engine/torch/shim/shimtest"
	"avjepa/internal/train"
)

// together is where the tests of several processes find data and the torch engine.
var together struct {
	sync.Once
	data, cache string
}

// launched is a training run of some processes on a small made-up set.
type launched struct {
	t     *testing.T
	procs int // 0: without launch
	runs  string
	args  []string
}

func newLaunched(t *testing.T, procs int, runs string, args ...string) *launched {
	t.Helper()
	shimtest.Library(t)
	together.Do(func() {
		together.data = filepath.Join(scratch, "together")
		datasettest.Make(t, datasettest.Config{Dir: together.data, Clips: 16, Seconds: 3, FPS: 12.5})
		built := filepath.Dir(shimtest.Library(t))
		together.cache = filepath.Join(scratch, "cache")
		err := os.CopyFS(filepath.Join(together.cache, "avjepa", "torch", filepath.Base(built)),
			os.DirFS(built))
		if err != nil {
			t.Fatal(err)
		}
	})
	return &launched{t, procs, runs, args}
}

// command returns the command line: a model of two narrow blocks, batches of 8. Eps
// is large because AdamW with a small one turns gradients that are 0 but for
// rounding into steps of full length.
func (l *launched) command() *exec.Cmd {
	args := append([]string{"pretrain", "--preset", "demo", "--data", together.data, "--runs", l.runs,
		"--name", "r", "--threads", "1", "--set", "model.width=32", "--set", "model.depth=2",
		"--set", "model.heads=2", "--set", "train.batch_size=8", "--set", "loss.directions=32",
		"--set", "projector.hidden=32", "--set", "train.batch_norm=global",
		"--set", "train.eps=1e-3", "--set", "data.workers=1"}, l.args...)
	if l.procs > 0 {
		args = append([]string{"launch", "--procs", fmt.Sprint(l.procs), "--"}, args...)
	}
	c := command(filepath.Dir(l.runs), args...)
	c.Env = append(c.Env, "XDG_CACHE_HOME="+together.cache)
	return c
}

func (l *launched) run() outcome {
	l.t.Helper()
	return finish(l.t, l.command())
}

// metrics returns the log of a run.
func (l *launched) metrics() []train.Metrics {
	l.t.Helper()
	var all []train.Metrics
	lines := bufio.NewScanner(bytes.NewReader(readFile(l.t, l.runs, "r/metrics.jsonl")))
	for lines.Scan() {
		var m train.Metrics
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			l.t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// near fails unless two runs have the same log and checkpoint, to rounding.
func (l *launched) near(one *launched, tol float64) {
	l.t.Helper()
	got, want := l.metrics(), one.metrics()
	if len(got) != len(want) || len(want) == 0 {
		l.t.Fatalf("%d steps, want %d", len(got), len(want))
	}
	for i, m := range got {
		w := want[i]
		for name, v := range map[string][2]float64{"loss": {m.Total, w.Total},
			"invariance": {m.Invariance, w.Invariance}, "SIGReg": {m.SIGReg, w.SIGReg},
			"std": {m.Std, w.Std}, "gradient norm": {m.GradNorm, w.GradNorm},
			"rate": {m.LR, w.LR}, "epoch": {m.Epoch, w.Epoch}} {
			if !(math.Abs(v[0]-v[1]) <= 10*tol*math.Abs(v[1])) {
				l.t.Errorf("step %d of %d processes: %s is %v, want %v", i+1, l.procs, name, v[0], v[1])
			}
		}
	}
	read := func(l *launched) (*train.State, map[string][]float32) {
		path, err := train.Latest(filepath.Join(l.runs, "r"))
		if err != nil {
			l.t.Fatal(err)
		}
		state, file, err := train.ReadState(path)
		if err != nil {
			l.t.Fatal(err)
		}
		values := map[string][]float32{}
		for _, name := range file.Names() {
			if a, err := file.Float32(name); err == nil {
				values[name] = a.Data
			}
		}
		return &state, values
	}
	gotState, a := read(l)
	wantState, b := read(one)
	if gotState.Step != wantState.Step || len(a) != len(b) || len(b) < 20 {
		l.t.Fatalf("checkpoint of step %d with %d tensors, want %d with %d", gotState.Step, len(a),
			wantState.Step, len(b))
	}
	// Some tensors, such as the biases before a BatchNorm, are 0 but for rounding, so
	// all of a kind are one vector.
	off, size := map[string]float64{}, map[string]float64{}
	for name, x := range b {
		kind := "parameters"
		for _, moment := range []string{"adamw.m.", "adamw.v."} {
			if strings.HasPrefix(name, moment) {
				kind = moment
			}
		}
		for i, v := range x {
			d := float64(a[name][i]) - float64(v)
			off[kind] += d * d
			size[kind] += float64(v) * float64(v)
		}
	}
	for kind, s := range size {
		if d := math.Sqrt(off[kind] / s); !(d <= tol) {
			l.t.Errorf("%s of %d processes: %.2g of the norm away", kind, l.procs, d)
		}
	}
	if len(size) != 3 {
		l.t.Errorf("the checkpoint has %v", size)
	}
}

// Several processes take the steps of one to rounding, on either engine.
func TestLaunchTrainsAsOneProcess(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		engine string
		procs  []int
	}{{"cpu", []int{2, 4}}, {"torch", []int{2}}} {
		args := []string{"--steps", "4", "--engine", c.engine, "--json"}
		one := newLaunched(t, 0, t.TempDir(), args...)
		one.run().wants(t, 0)
		for _, n := range c.procs {
			many := newLaunched(t, n, t.TempDir(), args...)
			o := many.run().wants(t, 0)
			if sum := o.object(t); number(t, sum, "steps") != 4 { // one object, of rank 0 alone
				t.Errorf("summary %v", sum)
			}
			many.near(one, 1e-5)
		}
	}
}

// pids returns the processes of a run by rank.
func (l *launched) pids(launcher int) map[int]int {
	l.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", launcher))
	needs(l.t, "proc", err == nil, fmt.Sprintf("no lists of children in /proc: %v", err))
	all := map[int]int{}
	for _, c := range threadsChildren(launcher, string(text)) {
		pid, err := strconv.Atoi(c)
		if err != nil {
			l.t.Fatal(err)
		}
		env := readFile(l.t, "/proc", c, "environ")
		m := regexp.MustCompile(`(?:^|\x00)RANK=(\d+)\x00`).FindAllSubmatch(env, -1)
		if m == nil {
			continue
		}
		rank, _ := strconv.Atoi(string(m[len(m)-1][1]))
		all[rank] = pid
	}
	return all
}

// threadsChildren returns the children of all threads of a process.
func threadsChildren(pid int, first string) []string {
	all := strings.Fields(first)
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, path := range lists {
		if text, err := os.ReadFile(path); err == nil && string(text) != first {
			all = append(all, strings.Fields(string(text))...)
		}
	}
	return all
}

// begin starts a long run and returns once it has taken a step.
func (l *launched) begin() (*exec.Cmd, *lockedBuffer, map[int]int) {
	l.t.Helper()
	c := l.command()
	errs := &lockedBuffer{}
	c.Stderr = errs
	c.WaitDelay = time.Second // processes that outlive launch have stderr too
	if err := c.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	waitForLine(l.t, filepath.Join(l.runs, "r", "metrics.jsonl"))
	pids := l.pids(c.Process.Pid)
	l.t.Cleanup(func() {
		for _, pid := range pids { // those that a failed test has left
			if env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)); err == nil &&
				bytes.Contains(env, []byte(together.cache)) {
				syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	})
	if len(pids) != l.procs {
		l.t.Fatalf("processes %v, want %d: %s", pids, l.procs, errs)
	}
	return c, errs, pids
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
