package kernel

// finish turns the product of rows i…iHi−1, columns j…jHi−1 into C:
//
//	C = act(t) [+ C] [+ Residual],  act(t) = gelu(t), t·gelu′(DGELU) or t
//
// and sets Act to gelu(DGELU),
// with row scratch for one row when something is added.
func (p *gemmPlan) finish(row []float32, i, iHi, j, jHi int) {
	a := &p.args
	n := jHi - j
	accumulate := a.Accumulate && p.d == nil // else the product has the old C in it
	adds := accumulate || a.Residual != nil
	for r := i; r < iHi; r++ {
		t, c := p.t[r*p.ldt+j:][:n], a.C[r*a.LDC+j:][:n]
		y := c
		if adds {
			y = row[:n]
		}
		switch {
		case a.GELU:
			GELURow(y, t)
		case a.Act != nil:
			GELUBackRow(y, t, a.DGELU[r*a.LDD+j:][:n], a.Act[r*a.LDAct+j:])
		case a.DGELU != nil:
			DGELURow(y, t, a.DGELU[r*a.LDD+j:][:n])
		default:
			copy(y, t)
		}
		if accumulate {
			Axpy(y, c, 1)
		}
		if a.Residual != nil {
			Axpy(y, a.Residual[r*a.LDR+j:][:n], 1)
		}
		if adds {
			copy(c, y)
		}
	}
}
