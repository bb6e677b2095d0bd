//go:build !linux

package media

import (
	"os"
	"os/exec"
)

// dontWait is nothing: a FIFO that takes the place of a file while it is looked
// at can make Decode wait for its writer.
const dontWait = 0

// forChild returns the file's own name.
func (in *input) forChild(int) (name string, files []*os.File) { return in.file.Name(), nil }

// setGroup leaves the child in our group: cancellation kills the child alone.
func setGroup(cmd *exec.Cmd) {
	cmd.Cancel = func() error { return cmd.Process.Kill() }
}

// killRest does nothing: the child has no group of its own.
func killRest(int) {}

// limitResources does nothing: another process's limits can be set on Linux only.
// Limits.Timeout and ffmpeg's own -max_alloc and -max_pixels still hold.
func limitResources(int, Limits) {}

// widen does nothing: pipes have the size that the system gives them.
func widen(*os.File) {}
