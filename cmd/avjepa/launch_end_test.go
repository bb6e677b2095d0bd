//go:build unix

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"avjepa/internal/train"
)

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
