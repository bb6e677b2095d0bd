//go:build !linux

package media

import "os/exec"

// setGroup leaves the child in our group: cancellation kills the child alone.
func setGroup(cmd *exec.Cmd) {
	cmd.Cancel = func() error { return cmd.Process.Kill() }
}

// limitResources does nothing: another process's limits can be set on Linux only.
// Limits.Timeout and ffmpeg's own -max_alloc and -max_pixels still hold.
func limitResources(int, Limits) {}
