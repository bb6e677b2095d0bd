//go:build !linux

package main

// Not known on this system: the caller says so.

func memoryBytes() (total, free uint64) { return 0, 0 }

func diskFreeBytes(string) uint64 { return 0 }

func peakRSSBytes() int64 { return 0 }
