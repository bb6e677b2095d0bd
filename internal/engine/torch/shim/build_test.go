package shim

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// compiler writes a script that stands in for the compiler: it logs its arguments
// and makes the file behind -o, then does more.
func compiler(t *testing.T, more string) (path, log string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the shim is for Linux")
	}
	dir := t.TempDir()
	log = filepath.Join(dir, "log")
	return write(t, `#!/bin/sh
echo "$@" >>`+log+`
while [ "$1" != -o ]; do shift; done
echo made >"$2"
`+more, dir, "cxx"), log
}

// planted is a libtorch that a compiler does not look at.
func planted(t *testing.T) *Torch {
	t.Helper()
	dir := t.TempDir()
	plant(t, filepath.Join(dir, "include"), filepath.Join(dir, "lib"), [2]int{2, 6}, newString)
	return one(t, Find(t.Context(), Options{Folder: dir, System: dir}))
}

// nothingLeft fails unless a cache is as if no build had begun, but for the lock.
func nothingLeft(t *testing.T, cache string) {
	t.Helper()
	left, err := os.ReadDir(folder(cache))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		if e.Name() != lockName {
			t.Errorf("%s is left", e.Name())
		}
	}
}

func TestBuild(t *testing.T) {
	cxx, log := compiler(t, "")
	steps, said := 0, 0
	c := BuildConfig{Torch: planted(t), Cache: t.TempDir(), Compiler: cxx,
		Step: func(done, all int) { steps = 100*done + all }, Say: func(string) { said++ }}
	l, err := Build(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(l.Path); err != nil || string(text) != "made\n" {
		t.Errorf("the library is %q, %v", text, err)
	}
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	files := strings.Count(string(text), "-c src/")
	if files < 3 || steps != 101*files || said != 1 {
		t.Errorf("%d files, steps ended at %d, said %d", files, steps, said)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	link := lines[len(lines)-1]
	if strings.Count(link, ".o ") != files || !strings.Contains(link, "-Wl,--no-as-needed -ltorch ") {
		t.Errorf("linked with %s", link)
	}

	// The second time it is there, and Current finds it.
	again, err := Build(t.Context(), c)
	if err != nil || again.Path != l.Path || !again.Time.Equal(l.Time) {
		t.Errorf("again: %+v, %v", again, err)
	}
	if now, _ := os.ReadFile(log); len(now) != len(text) {
		t.Error("compiled again")
	}
	if got, err := Current(c.Cache); err != nil || got.Path != l.Path || got.Torch.Version != "2.6.3" {
		t.Errorf("current: %+v, %v", got, err)
	}

	// Another libtorch has a folder of its own; the chosen one is current.
	c.Torch = planted(t)
	other, err := Build(t.Context(), c)
	if err != nil || other.Path == l.Path {
		t.Fatalf("for another libtorch: %+v, %v", other, err)
	}
	for _, want := range []*Library{l, other, l} {
		if err := Choose(want); err != nil {
			t.Fatal(err)
		}
		if got, err := Current(c.Cache); err != nil || got.Path != want.Path {
			t.Errorf("chosen %s, current %+v, %v", want.Path, got, err)
		}
	}
}

// A build removes all but three of those that this program cannot use, the oldest
// first, and none that it can.
func TestBuildRemovesOld(t *testing.T) {
	cxx, _ := compiler(t, "")
	cache := t.TempDir()
	var gone []*Library
	for range oldKept + 2 {
		torch := planted(t)
		l, err := Build(t.Context(), BuildConfig{Torch: torch, Cache: cache, Compiler: cxx})
		if err != nil {
			t.Fatal(err)
		}
		gone = append(gone, l)
		if err := os.RemoveAll(torch.Lib); err != nil {
			t.Fatal(err)
		}
	}
	var kept []string
	for range 2 { // the first of them is no longer the newest when the second is built
		l, err := Build(t.Context(), BuildConfig{Torch: planted(t), Cache: cache, Compiler: cxx})
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, l.Path)
	}
	for _, l := range gone[2:] {
		kept = append(kept, l.Path)
	}
	var left []string
	for _, l := range Built(cache) {
		left = append(left, l.Path)
	}
	slices.Sort(kept)
	slices.Sort(left)
	if !slices.Equal(left, kept) {
		t.Errorf("left %q, want %q", left, kept)
	}
}

// What is built for a libtorch that has gone or changed since is not loaded.
func TestCurrentRefusesTheOutdated(t *testing.T) {
	cxx, _ := compiler(t, "")
	torch, cache := planted(t), t.TempDir()
	refused := func(want string) {
		t.Helper()
		if l, err := Current(cache); !errors.Is(err, ErrNotBuilt) || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v, %v: want an error with %q", l, err, want)
		}
	}
	refused("avjepa engine build")
	l, err := Build(t.Context(), BuildConfig{Torch: torch, Cache: cache, Compiler: cxx})
	if err != nil {
		t.Fatal(err)
	}
	plant(t, torch.Include, torch.Lib, [2]int{2, 7}, newString)
	refused("built for libtorch 2.6.3")
	if err := os.RemoveAll(torch.Lib); err != nil {
		t.Fatal(err)
	}
	refused("gone from " + torch.Lib)
	record := filepath.Join(filepath.Dir(l.Path), recordName)
	text, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	write(t, strings.Replace(string(text), l.Source, "00", 1), record)
	refused("another version of avjepa")
	write(t, "{", record)
	if all := Built(cache); len(all) != 0 {
		t.Errorf("a record that is cut short counts: %+v", all[0])
	}
}

// Whatever goes wrong, the error is ErrBuild and says what the compiler said, and
// nothing is left behind.
func TestBuildFails(t *testing.T) {
	bad, _ := compiler(t, `case "$*" in "-o src/memory.o "*)
echo "In file included from here," >&2
echo "src/memory.cpp:6:10: fatal error: ATen/ops/zeros.h: No such file" >&2
exit 1;; esac`)
	noLink, _ := compiler(t, `case "$*" in *-shared*)
echo "ld: cannot find -ltorch" >&2; exit 1;; esac`)
	slow, _ := compiler(t, "sleep 600 & wait")
	missing := filepath.Join(t.TempDir(), "c++")
	for _, o := range []struct {
		name, compiler string
		limit          time.Duration
		want           string
	}{
		{"absent header", bad, 0, "ATen/ops/zeros.h: No such file"},
		{"absent library", noLink, 0, "cannot find -ltorch"},
		{"absent compiler", missing, 0, missing},
		{"no compiler", "", 0, "install g++"},
		{"slow compiler", slow, 100 * time.Millisecond, "longer than 100ms"},
	} {
		t.Run(o.name, func(t *testing.T) {
			c := BuildConfig{Torch: planted(t), Cache: t.TempDir(), Compiler: o.compiler, Limit: o.limit}
			l, err := Build(t.Context(), c)
			if !errors.Is(err, ErrBuild) || !strings.Contains(err.Error(), o.want) {
				t.Fatalf("%+v, error %v lacks %q", l, err, o.want)
			}
			if strings.Contains(err.Error(), "included from") {
				t.Errorf("more than the error is told: %v", err)
			}
			if o.compiler != "" {
				nothingLeft(t, c.Cache)
			}
		})
	}
	unusable := &Torch{Root: "/a", Fault: "broken"}
	if _, err := Build(t.Context(), BuildConfig{Torch: unusable}); !errors.Is(err, ErrNoTorch) {
		t.Errorf("for a libtorch that cannot be used: %v", err)
	}
}

// What is for many processes is left out when it does not compile, and no more than that.
func TestBuildWithoutGroup(t *testing.T) {
	for _, o := range []struct {
		fails      string
		nccl, gloo bool // what is left
		want       []string
	}{
		{"-DAVJEPA_NCCL", false, true, []string{"NCCL"}},
		{"-DAVJEPA_", false, false, []string{"NCCL", "gloo"}},
		{"-DNOTHING", true, true, nil},
	} {
		cxx, _ := compiler(t, `case "$*" in "-o src/group.o "*`+o.fails+`*)
echo "In file included from here," >&2
echo "nccl.hpp:6:10: fatal error: inner.hpp: No such file" >&2
exit 1;; esac`)
		torch := planted(t)
		torch.NCCL, torch.NCCLInclude = true, torch.Include
		torch.Gloo, torch.GlooInclude = true, torch.Include
		before := len(torch.Without)
		l, err := Build(t.Context(), BuildConfig{Torch: torch, Cache: t.TempDir(), Compiler: cxx})
		if err != nil {
			t.Errorf("%s: %v", o.fails, err)
			continue
		}
		more := l.Torch.Without[before:]
		ok := l.Torch.NCCL == o.nccl && l.Torch.Gloo == o.gloo && len(more) == len(o.want)
		for i := range more {
			ok = ok && strings.HasPrefix(more[i], o.want[i]) && strings.Contains(more[i], "inner.hpp")
		}
		if !ok || len(torch.Without) != before {
			t.Errorf("%s: NCCL %v, gloo %v, without %q", o.fails, l.Torch.NCCL, l.Torch.Gloo, more)
		}
	}
}

// An interrupt ends the compilers with their children and is the error.
func TestBuildInterrupted(t *testing.T) {
	child := filepath.Join(t.TempDir(), "child")
	slow, _ := compiler(t, "sleep 600 & echo $! >"+child+".new; mv "+child+".new "+child+"; wait")
	ctx, cancel := context.WithCancelCause(t.Context())
	mine := errors.New("interrupted")
	go func() {
		for { // until a compiler runs
			if _, err := os.Stat(child); err == nil {
				break
			}
			time.Sleep(time.Millisecond)
		}
		cancel(mine)
	}()
	c := BuildConfig{Torch: planted(t), Cache: t.TempDir(), Compiler: slow, Jobs: 1}
	began := time.Now()
	if _, err := Build(ctx, c); !errors.Is(err, mine) || time.Since(began) > 30*time.Second {
		t.Errorf("%v after %s", err, time.Since(began))
	}
	nothingLeft(t, c.Cache)
	pid, err := os.ReadFile(child)
	if err != nil {
		t.Fatal(err)
	}
	for running(strings.TrimSpace(string(pid))) {
		if time.Since(began) > 30*time.Second {
			t.Fatalf("process %s, a compiler's child, still runs", pid)
		}
		time.Sleep(time.Millisecond)
	}
}

// running reports whether a process exists and has not ended.
func running(pid string) bool {
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	return err == nil && !strings.Contains(string(text), ") Z ")
}

// Builds at once compile once; what a killed one has left is removed.
func TestBuildsAtOnce(t *testing.T) {
	cxx, log := compiler(t, "sleep .1")
	c := BuildConfig{Torch: planted(t), Cache: t.TempDir(), Compiler: cxx}
	left := write(t, "half", folder(c.Cache), unfinished+"123", "x.o")
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if _, err := Build(t.Context(), c); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	text, err := os.ReadFile(log)
	if err != nil || strings.Count(string(text), "-shared") != 1 {
		t.Errorf("compiled as follows, %v:\n%s", err, text)
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the remains of a killed build are there: %v", err)
	}
}
