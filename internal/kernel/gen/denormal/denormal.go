// Package denormal keeps denormal numbers out of a kernel.
package denormal

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// Flush writes body with denormal operands and results taken as 0 (the bits
// DAZ and FTZ of MXCSR), and restores the register before the function ends.
// Each operation on a denormal number costs some hundred cycles otherwise, and
// squares of small gradients are denormal.
//
// It is for kernels that multiply ordinary numbers into denormal ones: AdamW, the
// tails of GELU, and exponentials that rely on it. Those that would meet a denormal number only when their
// operands are hardly larger are left alone: to set the register twice takes
// longer than half a short row.
//
// The rest of the program keeps gradual underflow. The register cannot leak:
// the goroutine is not preempted inside assembly, and the kernel saves and
// restores it around signals.
func Flush(body func()) {
	const flushToZero, denormalsAreZero = 1 << 15, 1 << 6
	saved, mode := AllocLocal(8), GP32()
	VSTMXCSR(saved)
	MOVL(saved, mode)
	ORL(U32(flushToZero|denormalsAreZero), mode)
	MOVL(mode, saved.Offset(4))
	VLDMXCSR(saved.Offset(4))
	body()
	VLDMXCSR(saved)
}
