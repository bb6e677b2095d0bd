package media

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fakeTools returns tools that are one shell script, and a file to decode.
func fakeTools(t *testing.T, script string) (tools Tools, file string) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "tool")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(dir, "clip.mp4")
	if err := os.WriteFile(file, []byte("clip"), 0o600); err != nil {
		t.Fatal(err)
	}
	return Tools{FFmpeg: path, FFprobe: path}, file
}

// gone waits until no process has the ids that a script wrote to a file.
func gone(t *testing.T, pidFile string) {
	t.Helper()
	text, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range strings.Fields(string(text)) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		deadline := time.Now().Add(5 * time.Second)
		for syscall.Kill(pid, 0) == nil && !zombieOfOthers(pid) {
			if time.Now().After(deadline) {
				t.Fatalf("process %d still runs", pid)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// zombieOfOthers reports whether a process is dead and waits for a parent that
// is not this one: a killed grandchild whose init does not reap.
func zombieOfOthers(pid int) bool {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return true
	}
	fields := strings.Fields(string(status[bytes.LastIndexByte(status, ')')+1:]))
	return fields[0] == "Z" && fields[1] != strconv.Itoa(os.Getpid())
}

// noMoreGoroutines fails when more goroutines run than before.
func noMoreGoroutines(t *testing.T, before int) {
	t.Helper()
	deadline := time.Now().Add(3 * time.Second)
	for runtime.NumGoroutine() > before {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<16)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before,
				stacks[:runtime.Stack(stacks, true)])
		}
		time.Sleep(time.Millisecond)
	}
}

// A tool that hangs, with a child of its own that keeps every pipe open.
const hang = `sleep 100 & echo $$ $! > "$(dirname "$0")/pids"; wait`

func TestTimeoutLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	tools, file := fakeTools(t, hang)
	cfg := smallConfig
	cfg.Limits.Timeout = 300 * time.Millisecond
	if c := decodeWhole(t, tools, file, cfg); c.Outcome != Timeout {
		t.Errorf("%s (%s), want timeout", c.Outcome, c.Reason)
	}
	gone(t, filepath.Join(filepath.Dir(file), "pids"))
	_, err := tools.Probe(context.Background(), file, cfg.Limits)
	var broken *FileError
	if !errors.As(err, &broken) || broken.Outcome != Timeout {
		t.Errorf("probe: %v, want timeout", err)
	}
	gone(t, filepath.Join(filepath.Dir(file), "pids"))
	noMoreGoroutines(t, before)
}

func TestCancelLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	tools, file := fakeTools(t, hang)
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	never := func(int, *Clip) error { t.Error("yielded"); return nil }
	err := tools.Decode(ctx, file, smallConfig, []Segment{{}}, never)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	gone(t, filepath.Join(filepath.Dir(file), "pids"))
	noMoreGoroutines(t, before)
}

func TestCPUTimeIsBounded(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("limits of a child are set on Linux only")
	}
	tools, file := fakeTools(t, `while :; do :; done`)
	cfg := smallConfig
	cfg.Limits.Timeout = time.Second
	if c := decodeWhole(t, tools, file, cfg); c.Outcome != Timeout {
		t.Errorf("%s (%s), want timeout", c.Outcome, c.Reason)
	}
}

// A tool that writes without end: to the frames, the sound or stderr.
func TestOutputIsBounded(t *testing.T) {
	before := runtime.NumGoroutine()
	jpeg := `printf '\377\330\377\340\0\020` + strings.Repeat("x", 14) + `'; cat /dev/zero`
	for name, script := range map[string]string{
		"endless frame":  jpeg,
		"no frame":       `cat /dev/zero`,
		"endless stderr": `cat /dev/zero | tr '\0' '\n' >&2`,
		"endless line":   `cat /dev/zero >&2`,
		"endless sound": `printf '.snd\0\0\0\030\377\377\377\377\0\0\0\003\0\0\076\200\0\0\0\001' >&3; ` +
			`cat /dev/zero >&3`,
	} {
		t.Run(name, func(t *testing.T) {
			tools, file := fakeTools(t, script)
			cfg := smallConfig
			cfg.Limits.Timeout = 500 * time.Millisecond
			cfg.Limits.MaxBytes = 1 << 20
			start := time.Now()
			c := decodeWhole(t, tools, file, cfg)
			if c.Outcome.HasClip() {
				t.Errorf("%s (%s)", c.Outcome, c.Reason)
			}
			if time.Since(start) > 5*time.Second {
				t.Errorf("took %v", time.Since(start))
			}
		})
	}
	noMoreGoroutines(t, before)
}

func TestEnvironmentIsMinimal(t *testing.T) {
	t.Setenv("AVJEPA_SECRET", "x")
	t.Setenv("FFREPORT", "file=/tmp/report")
	for _, entry := range environment() {
		if strings.HasPrefix(entry, "AVJEPA") || strings.HasPrefix(entry, "FFREPORT") {
			t.Errorf("a child sees %s", entry)
		}
	}
}

func TestLogKeepsLittle(t *testing.T) {
	log := newChildLog(8<<20, func() { t.Error("flooded") })
	for range 1000 {
		if _, err := log.Write(bytes.Repeat([]byte("x"), 5000)); err != nil {
			t.Fatal(err)
		}
	}
	_, _ = log.Write([]byte("\n[mov @ 0x55d5] [error] moov atom not found\n[error] a: Invalid"))
	log.close()
	if got := log.complaint(); got != "moov atom not found; a: Invalid" {
		t.Errorf("complaint %q", got)
	}
	if len(log.line) > maxLine {
		t.Errorf("holds a line of %d bytes", len(log.line))
	}
}

func TestStartOfWhatCannotStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tool") // does not exist
	p, err := start(t.Context(), path, nil, Limits{}, 1, 2)
	if p != nil || !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("start gives %v, %v", p, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if p, err := start(ctx, "/bin/true", nil, Limits{}, 1, 2); p != nil || err == nil {
		t.Errorf("start after the end gives %v, %v", p, err)
	}
}
