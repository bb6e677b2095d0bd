//go:build !linux

package main

func forgetPeakRSS() bool { return false }
