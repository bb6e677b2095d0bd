// Command int8 writes the assembly of the 8-bit matrix product: the
// micro-kernel for AVX-512 VNNI, and the loops that quantise a row.
package main

import (
	. "github.com/mmcloughlin/avo/build"

	"avjepa/internal/kernel/gen/header"
)

func main() {
	ConstraintExpr("amd64,!noasm")
	product()
	rowRange()
	rowRound()
	Generate()
	header.Correct()
}
