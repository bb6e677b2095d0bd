package main

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

// usage returns the memory of this process that is resident, and the processor time
// that it has taken.
func usage() (rss int64, busy time.Duration, err error) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, 0, err
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		return 0, 0, fmt.Errorf("/proc/self/statm: %w", err)
	}
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0, 0, err
	}
	busy = time.Duration(r.Utime.Nano() + r.Stime.Nano())
	return pages * int64(os.Getpagesize()), busy, nil
}
