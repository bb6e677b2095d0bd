package shim

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"avjepa/internal/durable"
)

// ErrBuild is behind the error of a compiler that is missing or did not succeed.
var ErrBuild = errors.New("building the torch engine")

// BuildConfig says what to build and where.
type BuildConfig struct {
	Torch    *Torch
	Cache    string              // the user's cache folder
	Compiler string              // path of a C++ compiler
	Limit    time.Duration       // most it may take; 0 for 15 minutes
	Jobs     int                 // files compiled at once; 0 for one per core
	Say      func(string)        // told once that it will take a while, and may be nil
	Step     func(done, all int) // told after every file, and may be nil
}

// Build returns the shim for a libtorch, which it compiles unless the cache has it.
// It is there whole or not at all; a second process waits for the first. When what
// libtorch has for many processes does not compile it is left out, first NCCL, then
// gloo: Torch.Without of the result says so. Errors are ErrBuild, with what the
// compiler said.
func Build(ctx context.Context, c BuildConfig) (*Library, error) {
	for {
		l, err := c.buildOnce(ctx)
		var fault *fileFault
		if !errors.As(err, &fault) || fault.file != groupFile || !(c.Torch.NCCL || c.Torch.Gloo) {
			return l, err
		}
		c.Torch = c.Torch.withoutGroup(fault)
	}
}

// groupFile is the part of the source that is for many processes.
const groupFile = "src/group.cpp"

// fileFault is the error of a file that does not compile.
type fileFault struct {
	file string
	error
}

func (f *fileFault) Unwrap() error { return f.error }

// withoutGroup returns t without NCCL, or without gloo if it has no NCCL.
func (t *Torch) withoutGroup(fault error) *Torch {
	less := *t
	less.Without = slices.Clone(t.Without)
	_, said, _ := strings.Cut(fault.Error(), "\n")
	said, _, _ = strings.Cut(said, "\n")
	if t.NCCL {
		less.NCCL, less.NCCLInclude = false, ""
		less.without("NCCL, for many GPUs: its part does not compile (%s)", said)
	} else {
		less.Gloo, less.GlooInclude = false, ""
		less.without("gloo, for many processes on CPUs: its part does not compile (%s)", said)
	}
	return &less
}

// buildOnce is Build for just what c asks for.
func (c BuildConfig) buildOnce(ctx context.Context) (*Library, error) {
	if !c.Torch.Usable() {
		return nil, fmt.Errorf("%w: %w: %s", ErrBuild, ErrNoTorch, c.Torch)
	}
	if runtime.GOOS != "linux" {
		return nil, fmt.Errorf("%w: it is for Linux, this is %s", ErrBuild, runtime.GOOS)
	}
	if c.Compiler == "" {
		return nil, fmt.Errorf("%w: no C++ compiler: install g++, or name one in CXX", ErrBuild)
	}
	if c.Limit == 0 {
		c.Limit = 15 * time.Minute
	}
	if c.Jobs == 0 {
		c.Jobs = runtime.NumCPU()
	}
	ctx, stop := context.WithTimeoutCause(ctx, c.Limit,
		fmt.Errorf("%w: %s took longer than %s", ErrBuild, c.Compiler, c.Limit))
	defer stop()

	l := &Library{Source: sourceHash(), Torch: *c.Torch, Compiler: c.Compiler}
	f := c.Torch.flags()
	l.Compile, l.Link = f.compile, f.link
	all := folder(c.Cache)
	dir := filepath.Join(all, l.key())
	if old, err := readLibrary(dir); err == nil {
		return old, nil
	}
	if err := os.MkdirAll(all, 0o755); err != nil {
		return nil, err
	}
	unlock, err := waitLock(ctx, filepath.Join(all, lockName))
	if err != nil {
		return nil, err
	}
	defer unlock()
	if old, err := readLibrary(dir); err == nil {
		return old, nil
	}
	if err := removeUnfinished(all); err != nil {
		return nil, err
	}
	l, err = c.build(ctx, l, dir)
	if err == nil {
		err = removeOld(c.Cache)
	}
	return l, err
}

// oldKept is how many shims that this program cannot use are kept: another version
// of it on the same machine may.
const oldKept = 3

// removeOld removes the others. The caller has the lock.
func removeOld(cache string) (err error) {
	kept := 0
	for _, l := range Built(cache) {
		if l.Fault() == "" {
			continue
		}
		if kept++; kept > oldKept {
			err = errors.Join(err, os.RemoveAll(filepath.Dir(l.Path)))
		}
	}
	return err
}

// unfinished begins the name of a folder that is being built.
const unfinished = ".build-"

// removeUnfinished removes what a killed build has left. The caller has the lock.
func removeUnfinished(all string) error {
	left, err := filepath.Glob(filepath.Join(all, unfinished+"*"))
	for _, dir := range left {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}

// key names the folder of a shim: all that decides what it is.
func (l *Library) key() string {
	text, err := json.Marshal([]any{l.Source, l.Torch.Version, l.Torch.CUDA, l.Compiler,
		l.Compile, l.Link})
	if err != nil {
		panic("shim: naming a build: " + err.Error())
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// build compiles into a folder beside dir and renames it.
func (c BuildConfig) build(ctx context.Context, l *Library, dir string) (*Library, error) {
	began := time.Now()
	work, err := os.MkdirTemp(filepath.Dir(dir), unfinished)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	if err := os.CopyFS(work, source); err != nil {
		return nil, err
	}
	files, err := fs.Glob(source, "src/*.cpp")
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("%w: this program has no source of it (%v)", ErrBuild, err)
	}
	if c.Say != nil {
		c.Say(fmt.Sprintf("compiling %d files for libtorch %s with %s", len(files),
			c.Torch.Version, c.Compiler))
	}
	objects, err := c.compileAll(ctx, work, files, l.Compile)
	if err != nil {
		return nil, err
	}
	result := filepath.Join(work, "result")
	if err := os.Mkdir(result, 0o755); err != nil {
		return nil, err
	}
	args := append([]string{"-o", filepath.Join(result, libraryName)}, objects...)
	if err := c.run(ctx, work, append(args, l.Link...)); err != nil {
		return nil, err
	}
	l.Path = filepath.Join(dir, libraryName)
	l.Seconds, l.Time = time.Since(began).Seconds(), time.Now().UTC()
	text, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(result, recordName), text, 0o644); err != nil {
		return nil, err
	}
	// A folder of this name that could not be read as a build is of no use.
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	if err := os.Rename(result, dir); err != nil {
		return nil, err
	}
	return l, durable.SyncDir(filepath.Dir(dir))
}

// compileAll compiles every file to an object and returns their names. The first
// fault stops the others.
func (c BuildConfig) compileAll(ctx context.Context, work string, files, flags []string) (
	objects []string, err error) {

	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	turn := make(chan struct{}, c.Jobs)
	var wg sync.WaitGroup
	var mu sync.Mutex
	done := 0
	for _, file := range files {
		object := strings.TrimSuffix(file, ".cpp") + ".o"
		objects = append(objects, object)
		wg.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			args := append([]string{"-c", file, "-o", object}, flags...)
			if err := c.run(ctx, work, args); err != nil {
				fail(&fileFault{file, err})
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if done++; c.Step != nil {
				c.Step(done, len(files))
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return objects, nil
}

// run runs the compiler in the folder work, where it has its temporary files too.
func (c BuildConfig) run(ctx context.Context, work string, args []string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	cmd := exec.CommandContext(ctx, c.Compiler, args...)
	killGroup(cmd)
	cmd.WaitDelay = time.Second
	cmd.Dir = work
	cmd.Env = append(cmd.Environ(), "TMPDIR="+work, "LC_ALL=C")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return fmt.Errorf("%w: %s: %w\n%s", ErrBuild, c.Compiler, err, excerpt(out.String()))
}

// excerpt returns the lines of a compiler's output that name errors, at most eight,
// or its end when none does.
func excerpt(out string) string {
	const most = 8
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var faults []string
	for _, line := range lines {
		if strings.Contains(line, "error") || strings.Contains(line, "cannot find") {
			faults = append(faults, line)
		}
	}
	if len(faults) == 0 {
		faults = lines[max(0, len(lines)-most):]
	}
	return strings.Join(faults[:min(len(faults), most)], "\n")
}

// waitLock takes a lock, and waits while another process has it.
func waitLock(ctx context.Context, path string) (unlock func(), err error) {
	for {
		unlock, err = durable.Lock(path)
		if !errors.Is(err, durable.ErrLocked) {
			return unlock, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", err, context.Cause(ctx))
		case <-time.After(100 * time.Millisecond):
		}
	}
}
