package kernel

// Tiles of the portable micro-kernel. Its eight sums, an operand and a product
// for each of them fit into 16 registers.
const portableRows, portableColumns = 2, 4

// portableTile is the sums of one tile, row after row.
type portableTile [portableRows * portableColumns]float32

// mulGo is the portable micro-kernel.
func (p *panel) mulGo() {
	b := p.b[:p.kc*portableColumns]
	for i := 0; i < p.rows; i += portableRows {
		a := p.a[i/portableRows*p.pa:]
		next := 0 // a row that does not exist is the same again
		if i+1 < p.rows {
			next = p.rs
		}
		var s portableTile
		switch {
		case p.cs == 1:
			s.addRows(a[:p.kc], a[next:][:p.kc], b)
		case p.cs == portableRows && next == 1:
			s.addPacked(a, b)
		default:
			s.addStrided(a, next, p.cs, b)
		}
		for r := i; r < min(i+portableRows, p.rows); r++ {
			p.setRow(r, s[(r-i)*portableColumns:])
		}
	}
}

// setRow sets the columns of row r of c to sums s, with bias and d.
func (p *panel) setRow(r int, s []float32) {
	c := p.c[r*p.ldc:][:p.cols]
	for j := range c {
		v := s[j]
		if p.bias != nil {
			v += p.bias[j]
		}
		if p.d != nil {
			v += p.d[r*p.ldd+j]
		}
		c[j] = v
	}
}

// addRows adds the product of the rows a0 and a1 with b (len(a0), 4) to s.
//
// Four steps make one block of straight code: the compiler delays the sums that
// a loop hands to its next round to the end of the block, and with one step all
// eight products wait for them in memory. This runs at the rate of scalar
// multiplications and additions.
func (s *portableTile) addRows(a0, a1, b []float32) {
	s0, s1, s2, s3, t0, t1, t2, t3 := s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]
	for len(a0) >= 4 && len(a1) >= 4 && len(b) >= 16 {
		x, y := a0[0], a1[0]
		s0 += x * b[0]
		t0 += y * b[0]
		s1 += x * b[1]
		t1 += y * b[1]
		s2 += x * b[2]
		t2 += y * b[2]
		s3 += x * b[3]
		t3 += y * b[3]
		x, y = a0[1], a1[1]
		s0 += x * b[4]
		t0 += y * b[4]
		s1 += x * b[5]
		t1 += y * b[5]
		s2 += x * b[6]
		t2 += y * b[6]
		s3 += x * b[7]
		t3 += y * b[7]
		x, y = a0[2], a1[2]
		s0 += x * b[8]
		t0 += y * b[8]
		s1 += x * b[9]
		t1 += y * b[9]
		s2 += x * b[10]
		t2 += y * b[10]
		s3 += x * b[11]
		t3 += y * b[11]
		x, y = a0[3], a1[3]
		s0 += x * b[12]
		t0 += y * b[12]
		s1 += x * b[13]
		t1 += y * b[13]
		s2 += x * b[14]
		t2 += y * b[14]
		s3 += x * b[15]
		t3 += y * b[15]
		a0, a1, b = a0[4:], a1[4:], b[16:]
	}
	for len(a0) >= 1 && len(a1) >= 1 && len(b) >= 4 {
		x, y := a0[0], a1[0]
		s0 += x * b[0]
		t0 += y * b[0]
		s1 += x * b[1]
		t1 += y * b[1]
		s2 += x * b[2]
		t2 += y * b[2]
		s3 += x * b[3]
		t3 += y * b[3]
		a0, a1, b = a0[1:], a1[1:], b[4:]
	}
	*s = portableTile{s0, s1, s2, s3, t0, t1, t2, t3}
}

// addPacked is addRows with the two rows' elements by turns in a.
func (s *portableTile) addPacked(a, b []float32) {
	s0, s1, s2, s3, t0, t1, t2, t3 := s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]
	for len(a) >= 8 && len(b) >= 16 {
		x, y := a[0], a[1]
		s0 += x * b[0]
		t0 += y * b[0]
		s1 += x * b[1]
		t1 += y * b[1]
		s2 += x * b[2]
		t2 += y * b[2]
		s3 += x * b[3]
		t3 += y * b[3]
		x, y = a[2], a[3]
		s0 += x * b[4]
		t0 += y * b[4]
		s1 += x * b[5]
		t1 += y * b[5]
		s2 += x * b[6]
		t2 += y * b[6]
		s3 += x * b[7]
		t3 += y * b[7]
		x, y = a[4], a[5]
		s0 += x * b[8]
		t0 += y * b[8]
		s1 += x * b[9]
		t1 += y * b[9]
		s2 += x * b[10]
		t2 += y * b[10]
		s3 += x * b[11]
		t3 += y * b[11]
		x, y = a[6], a[7]
		s0 += x * b[12]
		t0 += y * b[12]
		s1 += x * b[13]
		t1 += y * b[13]
		s2 += x * b[14]
		t2 += y * b[14]
		s3 += x * b[15]
		t3 += y * b[15]
		a, b = a[8:], b[16:]
	}
	for len(a) >= 2 && len(b) >= 4 {
		x, y := a[0], a[1]
		s0 += x * b[0]
		t0 += y * b[0]
		s1 += x * b[1]
		t1 += y * b[1]
		s2 += x * b[2]
		t2 += y * b[2]
		s3 += x * b[3]
		t3 += y * b[3]
		a, b = a[2:], b[4:]
	}
	*s = portableTile{s0, s1, s2, s3, t0, t1, t2, t3}
}

// addStrided is addRows with element k of the two rows at k·cs and next + k·cs.
func (s *portableTile) addStrided(a []float32, next, cs int, b []float32) {
	const block = 128
	var row [portableRows][block]float32
	for len(b) > 0 {
		n := min(block, len(b)/portableColumns)
		r0, r1 := row[0][:n], row[1][:n]
		k := 0
		for i := range r0 {
			r0[i], r1[i] = a[k], a[k+next]
			k += cs
		}
		s.addRows(r0, r1, b[:n*portableColumns])
		b = b[n*portableColumns:]
		if len(b) > 0 {
			a = a[k:]
		}
	}
}
