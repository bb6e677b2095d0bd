//go:build !linux

package media

import (
	"os"
	"os/exec"
	"time"
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

// messagePipe is the reading end of a pipe.
type messagePipe struct{ file *os.File }

func newMessagePipe() (messagePipe, *os.File, error) {
	r, w, err := os.Pipe()
	return messagePipe{r}, w, err
}

// readNow reads what comes within a millisecond, or, where pipes know no
// deadline, waits for something.
func (r messagePipe) readNow(buffer []byte) (n int, more bool) {
	_ = r.file.SetReadDeadline(time.Now().Add(time.Millisecond))
	n, err := r.file.Read(buffer)
	return n, err == nil
}

func (r *messagePipe) close() {
	if r.file != nil {
		r.file.Close()
		r.file = nil
	}
}
