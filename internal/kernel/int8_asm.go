//go:build amd64 && !noasm

package kernel

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// hasVNNI reports whether the machine multiplies bytes in AVX-512 registers.
var hasVNNI = cpu.X86.HasAVX512VNNI && bestISA == AVX512

func useVNNI() bool { return hasVNNI && isa == AVX512 }

func (p *int8Call) mul() {
	if !useVNNI() {
		p.mulGo()
		return
	}
	int8VNNI(p.rows, p.groups, unsafe.SliceData(p.a), uintptr(p.lda),
		(*float32)(unsafe.Pointer(unsafe.SliceData(p.row))), unsafe.SliceData(p.b),
		unsafe.SliceData(p.sums), unsafe.SliceData(p.scale),
		unsafe.SliceData(p.c), uintptr(p.ldc)*4, unsafe.SliceData(p.d), uintptr(p.ldd)*4,
		unsafe.SliceData(p.bias), p.cols)
}

// valueRange returns the least of x and 0, the greatest of x and 0, and a number
// that is NaN when one of x is NaN or infinite, else 0.
func valueRange(x []float32) (lo, hi, nan float32) {
	if !useVNNI() {
		return valueRangeGo(x)
	}
	var out [3]float32
	rangeAVX512(unsafe.SliceData(x), len(x), &out[0])
	return out[0], out[1], out[2]
}

func roundRow(q []uint8, x []float32, inv, zero float32) {
	if !useVNNI() {
		roundRowGo(q, x, inv, zero)
		return
	}
	roundAVX512(unsafe.SliceData(q), unsafe.SliceData(x), len(x), inv, zero)
}
