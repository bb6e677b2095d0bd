//go:build !unix

package view

import (
	"testing"
	"time"
)

// cpuTime returns the time, for want of the processor's.
func cpuTime(*testing.B) time.Duration { return time.Duration(time.Now().UnixNano()) }
