package main

import (
	"context"
	"errors"
	"io/fs"

	"avjepa/internal/config"
	"avjepa/internal/media"
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
	exitInterrupted = 130
)

// Sentinels of this package; the table below maps them and those of others.
var (
	errInterrupted = errors.New("interrupted")
	errUsage       = errors.New("usage")
	errConfig      = errors.New("config")
	errEngine      = errors.New("engine")
	errCheckpoint  = errors.New("checkpoint does not fit")
	errPartial     = errors.New("done in part")
)

// exitCodes is the one table from errors to exit codes, first match wins.
var exitCodes = []struct {
	err  error
	code int
}{
	{errInterrupted, exitInterrupted},
	{context.Canceled, exitInterrupted},
	{errUsage, exitUsage},
	{errConfig, exitConfig},
	{config.ErrKey, exitConfig},
	{media.ErrNoFFmpeg, exitNoFFmpeg},
	{errEngine, exitEngine},
	{errCheckpoint, exitCheckpoint},
	{errPartial, exitPartial},
	{fs.ErrNotExist, exitError},
}

func exitCode(err error) int {
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

// said is an error whose message has been shown already.
type said struct{ error }

func (s said) Unwrap() error { return s.error }

func silent(err error) bool {
	var s said
	return errors.As(err, &s)
}
