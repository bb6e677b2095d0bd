package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// childSaves is how long a command of ours may take to save when it is cancelled.
const childSaves = 30 * time.Second

// childError is the end of a command of ours that did not do its work.
type childError struct {
	code int
	said string // its last words, "" for none
}

func (e *childError) Error() string {
	if e.said == "" {
		return fmt.Sprintf("avjepa ended with exit code %d", e.code)
	}
	return e.said
}

// runChild runs this program with a command line of ours, without a shell, and hands on its
// progress. Cancelled, it is interrupted as by Ctrl-C, so that it saves. On Linux it is
// told to save and leave when this process is killed. That clips were left out is no error.
func runChild(ctx context.Context, log *slog.Logger, args []string, report func(progressLine)) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	// A child is told of its parent's end when the thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c := exec.CommandContext(ctx, self, slices.Concat([]string{"--json-progress"}, args)...)
	c.SysProcAttr = childAttributes()
	c.Cancel = func() error { return interruptChild(c.Process) }
	c.WaitDelay = childSaves
	errs, err := c.StderrPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return err
	}
	said := readProgress(errs, log, report)
	err = c.Wait()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &exit) && exit.ExitCode() == exitPartial:
		return nil
	case errors.As(err, &exit):
		return &childError{exit.ExitCode(), said}
	}
	return err
}

// interruptChild asks a process to save and leave; where it cannot be asked, it is ended.
func interruptChild(p *os.Process) error {
	if err := p.Signal(os.Interrupt); err != nil {
		return p.Kill()
	}
	return nil
}

// maxProgressLine bounds a line of a child's progress; of longer ones the rest is dropped.
const maxProgressLine = 64 << 10

// readProgress reads progress until its end and returns the error that was said last.
func readProgress(r io.Reader, log *slog.Logger, report func(progressLine)) (said string) {
	in := bufio.NewReaderSize(r, maxProgressLine)
	for {
		text, long, err := in.ReadLine()
		for more := long; more && err == nil; {
			_, more, err = in.ReadLine()
		}
		if text = bytes.TrimSpace(text); len(text) > 0 {
			var l progressLine
			if text[0] == '{' && json.Unmarshal(text, &l) == nil {
				if l.Said != "" {
					log.Info("said", "text", l.Said)
				} else {
					report(l)
				}
			} else if words, ok := strings.CutPrefix(string(text), "avjepa: "); ok {
				said = words
				log.Warn("a command ended", "error", said)
			} else {
				log.Warn("said", "text", string(text))
			}
		}
		if err != nil {
			return said
		}
	}
}
