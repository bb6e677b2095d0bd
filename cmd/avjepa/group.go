package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"time"

	"avjepa/internal/collective"
	"avjepa/internal/config"
	"avjepa/internal/engine"
	"avjepa/internal/engine/torch/shim"
	"avjepa/internal/train"
)

// placeHere returns where this process stands among those that were started with it.
func placeHere() (collective.Place, error) {
	place, err := collective.FromEnviron(os.Getenv)
	if err != nil {
		return place, usageError(fmt.Errorf("this process was started as one of several, but: %w", err))
	}
	return place, nil
}

// follows reports whether another process speaks for this one: it shows no progress
// and prints no results.
func follows() bool {
	place, err := placeHere()
	return err == nil && place.Rank > 0
}

// mute is the progress of a process that follows.
func mute() *progress { return &progress{out: io.Discard, quiet: true} }

// coresHere returns the cores for this process: its share of the machine's.
func coresHere() int {
	cores := runtime.GOMAXPROCS(0)
	if place, err := placeHere(); err == nil {
		cores /= place.LocalSize
	}
	return max(1, cores)
}

// localRankHere returns the number of this process on its machine, as whoever started
// it says, "" when nobody does.
func localRankHere() string {
	text := os.Getenv(localRank)
	if place, err := placeHere(); text == "" && err == nil && place.Size > 1 {
		return strconv.Itoa(place.LocalRank)
	}
	return text
}

// processes are those that train together, as one of them sees them.
type processes struct {
	*collective.Processes
	left chan struct{}
}

// openProcesses meets the processes that were started with this one; nil, without an
// error, when it is alone. leave must be called.
func openProcesses(ctx context.Context, c *config.Config) (*processes, error) {
	place, err := placeHere()
	if err != nil || place.Size == 1 {
		return nil, err
	}
	cache, err := cacheFolder()
	if err != nil {
		return nil, kind{err, errEngine}
	}
	lib, err := shim.Current(cache)
	if err != nil {
		return nil, kind{fmt.Errorf("processes that train together do so by libtorch, with any "+
			"engine: %w", err), errEngine}
	}
	host, err := os.Hostname()
	if err != nil {
		host = "?"
	}
	met, err := collective.Open(ctx, collective.Config{Place: place, Library: lib.Path, Host: host,
		Interface: os.Getenv("GLOO_SOCKET_IFNAME"),
		Timeout:   time.Duration(c.Engine.GroupTimeout) * time.Second})
	if err != nil {
		return nil, err
	}
	p := &processes{met, make(chan struct{})}
	go p.leaveWhenLost()
	return p, nil
}

// follow reports whether process 0, which has the run folder, is another one.
func (p *processes) follow() bool { return p != nil && p.Rank > 0 }

// grace is how long a process may take to end by itself when another one was lost.
// Most wait in a sum over the processes then, which would never end.
const grace = 2 * time.Second

// leaveWhenLost ends this process after another one was lost.
func (p *processes) leaveWhenLost() {
	select {
	case <-p.left:
		return
	case <-p.Lost():
	}
	select {
	case <-p.left:
	case <-time.After(grace):
		fmt.Fprintln(os.Stderr, "avjepa: "+p.Err().Error())
		os.Exit(exitLost)
	}
}

// leave says goodbye with the error this process ends with. An interrupt is no error
// to the others, who stop at the same step, nor are clips that could not be read.
func (p *processes) leave(err error) {
	if p == nil {
		return
	}
	close(p.left)
	for _, fine := range []error{context.Canceled, train.ErrStopped, errPartial} {
		if errors.Is(err, fine) {
			err = nil
		}
	}
	p.Close(err)
}

// shareConfig makes process 0's configuration everybody's, whatever theirs is.
func (p *processes) shareConfig(c *config.Config) (*config.Config, error) {
	if p == nil {
		return c, nil
	}
	text, err := p.FromFirst("config", []byte(c.TOML()))
	if errors.Is(err, collective.ErrLeft) { // without a word about what went wrong
		return nil, fmt.Errorf("%w: process 0 was interrupted before it began", train.ErrStopped)
	}
	if err != nil || p.Rank == 0 {
		return c, err
	}
	c = config.New()
	if err := c.ApplyText(string(text), "process 0"); err != nil {
		return nil, configError(err)
	}
	return c, nil
}

// openGroup returns the processes as sums over e's tensors see them, nil for one
// that is alone.
func (p *processes) openGroup(e engine.Engine) (engine.Group, error) {
	if p == nil {
		return nil, nil
	}
	g, err := p.Group(e)
	if err != nil && !errors.Is(err, engine.ErrLost) {
		err = kind{err, errEngine}
	}
	return g, err
}

// threads returns engine.threads, or for 0 this process's share of the cores.
func threads(c config.Engine) int { return cmp.Or(c.Threads, coresHere()) }
