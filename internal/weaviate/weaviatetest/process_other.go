//go:build !linux

package weaviatetest

import "syscall"

// attributes leaves the server to the test's cleanup.
func attributes() *syscall.SysProcAttr { return nil }
