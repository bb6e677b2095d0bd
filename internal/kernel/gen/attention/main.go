// Command attention writes the assembly of the parts of softmax attention that
// are no matrix products.
package main

import (
	. "github.com/mmcloughlin/avo/build"

	"avjepa/internal/kernel/gen/header"
)

func main() {
	ConstraintExpr("amd64,!noasm")
	for _, v := range []vectors{avx2, avx512} {
		v.softmax(false)
		v.softmax(true)
		v.softmaxBackward(false)
		v.softmaxBackward(true)
	}
	scaleRows()
	rowDots()
	Generate()
	header.Correct()
}
