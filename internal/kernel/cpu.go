package kernel

import (
	"fmt"
	"slices"
)

// ISA is an instruction set that kernels are written for.
type ISA uint8

const (
	Portable ISA = iota // plain Go
	NEON                // the vectors of arm64: matrix products only
	AVX2                // AVX2 and FMA
	AVX512              // AVX-512 F, DQ, BW and VL
)

func (i ISA) String() string { return [...]string{"portable", "neon", "avx2", "avx512"}[i] }

var (
	bestISA = detectISA() // the most this CPU and its operating system support
	isa     = bestISA     // the one in use
)

// ISAs returns the instruction sets that this machine can run, the slowest first.
func ISAs() []ISA {
	switch bestISA {
	case AVX2:
		return []ISA{Portable, AVX2}
	case AVX512:
		return []ISA{Portable, AVX2, AVX512}
	case NEON:
		return []ISA{Portable, NEON}
	}
	return []ISA{Portable}
}

// ActiveISA returns the instruction set in use: the best one, unless SetISA
// chose another.
func ActiveISA() ISA { return isa }

// SetISA makes all kernels use the given instruction set and returns the one
// used before. It may not be called while kernels run; it is meant for tests
// and benchmarks. It panics when the machine does not support i.
func SetISA(i ISA) ISA {
	if !slices.Contains(ISAs(), i) {
		panic(fmt.Sprintf("kernel: this machine has no %v, at most %v", i, bestISA))
	}
	before := isa
	isa = i
	return before
}
