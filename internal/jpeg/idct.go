package jpeg

// pair holds the coefficients of two blocks that are transformed together:
// pair[16u + 8b + v] is that of block b with horizontal frequency u and
// vertical frequency v. So the first pass, over u, works on whole vectors. Behind
// the 128 goes what a run writes beyond its block, and the size spares a check.
type pair [256]int16

// beyond is where coefficients behind the 63rd go.
const beyond = 128

// places[b][k] is the place in a pair of coefficient k, in zigzag order, of
// block b.
var places = func() (p [2][256]uint8) {
	for b := range p {
		for k := range p[b] {
			p[b][k] = beyond
		}
		k := 0
		for d := range 15 { // u + v = d, in turn up and down
			for i := range d + 1 {
				u, v := i, d-i
				if d%2 == 1 {
					u, v = v, u
				}
				if u < 8 && v < 8 {
					p[b][k] = uint8(16*u + 8*b + v)
					k++
				}
			}
		}
	}
	return p
}()

// nowhere are the places of a block that is only passed over.
var nowhere = func() (p [256]uint8) {
	for k := range p {
		p[k] = beyond
	}
	return p
}()

// Constants of the transform: cosines times √2 with 13 bits after the point,
// c4 being 1.
const (
	c0 = 8192  // 1
	c2 = 10703 // √2·cos(2π/16)
	c6 = 4433  // √2·cos(6π/16)
	c1 = 11363 // √2·cos(π/16)
	c3 = 9633  // √2·cos(3π/16)
	c5 = 6436  // √2·cos(5π/16)
	c7 = 2260  // √2·cos(7π/16)

	shift1 = 11 // 2 bits more than the coefficients remain for the second pass
	shift2 = 18 // 13 + 2, and 3 for the transform's factor of 8
)

// idct sets two blocks of 8 × 8 pixels, whose rows are stride bytes apart, to
// the inverse transform of p times quant (laid out alike), plus 128, and clears
// p. It is exact to half a grey level and 0.07, with 32-bit sums that cannot
// overflow; only products with quant may, in broken files, and wrap.
//
// Source: the cosines written out as in Loeffler, Ligtenberg & Moschytz 1989,
// without their factorisation: a machine that adds up two products at once has
// nothing to gain from it.
func idctGo(p *pair, quant *[128]int16, a, b []byte, stride int) {
	for block, dst := range [2][]byte{a, b} {
		var rows [8][8]int32 // v, x
		var line [8]int32
		for v := range rows {
			at := 8*block + v
			for u := range line {
				line[u] = int32(p[16*u+at] * quant[16*u+at])
			}
			transform(&line, 1<<(shift1-1))
			for x, s := range line {
				rows[v][x] = min(max(s>>shift1, -1<<15), 1<<15-1)
			}
		}
		for x := range line {
			for v := range line {
				line[v] = rows[v][x]
			}
			transform(&line, 1<<(shift2-1))
			for y, s := range line {
				dst[y*stride+x] = byte(min(max(s>>shift2, -128), 127) + 128)
			}
		}
	}
	clear(p[:beyond])
}

// transform sets v to one dimension of its inverse transform, plus round.
func transform(v *[8]int32, round int32) {
	a, b, c, d := v[1], v[3], v[5], v[7]
	if a|b|c|d|v[2]|v[4]|v[6] == 0 { // as most are
		s := v[0]*c0 + round
		*v = [8]int32{s, s, s, s, s, s, s, s}
		return
	}
	s := (v[0]+v[4])*c0 + round
	t := (v[0]-v[4])*c0 + round
	e := v[2]*c2 + v[6]*c6
	f := v[2]*c6 - v[6]*c2
	odd0 := a*c1 + b*c3 + c*c5 + d*c7
	odd1 := a*c3 - b*c7 - c*c1 - d*c5
	odd2 := a*c5 - b*c1 + c*c7 + d*c3
	odd3 := a*c7 - b*c5 + c*c3 - d*c1
	v[0], v[7] = s+e+odd0, s+e-odd0
	v[1], v[6] = t+f+odd1, t+f-odd1
	v[2], v[5] = t-f+odd2, t-f-odd2
	v[3], v[4] = s-e+odd3, s-e-odd3
}
