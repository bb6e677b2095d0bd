package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestDryRunWritesNothing(t *testing.T) {
	runs := t.TempDir()
	m := pretrain(t, runs, "--steps", "7", "--dry-run", "--json").wants(t, 0).object(t)
	for path, want := range map[string]float64{"steps": 7, "batch_size": 16, "clips": 64} {
		if got := number(t, m, path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	if x := number(t, m, "run_seconds"); !(x > 0) {
		t.Errorf("%v s for the run", x)
	}
	parts := pretrain(t, runs, "--steps", "7", "--dry-run", "--json", "--set", "train.micro_batch=4",
		"--set", "train.recompute=blocks").wants(t, 0).object(t)
	for _, path := range []string{"activation_bytes", "total_bytes"} {
		if a, b := number(t, parts, path), number(t, m, path); !(a < b) {
			t.Errorf("%s is %v in parts, %v at once", path, a, b)
		}
	}
	if a, b := number(t, parts, "step_flops"), number(t, m, "step_flops"); a != b {
		t.Errorf("step_flops are %v in parts, %v at once", a, b)
	}
	if a, b := number(t, parts, "again_flops"), number(t, m, "again_flops"); !(a > 0 && b == 0) {
		t.Errorf("again_flops are %v in parts, %v at once", a, b)
	}
	text := pretrain(t, runs, "--dry-run").wants(t, 0).stdout
	if !strings.Contains(text, "memory in all") {
		t.Errorf("no memory in\n%s", text)
	}
	if left, err := os.ReadDir(runs); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// interrupt starts a pretraining run and sends a signal once the log has a step.
func interrupt(t *testing.T, runs string, signal os.Signal, args ...string) outcome {
	t.Helper()
	c := command(demoFolder(t), pretrainArgs(runs, args...)...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	waitForLine(t, filepath.Join(runs, "r", "metrics.jsonl"))
	if err := c.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait() // an exit code other than 0 is what is looked at
	return outcome{c.ProcessState.ExitCode(), out.String(), errs.String()}
}

func waitForLine(t *testing.T, log string) {
	t.Helper()
	for start := time.Now(); time.Since(start) < 60*time.Second; time.Sleep(5 * time.Millisecond) {
		if text, err := os.ReadFile(log); err == nil && bytes.Contains(text, []byte("\n")) {
			return
		}
	}
	t.Fatalf("no line in %s after a minute", log)
}

// lastCheckpoint returns the bytes of the newest checkpoint and its step.
func lastCheckpoint(t *testing.T, runs string) ([]byte, int) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(runs, "r/checkpoints/step-*.safetensors"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no checkpoint in %s: %v", runs, err)
	}
	path := paths[len(paths)-1] // Glob sorts
	step, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(path), ".safetensors")[len("step-"):])
	if err != nil {
		t.Fatal(err)
	}
	return readFile(t, path), step
}

// An interrupted run says what it saves, ends with 130, and goes on with
// --resume alone to the same bytes as a run that was let be.
func TestInterruptAndResume(t *testing.T) {
	const steps = 60
	whole, parts := t.TempDir(), t.TempDir()
	pretrain(t, whole, "--steps", fmt.Sprint(steps)).wants(t, 0)
	o := interrupt(t, parts, os.Interrupt, "--steps", fmt.Sprint(steps)).wants(t, 130,
		"press Ctrl-C again to quit now", "avjepa: interrupted; saved", "avjepa pretrain --runs "+parts+" --name r --resume")
	_, at := lastCheckpoint(t, parts)
	if at < 1 || at >= steps {
		t.Fatalf("interrupted at step %d of %d", at, steps)
	}
	said := regexp.MustCompile(`saving step (\d+),`).FindStringSubmatch(o.stderr)
	if said == nil {
		t.Fatalf("does not say which step it saves:\n%s", o.stderr)
	}
	// Between two steps, waiting for data, the last one is saved, not the next.
	if n, _ := strconv.Atoi(said[1]); n != at && n != at+1 {
		t.Errorf("said it saves step %d, saved %d", n, at)
	}
	r := finish(t, command(demoFolder(t), "pretrain", "--runs", parts, "--name", "r", "--resume", "--json"))
	m := r.wants(t, 0).object(t)
	if n := number(t, m, "steps"); n != steps {
		t.Errorf("resumed to step %v, want %d", n, steps)
	}
	want, _ := lastCheckpoint(t, whole)
	got, at := lastCheckpoint(t, parts)
	if at != steps || !bytes.Equal(got, want) {
		t.Errorf("checkpoint of step %d differs from that of a run not interrupted", at)
	}
}

func TestSecondInterruptLeavesAtOnce(t *testing.T) {
	runs := t.TempDir()
	c := command(demoFolder(t), pretrainArgs(runs, "--steps", "100000",
		"--set", "loss.directions=2048", "--set", "projector.hidden=2048")...)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	waitForLine(t, filepath.Join(runs, "r", "metrics.jsonl"))
	for range 2 {
		if err := c.Process.Signal(syscall.SIGTERM); err != nil {
			break // gone already
		}
		time.Sleep(20 * time.Millisecond)
	}
	_ = c.Wait()
	if code := c.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit code %d, want 130", code)
	}
}

func TestRunFolderIsNotOverwritten(t *testing.T) {
	runs := t.TempDir()
	pretrain(t, runs, "--steps", "2", "--resume").wants(t, 1, "no run", "--name")
	pretrain(t, runs, "--steps", "2").wants(t, 0)
	before, _ := lastCheckpoint(t, runs)
	config := readFile(t, runs, "r/config.toml")
	pretrain(t, runs, "--steps", "3").wants(t, 1, "--resume", "--name")
	pretrain(t, runs, "--steps", "4", "--resume", "--set", "model.width=32").wants(t, 13, "does not fit", "64")
	pretrain(t, runs, "--steps", "4", "--resume", "--seed", "5").wants(t, 13, "seed 5")
	after, _ := lastCheckpoint(t, runs)
	if !bytes.Equal(before, after) || !bytes.Equal(config, readFile(t, runs, "r/config.toml")) {
		t.Error("a refused run changed the run folder")
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	runs := t.TempDir()
	c := command(demoFolder(t), pretrainArgs(runs, "--steps", "100000")...)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	waitForLine(t, filepath.Join(runs, "r", "metrics.jsonl"))
	pretrain(t, runs, "--resume").wants(t, 1, "another process", "--name")
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
}

// An interrupted ingest goes on with the same command.
func TestInterruptIngest(t *testing.T) {
	dir, out := demoFolder(t), filepath.Join(t.TempDir(), "clips")
	args := []string{"ingest", "data/demo/scenes-64-32/scenes.csv", "--out", out, "--workers", "1", "--json"}
	c := command(dir, args...)
	var stdout, errs bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &errs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	waitForLine(t, filepath.Join(out, "dataset.json"))
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	outcome{c.ProcessState.ExitCode(), stdout.String(), errs.String()}.wants(t, 130,
		"the same command goes on from here")
	if n := number(t, run(t, dir, args...).wants(t, 0).object(t), "clips"); n != 96 {
		t.Errorf("%v clips, want 96", n)
	}
}

// smallDisk mounts a tmpfs, which takes root.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", dir).CombinedOutput()
	needs(t, "mount", err == nil, fmt.Sprintf("cannot mount a small disk: %v %s", err, out))
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount %s: %v %s", dir, err, out)
		}
	})
	return dir
}

// A checkpoint that does not fit on the disk costs that checkpoint alone: the one
// before it is there, nothing half-written is, and --resume goes on from it.
func TestDiskFullWhileSaving(t *testing.T) {
	demoFolder(t)
	disk := smallDisk(t, "12m") // two checkpoints of 5 MB, not three
	args := []string{"--steps", "6", "--set", "train.checkpoint_every=2", "--set", "train.keep=10"}
	pretrain(t, disk, args...).wants(t, 1, "no space left", "free")
	if _, at := lastCheckpoint(t, disk); at != 4 {
		t.Errorf("last checkpoint is of step %d, want 4", at)
	}
	err := filepath.WalkDir(disk, func(path string, _ os.DirEntry, err error) error {
		if strings.Contains(path, ".tmp") {
			t.Errorf("left %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if out, err := exec.Command("mount", "-o", "remount,size=64m", disk).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	pretrain(t, disk, append(args, "--resume")...).wants(t, 0)
}

// Clips that have become unreadable are left out, said, and make the end partial.
func TestDamagedClipsMakeThePartialCode(t *testing.T) {
	from, data := filepath.Join(demoFolder(t), toyClips), filepath.Join(t.TempDir(), "clips")
	if err := os.CopyFS(data, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	shard, err := os.OpenFile(filepath.Join(data, "shard-000000.tar"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`"train-00007".*"offset":(\d+)`).FindSubmatch(readFile(t, data, "index.jsonl"))
	if line == nil {
		t.Fatal("no clip train-00007 in the index")
	}
	at, err := strconv.ParseInt(string(line[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := shard.WriteAt(bytes.Repeat([]byte{0xAA}, 4096), at); err != nil {
		t.Fatal(err)
	}
	if err := shard.Close(); err != nil {
		t.Fatal(err)
	}
	runs := t.TempDir()
	o := pretrain(t, runs, "--data", data, "--epochs", "2", "--json").wants(t, 3, "not read: train-00007", "could not be read (1)")
	if n := number(t, o.object(t), "skipped"); n != 1 {
		t.Errorf("%v skipped, want 1", n)
	}
	o = run(t, demoFolder(t), "retrieve", filepath.Join(runs, "r"), "--split", "train", "--json")
	if n := number(t, o.wants(t, 3, "not read").object(t), "n"); n != 63 {
		t.Errorf("retrieval of %v, want 63", n)
	}
}

// steps returns the number of lines of a run's log.
func steps(t *testing.T, runs string) int {
	t.Helper()
	n := 0
	for sc := bufio.NewScanner(bytes.NewReader(readFile(t, runs, "r/metrics.jsonl"))); sc.Scan(); n++ {
	}
	return n
}

func TestBatchLargerThanTheSet(t *testing.T) {
	pretrain(t, t.TempDir(), "--batch-size", "65").wants(t, 1, "64 clips", "train.batch_size = 65", "lower it")
	runs := t.TempDir()
	pretrain(t, runs, "--batch-size", "64", "--epochs", "2").wants(t, 0)
	if n := steps(t, runs); n != 2 {
		t.Errorf("%d steps, want one an epoch", n)
	}
}
