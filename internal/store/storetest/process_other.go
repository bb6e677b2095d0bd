//go:build !linux

package storetest

import "syscall"

// attributes leaves the server to the test's cleanup.
func attributes() *syscall.SysProcAttr { return nil }
