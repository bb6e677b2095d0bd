// Command gemm writes the assembly of the matrix product: micro-kernels that
// multiply packed panels, and the loops that pack them.
package main

import (
	. "github.com/mmcloughlin/avo/build"

	"avjepa/internal/kernel/gen/header"
)

func main() {
	ConstraintExpr("amd64,!noasm")
	avx2.generate("gemmAVX2")
	avx512.generate("gemmAVX512")
	packTranspose()
	avx2.packTiles("packTilesAVX2")
	avx512.packTiles("packTilesAVX512")
	packCopy("packCopy16AVX2", 16)
	packCopy("packCopy32AVX512", 32)
	peak("peakAVX2", avx2)
	peak("peakAVX512", avx512)
	Generate()
	header.Correct()
}
