package media

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// dontWait makes the opening of a FIFO without a writer return at once.
const dontWait = syscall.O_NONBLOCK

// forChild returns the name under which a child with so many outputs opens the
// file, and what start must hand it for that. It is the number of a descriptor:
// the file's own name does not reach the child.
func (in *input) forChild(outputs int) (name string, files []*os.File) {
	if _, err := os.Stat("/proc/self/fd"); err != nil { // a chroot without it
		return in.file.Name(), nil
	}
	return fmt.Sprintf("/proc/self/fd/%d", 2+outputs), []*os.File{in.file}
}

// setGroup puts the child into a process group of its own and makes
// cancellation kill that group.
func setGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}

// killRest waits for the end of a child and kills what it left in its group. The
// child stays a zombie meanwhile, so that no other group can have its number.
func killRest(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			break
		}
	}
	_ = syscall.Kill(-pid, syscall.SIGKILL)
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

// widen lets a pipe hold more than the 64 KiB it begins with, so that the child
// waits less often for us. A system that refuses leaves it as it is.
func widen(pipe *os.File) {
	conn, err := pipe.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Control(func(fd uintptr) {
		_, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, pipeBytes)
	})
}

// messagePipe is the reading end of a pipe that the runtime's poller does not
// know: that wakes up for every write, whether anybody reads or not.
type messagePipe struct{ fd int }

func newMessagePipe() (messagePipe, *os.File, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return messagePipe{}, nil, os.NewSyscallError("pipe2", err)
	}
	r, w := messagePipe{fds[0]}, os.NewFile(uintptr(fds[1]), "stderr")
	if err := unix.SetNonblock(r.fd, true); err != nil {
		r.close()
		w.Close()
		return messagePipe{}, nil, os.NewSyscallError("fcntl", err)
	}
	return r, w, nil
}

// readNow reads what there is, and reports whether there may be more.
func (r messagePipe) readNow(buffer []byte) (n int, more bool) {
	n, err := unix.Read(r.fd, buffer)
	return max(n, 0), n > 0 || err == unix.EINTR
}

func (r *messagePipe) close() {
	if r.fd > 0 {
		unix.Close(r.fd)
		r.fd = 0
	}
}
