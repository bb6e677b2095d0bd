package kernel

// panel is one call of a micro-kernel: c = a·b + bias + d.
//
//	a     (rows, kc)    element (i, k) of tile t at t·pa + i·rs + k·cs, where a
//	                    tile is as many rows as the instruction set's kernel has
//	b     (kc, nr)      packed
//	c, d  (rows, cols)  d is optional and may be c
//	bias  (cols)        optional
//	next  (kc, nr)      optional: the b of the call to follow, fetched ahead
//
// Distances are in elements. Nothing checks the bounds.
type panel struct {
	rows, kc, cols int
	a              []float32
	rs, cs, pa     int
	b              []float32
	c              []float32
	ldc            int
	d              []float32
	ldd            int
	bias           []float32
	next           []float32
}

// Tiles of the NEON micro-kernel.
const neonRows, neonColumns = 8, 8

// tileShape returns the rows of a full tile and the columns of a panel.
func tileShape(i ISA) (mr, nr int) {
	switch i {
	case AVX512:
		return 14, 32
	case AVX2:
		return 6, 16
	case NEON:
		return neonRows, neonColumns
	}
	return portableRows, portableColumns
}
