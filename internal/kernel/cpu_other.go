//go:build (!amd64 && !arm64) || noasm

package kernel

func detectISA() ISA { return Portable }
