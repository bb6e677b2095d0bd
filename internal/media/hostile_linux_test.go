package media

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// watchChildren looks at the children of this process until peak is called, which
// returns the largest memory one of them has had, in MB.
func watchChildren(t *testing.T) (peak func() int64) {
	t.Helper()
	done, most := make(chan struct{}), make(chan int64)
	go func() {
		largest := int64(0)
		for {
			for _, pid := range childrenOf(t) {
				largest = max(largest, residentMB(pid))
			}
			select {
			case <-done:
				most <- largest
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	return func() int64 { close(done); return <-most }
}

// residentMB returns the most memory that a process has had, 0 when it is gone or
// has not become another program yet: until then its memory is ours.
func residentMB(pid string) int64 {
	program, err := os.Readlink("/proc/" + pid + "/exe")
	own, _ := os.Readlink("/proc/self/exe")
	if err != nil || program == own {
		return 0
	}
	text, _ := os.ReadFile("/proc/" + pid + "/status")
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	kB, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	n, _ := strconv.ParseInt(kB, 10, 64)
	return n >> 10
}

// childrenOf returns the ids of the processes that this one has started and not
// yet seen the end of.
func childrenOf(t *testing.T) []string {
	t.Helper()
	tasks, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, path := range tasks {
		text, err := os.ReadFile(path)
		if err == nil { // else the thread has ended
			all = append(all, strings.Fields(string(text))...)
		}
	}
	return all
}
