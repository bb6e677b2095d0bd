package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"avjepa/internal/media"
	"avjepa/internal/server"
)

// serveStarter makes a server that has nothing useful: it runs this program's own commands
// and opens what they made. What it opens it closes when the server has ended.
type serveStarter struct {
	o     *serveOptions
	tools media.Tools
	log   *slog.Logger

	mu     sync.Mutex
	opened []func()
}

// close closes what was opened, the last first.
func (x *serveStarter) close() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := len(x.opened) - 1; i >= 0; i-- {
		x.opened[i]()
	}
	x.opened = nil
}

// FFmpeg returns its version.
func (x *serveStarter) FFmpeg(ctx context.Context) string {
	if x.tools.FFmpeg == "" {
		return ""
	}
	v, err := x.tools.Version(ctx)
	if err != nil {
		return ""
	}
	return v
}

// Folders and names of what a start makes, relative to where the server runs.
const (
	demoName = "demo"
	demoWork = "data/demo"

	usualMinutes = 8
)

// ownName is the name of the run that is trained on the videos of a folder: another folder,
// another run.
func ownName(folder string) string {
	h := fnv.New32a()
	io.WriteString(h, folder)
	return fmt.Sprintf("own-%08x", h.Sum32())
}

// commands returns the command lines of a way, and the run that they make.
func (x *serveStarter) commands(r server.StartRequest) (all [][]string, run string) {
	var common, lib []string // flags that are not as they are anyway
	if x.o.runs != usualRuns {
		common = append(common, "--runs", x.o.runs)
	}
	if r.Minutes != usualMinutes {
		common = append(common, "--minutes", strconv.Itoa(r.Minutes))
	}
	common = slices.Concat(common, x.settings(), x.o.demo)
	if x.o.libraryDir() != usualLibrary {
		lib = append(lib, "--library", x.o.libraryDir())
	}
	lib = append(lib, x.engine()...)
	switch r.Way {
	case server.StartDemo:
		run = filepath.Join(x.o.runs, demoName)
		d := &demo{demoOptions: &demoOptions{}}
		c := newDemoCommand(&globals{})
		if c.ParseFlags(x.o.demo) == nil { // where its clips will lie
			d.train, _ = c.Flags().GetInt("scenes")
			d.heldOut, _ = c.Flags().GetInt("held-out")
		}
		d.work = demoWork
		return [][]string{slices.Concat([]string{"demo"}, common), slices.Concat([]string{"index", run,
			"--data", d.folder("clips"), "--split", "heldout"}, lib)}, run
	case server.StartVideos:
		name := "own"
		if filepath.IsAbs(r.Path) {
			name = ownName(r.Path)
		}
		run = filepath.Join(x.o.runs, name)
		return [][]string{
			slices.Concat([]string{"demo", "--data", r.Path, "--name", name}, common),
			slices.Concat([]string{"index", run, r.Path}, lib)}, run
	}
	return nil, r.Path
}

// engine are the flags of the engine that the server was told to use.
func (x *serveStarter) engine() []string {
	var flags []string
	if x.o.engine.Name != "" {
		flags = append(flags, "--engine", x.o.engine.Name)
	}
	if x.o.engine.Device != "" {
		flags = append(flags, "--device", x.o.engine.Device)
	}
	return flags
}

// settings are the same for a command that trains.
func (x *serveStarter) settings() []string {
	var flags []string
	if x.o.engine.Name != "" {
		flags = append(flags, "--set", "engine.name="+x.o.engine.Name)
	}
	if x.o.engine.Device != "" {
		flags = append(flags, "--set", "engine.device="+x.o.engine.Device)
	}
	return flags
}

// Commands are the command lines of a way as people would type them.
func (x *serveStarter) Commands(r server.StartRequest, trained bool) []string {
	lib := x.o.libraryDir()
	switch {
	case r.Way == server.StartCheckpoint:
		file := r.Path
		if file == "" {
			file = "FILE"
		}
		return []string{"avjepa serve --model " + shellWord(file) + " --library " + shellWord(lib)}
	case r.Path == "" && r.Way == server.StartVideos:
		r.Path = "DIR"
	}
	if r.Way == server.StartVideos && trained {
		return []string{"avjepa index " + shellWord(x.modelPath()) + " " + shellWord(r.Path) +
			" --library " + shellWord(lib)}
	}
	all, _ := x.commands(r)
	var lines []string
	for _, args := range all {
		line := "avjepa"
		for _, a := range args {
			line += " " + shellWord(a)
		}
		lines = append(lines, line)
	}
	return lines
}

// modelPath is how the loaded model is named on a command line.
func (x *serveStarter) modelPath() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.o.opened == "" {
		return "MODEL"
	}
	return x.o.opened
}

// Start runs the commands of a way and opens what they made.
func (x *serveStarter) Start(ctx context.Context, r server.StartRequest, report func(server.Progress)) (
	*server.Loaded, error) {

	all, run := x.commands(r)
	parts := len(all) + 1
	for i, args := range all {
		report(server.Progress{Stage: args[0], Part: i + 1, Parts: parts})
		err := runChild(ctx, x.log, args, func(l progressLine) {
			report(server.Progress{Stage: l.Stage, Done: l.Done, Total: l.Total, Unit: l.Unit, Note: l.Note,
				Part: i + 1, Parts: parts})
		})
		if err != nil {
			return nil, x.problem(err)
		}
	}
	report(server.Progress{Stage: "open the model", Part: parts, Parts: parts})
	return x.open(ctx, run)
}

// open opens a model and the library for it.
func (x *serveStarter) open(ctx context.Context, path string) (*server.Loaded, error) {
	m, err := openServed(path, x.o, x.tools)
	if err != nil {
		x.log.Warn("a model cannot be opened", "path", path, "error", err)
		return nil, server.NewProblem(422, "not-a-model", "this is no checkpoint or run folder that can be opened: "+
			x.shown(err)).WithHint("avjepa import takes models of other formats")
	}
	lib, err := openServedLibrary(ctx, x.o.libraryDir(), m, x.tools, x.log)
	if err != nil {
		m.close()
		return nil, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.opened = append(x.opened, m.close, lib.close)
	x.o.opened = path
	return &server.Loaded{Library: lib, Model: m, Explainer: m}, nil
}

// problem is what clients see of the end of a command.
func (x *serveStarter) problem(err error) error {
	var end *childError
	if !errors.As(err, &end) {
		return err
	}
	if end.code == exitNoFFmpeg {
		return server.NewProblem(503, "no-ffmpeg", "ffmpeg is not installed").
			WithHint("apt-get install ffmpeg, then start the server again")
	}
	return server.NewProblem(422, "start-failed", x.shown(end)).
		WithHint("the same button goes on from here; the log has all that was said")
}

// shown is an error for clients. Those on this machine see it whole; others no paths.
func (x *serveStarter) shown(err error) string {
	if x.o.local {
		return err.Error()
	}
	return "the log of the server says why"
}
