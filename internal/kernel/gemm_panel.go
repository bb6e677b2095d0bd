package kernel

// panel is one call of a micro-kernel: c = a·b + bias + d.
//
//	a     (rows, kc)    element (i, k) of tile t at t·pa + i·rs + k·cs, where a
//	                    tile is as many rows as the instruction set's kernel has
//	b     (kc, nr)      packed
//	c, d  (rows, cols)  d is optional and may be c
//	bias  (cols)        optional
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
}

// tileShape returns the rows of a full tile and the columns of a panel.
func tileShape(i ISA) (mr, nr int) {
	switch i {
	case AVX512:
		return 14, 32
	case AVX2:
		return 6, 16
	}
	return 2, 4
}

// mulGo is the portable micro-kernel: tiles of 2×4.
func (p *panel) mulGo() {
	const mr, nr = 2, 4
	for i0 := 0; i0 < p.rows; i0 += mr {
		a0 := p.a[i0/mr*p.pa:]
		a1 := a0
		if i0+1 < p.rows {
			a1 = a0[p.rs:]
		}
		var s00, s01, s02, s03, s10, s11, s12, s13 float32
		for k := range p.kc {
			b := p.b[k*nr : k*nr+nr]
			x, y := a0[k*p.cs], a1[k*p.cs]
			s00 += x * b[0]
			s01 += x * b[1]
			s02 += x * b[2]
			s03 += x * b[3]
			s10 += y * b[0]
			s11 += y * b[1]
			s12 += y * b[2]
			s13 += y * b[3]
		}
		s := [mr][nr]float32{{s00, s01, s02, s03}, {s10, s11, s12, s13}}
		for i := i0; i < min(i0+mr, p.rows); i++ {
			for j := range p.cols {
				v := s[i-i0][j]
				if p.bias != nil {
					v += p.bias[j]
				}
				if p.d != nil {
					v += p.d[i*p.ldd+j]
				}
				p.c[i*p.ldc+j] = v
			}
		}
	}
}
