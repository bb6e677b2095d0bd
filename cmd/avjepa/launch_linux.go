package main

import (
	"os"
	"os/signal"
	"syscall"
)

// orphaned is the signal of a process that is to save and leave because launch is
// gone. The system may send it several times.
const orphaned = syscall.SIGUSR1

// childAttributes puts a child into a process group of its own, so that a terminal's
// Ctrl-C reaches it through launch alone, once. It is told to save and leave when
// launch is killed.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: orphaned}
}

// onOrphaned calls f when this process is told to save and leave, each time.
func onOrphaned(f func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, orphaned)
	go func() {
		for range signals {
			f()
		}
	}()
}
