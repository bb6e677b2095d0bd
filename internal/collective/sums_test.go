//go:build unix

package collective

import (
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"avjepa/internal/engine/torch/shim/shimtest"
)

func TestGroup(t *testing.T) {
	shimtest.Library(t)
	for _, engine := range []string{"cpu", "torch"} {
		for _, size := range []int{2, 4} {
			t.Run(fmt.Sprint(engine, size), func(t *testing.T) {
				t.Parallel()
				all := start(t, size, "values", "TEST_ENGINE="+engine)
				for _, p := range all {
					p.ends(t, time.Minute, 0)
				}
				sameBits(t, all)
			})
		}
	}
}

// The engine computes on while processes wait for each other.
func TestSumsGoOnBeside(t *testing.T) {
	for _, engine := range []string{"cpu", "torch"} {
		for _, p := range start(t, 2, "late", "TEST_ENGINE="+engine) {
			p.ends(t, time.Minute, 0)
		}
	}
}

// waitSumming waits until all processes sum.
func waitSumming(t *testing.T, all []*process) {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		n := 0
		for _, p := range all {
			select {
			case <-p.ended:
				t.Fatalf("ended: %s", p.errs.String())
			default:
			}
			if strings.Contains(p.out.String(), "summing") {
				n++
			}
		}
		if n == len(all) {
			return
		}
		if time.Since(begin) > time.Minute {
			t.Fatal("no sums after a minute")
		}
	}
}

func TestProcessKilledInASum(t *testing.T) {
	for _, rank := range []int{0, 2} {
		t.Run(fmt.Sprint("rank", rank), func(t *testing.T) {
			t.Parallel()
			all := start(t, 3, "sum", "TEST_ENGINE=cpu")
			waitSumming(t, all)
			all[rank].Process.Kill()
			for r, p := range all {
				if r != rank {
					p.ends(t, 5*time.Second, 14, fmt.Sprintf("rank %d on host host%d", rank, rank),
						"ended without a word", "--resume")
				}
			}
		})
	}
}

func TestProcessStoppedInASum(t *testing.T) {
	for _, rank := range []int{0, 1} {
		t.Run(fmt.Sprint("rank", rank), func(t *testing.T) {
			t.Parallel()
			all := start(t, 3, "sum", "TEST_ENGINE=torch")
			waitSumming(t, all)
			all[rank].Process.Signal(syscall.SIGSTOP)
			for r, p := range all {
				if r != rank {
					p.ends(t, 6*time.Second, 14, fmt.Sprintf("rank %d on host host%d", rank, rank),
						"no sign of life for 2s")
				}
			}
			all[rank].Process.Signal(syscall.SIGCONT)
			all[rank].ends(t, 6*time.Second, 14)
		})
	}
}

func TestProcessEndsWithItsOwnError(t *testing.T) {
	all := start(t, 3, "fail", "TEST_ENGINE=cpu")
	all[1].ends(t, 30*time.Second, 0)
	for _, r := range []int{0, 2} {
		all[r].ends(t, 5*time.Second, 14, "rank 1 on host host1", "no space left on device")
	}
}

func TestProcess0LeavesBeforeItBegins(t *testing.T) {
	t.Parallel()
	within := 10 * time.Second
	fine, failed := start(t, 2, "wait"), start(t, 2, "wait", "TEST_ERROR=no such data")
	fine[1].ends(t, within, 0, "process 0 has left")
	failed[1].ends(t, within, 14, "rank 0 on host host0 ended with an error (no such data)")
}

func TestProcessesThatDoNotMeet(t *testing.T) {
	shimtest.Library(t)
	soon := "TEST_TIMEOUT=2s"
	within := 15 * time.Second
	t.Run("no process 0", func(t *testing.T) {
		t.Parallel()
		startAs(t, "meet", nil, place(1, 2, freePort(t), soon)...).ends(t, within, 1,
			"rank 1 of 2 found no process 0 within 2s at MASTER_ADDR = 127.0.0.1, MASTER_PORT = ")
	})
	t.Run("process 0 alone", func(t *testing.T) {
		t.Parallel()
		startAs(t, "meet", nil, place(0, 2, freePort(t), soon)...).ends(t, within, 1,
			"within 2s rank 1 of 2 did not come")
	})
	t.Run("wrong size", func(t *testing.T) {
		t.Parallel()
		port := freePort(t)
		a := startAs(t, "meet", nil, place(0, 2, port)...)
		b := startAs(t, "meet", nil, place(1, 3, port)...)
		a.ends(t, within, 1, "rank 1 on host host1 has WORLD_SIZE 3, rank 0 on host host0 has 2")
		b.ends(t, within, 1, "has WORLD_SIZE 3")
	})
	t.Run("port taken", func(t *testing.T) {
		t.Parallel()
		taken, err := net.Listen("tcp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		defer taken.Close()
		port := taken.Addr().(*net.TCPAddr).Port
		startAs(t, "meet", nil, place(0, 2, port, soon)...).ends(t, within, 1,
			fmt.Sprintf("MASTER_PORT = %d: the port is taken", port))
	})
}

func TestLocalAddress(t *testing.T) {
	for master, others := range map[string]bool{"127.0.0.1": true, "localhost": false} {
		if a, err := localAddress(master, others); err != nil || !net.ParseIP(a).IsLoopback() {
			t.Errorf("towards %s: %s, %v", master, a, err)
		}
	}
	// A name of this machine that is a loopback address here is none to others.
	if outward := towards(documentation); outward != nil {
		if a, err := localAddress("localhost", true); err != nil || a != outward.String() {
			t.Errorf("%s, %v, want %s", a, err, outward)
		}
	}
	if a, err := localAddress("no-such-host.invalid", true); err == nil {
		t.Errorf("towards nowhere: %s", a)
	}
}
