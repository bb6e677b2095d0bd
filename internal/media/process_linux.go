package media

import (
	"math"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// setGroup puts the child into a process group of its own and makes
// cancellation kill that group.
func setGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}

// limitResources bounds a child that has just started. It has hardly run yet and
// opens its input later, so the moment before the bound holds is harmless; an
// error means that it is gone already.
func limitResources(pid int, lim Limits) {
	memory := unix.Rlimit{Cur: uint64(lim.MemoryBytes), Max: uint64(lim.MemoryBytes)}
	_ = unix.Prlimit(pid, unix.RLIMIT_AS, &memory, nil)
	seconds := uint64(math.Ceil(lim.Timeout.Seconds())) * childThreads
	cpu := unix.Rlimit{Cur: seconds, Max: seconds + 1}
	_ = unix.Prlimit(pid, unix.RLIMIT_CPU, &cpu, nil)
	core := unix.Rlimit{}
	_ = unix.Prlimit(pid, unix.RLIMIT_CORE, &core, nil)
}
