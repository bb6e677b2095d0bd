package shim

import (
	"os/exec"
	"syscall"
)

// killGroup makes cancellation kill the child and its children: a compiler's
// driver runs the compiler itself as one.
func killGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
