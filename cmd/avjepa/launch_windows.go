package main

import "syscall"

// childAttributes leaves a child in the console's group, whose Ctrl-C reaches all:
// signals cannot be passed on here.
func childAttributes() *syscall.SysProcAttr { return nil }

// onOrphaned does nothing: this system does not tell a process that its parent ended.
func onOrphaned(func()) {}
