package testserver

import "syscall"

// attributes ends the server when the test's process is gone, however it ends.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
