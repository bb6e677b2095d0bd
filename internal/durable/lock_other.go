//go:build !unix

package durable

import "os"

// lockFile does nothing where there is no flock: two processes in one folder
// are then not detected.
func lockFile(*os.File) error { return nil }
