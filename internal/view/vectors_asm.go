//go:build amd64 && !noasm

package view

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// vectors says whether the assembly is used; tests turn it off. The results are
// the same.
var vectors = cpu.X86.HasAVX2

// acrossVectors is acrossGo, unless it returns false: when src ends too early
// for reads of 16 bytes.
func (a *axis) acrossVectors(dst, src []byte) bool {
	if !vectors {
		return false
	}
	t := &a.table
	if !t.ready {
		t.build(a)
	}
	if len(src) < t.reach || len(dst) < 3*len(t.offsets)+4 {
		return false
	}
	acrossAVX2(unsafe.SliceData(dst), unsafe.SliceData(src), &t.offsets[0], &t.weights[0],
		len(t.offsets)/8, t.pairs)
	return true
}

// downVectors does downGo for the columns before the one that it returns.
func downVectors(dst, rows []byte, k []int16, taps int) int {
	n, pairs := len(dst), (taps+1)/2
	if !vectors || n < 32 || len(rows) < 2*pairs*n || len(k) < 2*pairs {
		return 0
	}
	d, r := unsafe.SliceData(dst), unsafe.SliceData(rows)
	downAVX2(d, r, n&^31, n, &k[0], pairs)
	if n%32 != 0 { // the last 32, some of them once more
		at := n - 32
		downAVX2(&dst[at], &rows[at], 32, n, &k[0], pairs)
	}
	return n
}

// mirror is mirrorGo.
func mirror(dst, src []byte) {
	n := (len(dst)/3 - 2) &^ 3 // so many that no load and no store leaves its row
	if vectors && n > 0 && len(src) >= len(dst) {
		rest := len(dst) - 3*n
		mirrorAVX2(&dst[rest], unsafe.SliceData(src), n)
		dst, src = dst[:rest], src[3*n:]
	}
	mirrorGo(dst, src)
}
