// Command avjepa learns from video with sound, without labels, and makes what
// it learned useful. Run avjepa help for its commands.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

func main() { os.Exit(realMain()) }

// realMain runs the command line and returns the exit code.
func realMain() int {
	debug.SetGCPercent(gcPercent)
	ctx, stop := interruptible()
	defer stop()
	root := newRootCommand()
	if err := root.ExecuteContext(ctx); err != nil {
		if !silent(err) {
			fmt.Fprintln(os.Stderr, "avjepa: "+sentence(err))
		}
		return exitCode(err)
	}
	return 0
}

// interruptible returns a context that the first Ctrl-C or SIGTERM cancels, so
// that the command can save and leave (its stage says what it saves); the second
// one leaves at once. SIGUSR1 is such a first one on Linux: batch systems can send
// it ahead of a limit.
func interruptible() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.Background())
	onOrphaned(func() { cancel(errInterrupted) })
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel(errInterrupted)
		<-signals
		os.Exit(exitInterrupted)
	}()
	return ctx, func() { signal.Stop(signals); cancel(nil) }
}
