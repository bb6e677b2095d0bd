package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"avjepa/internal/engine"
	"avjepa/internal/media"
	"avjepa/internal/train"
)

// Exit codes; docs/commands.md lists them.
const (
	exitError       = 1
	exitUsage       = 2
	exitPartial     = 3
	exitEngine      = 10
	exitConfig      = 11
	exitNoFFmpeg    = 12
	exitCheckpoint  = 13
	exitLost        = 14
	exitInterrupted = 130
)

// Sentinels of this package; the table below maps them and those of others.
var (
	errInterrupted = error(kind{errors.New("interrupted"), context.Canceled})
	errUsage       = errors.New("usage")
	errConfig      = errors.New("config")
	errEngine      = errors.New("engine")
	errCheckpoint  = errors.New("checkpoint does not fit")
	errPartial     = errors.New("done in part")
)

// exitCodes is the one table from errors to exit codes, first match wins. What
// is not in it is exitError.
var exitCodes = []struct {
	err  error
	code int
}{
	{engine.ErrLost, exitLost},
	{context.Canceled, exitInterrupted},
	{train.ErrStopped, exitInterrupted},
	{errUsage, exitUsage},
	{errEngine, exitEngine},
	{errConfig, exitConfig},
	{media.ErrNoFFmpeg, exitNoFFmpeg},
	{errCheckpoint, exitCheckpoint},
	{errPartial, exitPartial},
}

func exitCode(err error) int {
	var of exited
	if errors.As(err, &of) {
		return int(of)
	}
	for _, e := range exitCodes {
		if errors.Is(err, e.err) {
			return e.code
		}
	}
	return exitError
}

// kind marks an error with a sentinel without changing its text.
type kind struct {
	error
	mark error
}

func (k kind) Unwrap() []error { return []error{k.error, k.mark} }

func usageError(err error) error  { return kind{err, errUsage} }
func configError(err error) error { return kind{err, errConfig} }

// partial is the error of a command that did its work without n clips of a data
// set, or nil for none.
func partial(n int, data string) error {
	if n == 0 {
		return nil
	}
	return kind{fmt.Errorf("done, without the clips of %s that could not be read (%d): "+
		"ingest them again into another folder", data, n), errPartial}
}

// sameAgain is the error of a command that was interrupted and continues when
// it is given again.
func sameAgain(err error) error {
	return fmt.Errorf("%w; the same command goes on from here", err)
}

// sentence is what an error says. What was under way when Ctrl-C was pressed is no news.
func sentence(err error) string {
	if errors.Is(err, context.Canceled) && strings.HasSuffix(err.Error(), context.Canceled.Error()) {
		return errInterrupted.Error()
	}
	return err.Error()
}

// said is an error whose message has been shown already.
type said struct{ error }

func (s said) Unwrap() error { return s.error }

func silent(err error) bool {
	var s said
	return errors.As(err, &s)
}
