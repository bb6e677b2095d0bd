//go:build !linux

package testserver

import "syscall"

// attributes leaves the server to the test's cleanup.
func attributes() *syscall.SysProcAttr { return nil }
