//go:build unix && !linux

package main

import "syscall"

// childAttributes puts a child into a process group of its own, so that a terminal's
// Ctrl-C reaches it through launch alone, once.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// onOrphaned does nothing: this system does not tell a process that its parent ended.
func onOrphaned(func()) {}
