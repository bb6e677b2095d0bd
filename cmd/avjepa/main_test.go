package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// binary is the program under test, built once; toy is a work folder with a
// finished demo in it that tests may read.
var (
	binary  string
	scratch string
)

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	var err error
	if scratch, err = os.MkdirTemp("", "avjepa-cmd-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(scratch)
	binary = filepath.Join(scratch, "avjepa")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// needs skips a test whose condition does not hold, or fails it when
// AVJEPA_REQUIRE lists the name.
func needs(t *testing.T, name string, ok bool, reason string) {
	t.Helper()
	if ok {
		return
	}
	for _, r := range strings.Split(os.Getenv("AVJEPA_REQUIRE"), ",") {
		if r == name {
			t.Fatalf("AVJEPA_REQUIRE has %s: %s", name, reason)
		}
	}
	t.Skip(reason)
}

func needsFFmpeg(t *testing.T) {
	t.Helper()
	_, a := exec.LookPath("ffmpeg")
	_, b := exec.LookPath("ffprobe")
	needs(t, "ffmpeg", a == nil && b == nil, "no ffmpeg and ffprobe on the PATH")
}

// outcome is how a run of the binary ended.
type outcome struct {
	code           int
	stdout, stderr string
}

// command returns the binary with arguments, to be run in dir, without settings
// from the environment of the test.
func command(dir string, args ...string) *exec.Cmd {
	c := exec.Command(binary, args...)
	c.Dir = dir
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "AVJEPA_") {
			c.Env = append(c.Env, kv)
		}
	}
	return c
}

// run runs the binary to its end.
func run(t *testing.T, dir string, args ...string) outcome {
	t.Helper()
	return finish(t, command(dir, args...))
}

func finish(t *testing.T, c *exec.Cmd) outcome {
	t.Helper()
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return outcome{c.ProcessState.ExitCode(), out.String(), errs.String()}
}

// wants fails unless the code is as given and stderr has all the texts.
func (o outcome) wants(t *testing.T, code int, texts ...string) outcome {
	t.Helper()
	if o.code != code {
		t.Fatalf("exit code %d, want %d\nstdout: %s\nstderr: %s", o.code, code, o.stdout, o.stderr)
	}
	for _, text := range texts {
		if !strings.Contains(o.stderr, text) {
			t.Errorf("stderr lacks %q:\n%s", text, o.stderr)
		}
	}
	return o
}

// object parses stdout as exactly one JSON object and returns it.
func (o outcome) object(t *testing.T) map[string]any {
	t.Helper()
	return parse(t, []byte(o.stdout))
}

func parse(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatalf("not one JSON object: %v\n%s", err, text)
	}
	return m
}

// number returns the number at a path of keys joined by dots.
func number(t *testing.T, m map[string]any, path string) float64 {
	t.Helper()
	keys := strings.Split(path, ".")
	for _, k := range keys[:len(keys)-1] {
		next, ok := m[k].(map[string]any)
		if !ok {
			t.Fatalf("no object %s of %s in %v", k, path, m)
		}
		m = next
	}
	x, ok := m[keys[len(keys)-1]].(float64)
	if !ok {
		t.Fatalf("no number %s in %v", path, m)
	}
	return x
}

func readFile(t *testing.T, parts ...string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func writeFile(t *testing.T, text string, parts ...string) string {
	t.Helper()
	path := filepath.Join(parts...)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
