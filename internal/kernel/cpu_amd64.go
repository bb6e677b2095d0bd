//go:build amd64 && !noasm

package kernel

import "golang.org/x/sys/cpu"

// detectISA asks the CPU, and whether the operating system saves the registers.
func detectISA() ISA {
	x := &cpu.X86
	switch {
	case !x.HasAVX2 || !x.HasFMA:
		return Portable
	case !x.HasAVX512F || !x.HasAVX512DQ || !x.HasAVX512BW || !x.HasAVX512VL:
		return AVX2
	}
	return AVX512
}
