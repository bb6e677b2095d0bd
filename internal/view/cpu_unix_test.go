//go:build unix

package view

import (
	"syscall"
	"testing"
	"time"
)

// cpuTime returns what this process has had of processors: on a busy machine it
// says more than the clock on the wall.
func cpuTime(b *testing.B) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
