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
	"runtime"
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

// onLinux skips a test that looks at processes in /proc.
func onLinux(t *testing.T) {
	t.Helper()
	needs(t, "linux", runtime.GOOS == "linux", "processes are found in /proc")
}

// A process killed in mid-step ends the run with its rank, within seconds, and
// another number of processes goes on from the checkpoint.
func TestLaunchLosesAProcessAndResumes(t *testing.T) {
	t.Parallel()
	onLinux(t)
	runs := t.TempDir()
	args := []string{"--steps", "100000", "--set", "train.checkpoint_every=2"}
	l := newLaunched(t, 2, runs, args...)
	c, errs, pids := l.begin()
	for start := time.Now(); time.Since(start) < 30*time.Second; time.Sleep(5 * time.Millisecond) {
		if _, err := train.Latest(filepath.Join(runs, "r")); err == nil {
			break
		}
	}
	killed := time.Now()
	if err := syscall.Kill(pids[1], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	if d := time.Since(killed); !(d < 6*time.Second) {
		t.Errorf("ended %v after the kill", d)
	}
	if code := c.ProcessState.ExitCode(); code != 128+int(syscall.SIGKILL) {
		t.Errorf("exit code %d, want %d", code, 128+int(syscall.SIGKILL))
	}
	for _, want := range []string{"rank 1 (process " + fmt.Sprint(pids[1]) + ") was ended by a signal: killed",
		"rank 1 on host", "ended without a word", "--resume"} {
		if !strings.Contains(errs.String(), want) {
			t.Errorf("stderr lacks %q:\n%s", want, errs)
		}
	}
	path, err := train.Latest(filepath.Join(runs, "r"))
	if err != nil {
		t.Fatal(err)
	}
	state, _, err := train.ReadState(path)
	if err != nil {
		t.Fatal(err)
	}
	to := fmt.Sprint(state.Step + 2)
	newLaunched(t, 4, runs, append(args, "--resume", "--steps", to)...).run().wants(t, 0)
	if m := l.metrics(); len(m) != state.Step+2 {
		t.Errorf("the log has %d steps, want %s", len(m), to)
	}
}

// A stopped process is noticed by the others, which leave although they wait for it.
func TestLaunchNoticesAStoppedProcess(t *testing.T) {
	t.Parallel()
	onLinux(t)
	l := newLaunched(t, 2, t.TempDir(), "--steps", "100000")
	c, errs, pids := l.begin()
	stopped := time.Now()
	if err := syscall.Kill(pids[1], syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() { c.Wait(); close(gone) }()
	for !strings.Contains(errs.String(), "no sign of life for 10s") {
		if time.Since(stopped) > 20*time.Second {
			t.Fatalf("not noticed within %v:\n%s", time.Since(stopped), errs)
		}
		time.Sleep(50 * time.Millisecond)
	}
	select { // launch ends the one that hangs
	case <-gone:
	case <-time.After(4 * patience):
		t.Fatalf("launch has not ended:\n%s", errs)
	}
	if code := c.ProcessState.ExitCode(); code != 14 {
		t.Errorf("exit code %d, want 14", code)
	}
}

// Ctrl-C and the end of launch itself let the processes save and leave.
func TestLaunchIsInterrupted(t *testing.T) {
	t.Parallel()
	onLinux(t)
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		l := newLaunched(t, 2, t.TempDir(), "--steps", "100000")
		c, errs, pids := l.begin()
		if err := c.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		_ = c.Wait()
		if code := c.ProcessState.ExitCode(); s == syscall.SIGINT && code != 130 {
			t.Errorf("exit code %d, want 130:\n%s", code, errs)
		}
		for rank, pid := range pids {
			for start := time.Now(); syscall.Kill(pid, 0) == nil; time.Sleep(20 * time.Millisecond) {
				if time.Since(start) > 10*time.Second {
					t.Fatalf("%v: rank %d is still there", s, rank)
				}
			}
		}
		if _, err := train.Latest(filepath.Join(l.runs, "r")); err != nil {
			t.Errorf("%v: nothing was saved: %v\n%s", s, err, errs)
		}
		if strings.Contains(errs.String(), "was lost") || strings.Contains(errs.String(), "without a word") {
			t.Errorf("%v:\n%s", s, errs)
		}
	}
}

// A run goes on with another number of processes to where one process comes.
func TestResumeWithOtherProcesses(t *testing.T) {
	t.Parallel()
	whole := newLaunched(t, 0, t.TempDir(), "--steps", "6")
	whole.run().wants(t, 0)
	runs := t.TempDir()
	// Interrupted after three steps: the schedule is that of six.
	first := newLaunched(t, 2, runs, "--steps", "6", "--set", "train.checkpoint_every=3", "--set", "train.keep=9")
	first.run().wants(t, 0)
	if err := os.Remove(filepath.Join(runs, "r/checkpoints/step-00000006.safetensors")); err != nil {
		t.Fatal(err)
	}
	for _, procs := range []int{4, 0} {
		l := newLaunched(t, procs, runs, "--steps", "6", "--resume")
		l.run().wants(t, 0)
		l.near(whole, 1e-5)
		if err := os.Remove(filepath.Join(runs, "r/checkpoints/step-00000006.safetensors")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLaunchErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, c := range []struct {
		code int
		args string
		want []string
	}{
		{2, "launch --procs 2", []string{"no command"}},
		{2, "launch --procs 0 -- pretrain", []string{"--procs 0"}},
		{2, "launch --procs 2 -- fly", []string{`"fly"`}},
		{2, "launch --procs 2 -- launch pretrain", []string{"cannot launch"}},
		{2, "launch --procs 2 -- demo", []string{"cannot launch demo", "pretrain and retrieve"}},
		{2, "launch --procs 2 --nodes 2 -- pretrain", []string{"--master"}},
		{2, "launch --nodes 2 --node-rank 2 --master a:1 -- pretrain", []string{"--node-rank 2"}},
		{2, "launch --nodes 2 --master a -- pretrain", []string{`--master "a"`, "HOST:PORT"}},
		// Flags after the command are its own.
		{2, "launch --procs 2 -- pretrain --wings", []string{"--wings", "[rank 1] avjepa"}},
		{2, "launch --procs 2 pretrain --wings", []string{"--wings"}},
	} {
		run(t, dir, strings.Fields(c.args)...).wants(t, c.code, c.want...)
	}
	// A fault of process 0 alone ends both with its text and code, and quickly.
	l := newLaunched(t, 2, t.TempDir(), "--steps", "1", "--batch-size", "9")
	l.run().wants(t, 1, "batch of 9 clips", "2 processes")
	l = newLaunched(t, 2, t.TempDir(), "--data", "/nowhere")
	start := time.Now()
	l.run().wants(t, 1, "/nowhere", "rank 0 on host")
	if d := time.Since(start); !(d < 20*time.Second) {
		t.Errorf("ended after %v", d)
	}
}

// The other machines need neither run folder nor settings: process 0's are everybody's.
// The variables here are Slurm's.
func TestOtherProcessesTakeProcess0s(t *testing.T) {
	t.Parallel()
	args := []string{"--steps", "2"}
	one := newLaunched(t, 0, t.TempDir(), args...)
	one.run().wants(t, 0)
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	l := newLaunched(t, 0, t.TempDir(), args...)
	ended := make(chan outcome, 2)
	for rank := range 2 {
		c := l.command()
		if rank == 1 {
			c = command(t.TempDir(), "pretrain", "--runs", "/nowhere/runs", "--resume", "--preset", "base",
				"--config", "/nowhere/config.toml", "--seed", "5")
			c.Env = append(c.Env, "XDG_CACHE_HOME="+together.cache)
		}
		c.Env = append(c.Env, "SLURM_PROCID="+fmt.Sprint(rank), "SLURM_NTASKS=2", "SLURM_NTASKS_PER_NODE=2",
			"SLURM_LOCALID="+fmt.Sprint(rank), "MASTER_ADDR=127.0.0.1", "MASTER_PORT="+port)
		go func() { ended <- finish(t, c) }()
	}
	for range 2 {
		if o := (<-ended).wants(t, 0); strings.Contains(o.stderr, "nowhere") {
			t.Errorf("stderr: %s", o.stderr)
		}
	}
	l.near(one, 1e-5)
}

// Retrieval by several processes is that of one, printed once.
func TestLaunchRetrieves(t *testing.T) {
	t.Parallel()
	l := newLaunched(t, 0, t.TempDir(), "--steps", "2")
	l.run().wants(t, 0)
	args := []string{"retrieve", filepath.Join(l.runs, "r"), "--data", together.data, "--split", "train",
		"--json"}
	var all []map[string]any
	for _, before := range [][]string{nil, {"launch", "--procs", "3", "--"}} {
		c := command(t.TempDir(), append(before, args...)...)
		c.Env = append(c.Env, "XDG_CACHE_HOME="+together.cache)
		all = append(all, finish(t, c).wants(t, 0).object(t))
	}
	for _, path := range []string{"n", "a2v.r1", "a2v.r5", "a2v.median", "v2a.r1", "v2a.r5", "v2a.median"} {
		if a, b := number(t, all[0], path), number(t, all[1], path); a != b {
			t.Errorf("%s is %v by one process, %v by three", path, a, b)
		}
	}
}

// A dry run of several processes says what one of them takes, once.
func TestLaunchDryRun(t *testing.T) {
	one := newLaunched(t, 0, t.TempDir(), "--steps", "2", "--dry-run", "--json")
	many := newLaunched(t, 2, one.runs, one.args...)
	a, b := one.run().wants(t, 0).object(t), many.run().wants(t, 0).object(t)
	if x, y := number(t, a, "activation_bytes"), number(t, b, "activation_bytes"); !(y < x) {
		t.Errorf("activations of %v bytes by one process, %v by each of two", x, y)
	}
}

func TestOneOfSeveralWithoutItsPlace(t *testing.T) {
	c := command(t.TempDir(), "pretrain", "--data", "x")
	c.Env = append(c.Env, "RANK=1", "WORLD_SIZE=two", "MASTER_ADDR=here")
	finish(t, c).wants(t, 2, `WORLD_SIZE = "two"`, "MASTER_PORT")
}

func TestPrefixer(t *testing.T) {
	var out bytes.Buffer
	p := &prefixer{out: &out, prefix: "[rank 1] "}
	for _, s := range []string{"a", "b\nc\n\nd", "", "e"} {
		if n, err := p.Write([]byte(s)); n != len(s) || err != nil {
			t.Errorf("%q: %d, %v", s, n, err)
		}
	}
	p.flush()
	p.flush()
	if want := "[rank 1] ab\n[rank 1] c\n[rank 1] \n[rank 1] de\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
	p.Write(bytes.Repeat([]byte("x"), longestLine+1))
	if len(p.line) != 0 {
		t.Errorf("%d bytes of an endless line are kept", len(p.line))
	}
}

// torchrun starts the same processes, and serves the store itself.
func TestTorchrun(t *testing.T) {
	t.Parallel()
	torchrun, err := exec.LookPath("torchrun")
	if err != nil {
		t.Skip("no torchrun on the PATH")
	}
	args := []string{"--steps", "2"}
	one := newLaunched(t, 0, t.TempDir(), args...)
	one.run().wants(t, 0)
	l := newLaunched(t, 0, t.TempDir(), args...)
	c := l.command()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	// Without log files torchrun 1.13 fails on Python 3.11.
	c.Args = append([]string{torchrun, "--nproc_per_node", "2", "--master_port", port, "--redirects", "1",
		"--tee", "1", "--log_dir", t.TempDir(), "--no_python"}, c.Args...)
	c.Path = torchrun
	finish(t, c).wants(t, 0)
	l.near(one, 1e-5)
}

// Two launches, as on two machines, make one group.
func TestLaunchOnTwoMachines(t *testing.T) {
	t.Parallel()
	args := []string{"--steps", "2"}
	one := newLaunched(t, 0, t.TempDir(), args...)
	one.run().wants(t, 0)
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	l := newLaunched(t, 2, t.TempDir(), args...)
	ended := make(chan outcome, 2)
	for machine := range 2 {
		c := l.command()
		c.Args = append([]string{binary, "launch", "--nodes", "2", "--node-rank", fmt.Sprint(machine),
			"--master", "127.0.0.1:" + port}, c.Args[2:]...)
		go func() { ended <- finish(t, c) }()
	}
	for range 2 {
		(<-ended).wants(t, 0)
	}
	l.procs = 4
	l.near(one, 1e-5)
}
