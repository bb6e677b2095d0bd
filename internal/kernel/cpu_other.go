//go:build !amd64 || noasm

package kernel

func detectISA() ISA { return Portable }
