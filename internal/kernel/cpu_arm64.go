//go:build !noasm

package kernel

// detectISA returns NEON, which every arm64 CPU has.
func detectISA() ISA { return NEON }
