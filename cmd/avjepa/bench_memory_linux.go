package main

import (
	"os"
	"runtime/debug"
)

// forgetPeakRSS makes peakRSSBytes begin anew at what this process holds now,
// garbage given back. False when the system does not let it.
func forgetPeakRSS() bool {
	debug.FreeOSMemory()
	const peak = "5" // proc(5), /proc/pid/clear_refs
	return os.WriteFile("/proc/self/clear_refs", []byte(peak), 0) == nil
}
