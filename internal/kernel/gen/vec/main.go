// Command vec writes the assembly of the kernels that work on rows and columns:
// activations, normalisations, the optimiser, characteristic functions.
package main

import (
	. "github.com/mmcloughlin/avo/build"

	"avjepa/internal/kernel/gen/header"
)

func main() {
	ConstraintExpr("amd64,!noasm")
	elementwise()
	exponential()
	gelu()
	gelu512()
	pixels()
	for _, s := range sets {
		s.dropout()
		s.layerNorm()
		s.layerNormBackward()
		s.columns()
		s.ecf()
	}
	adamw()
	Generate()
	header.Correct()
}
