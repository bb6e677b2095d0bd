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
// p. It is exact to half a grey level and 0.05, with 32-bit sums that cannot
// overflow; only products with quant may, in broken files, and wrap.
//
// Source: the cosines written out as in Loeffler, Ligtenberg & Moschytz 1989,
// without their factorisation: a machine that adds up two products at once has
// nothing to gain from it.
func idctGo(p *pair, quant *[128]int16, a, b []byte, stride int) {
	for block, dst := range [2][]byte{a, b} {
		var rows [64]int32 // 8·v + x
		for v := range 8 {
			var in [8]int32
			for u := range in {
				at := 16*u + 8*block + v
				in[u] = int32(p[at] * quant[at])
			}
			out := transform(&in, 1<<(shift1-1))
			for x, s := range out {
				rows[8*v+x] = min(max(s>>shift1, -1<<15), 1<<15-1)
			}
		}
		for x := range 8 {
			var in [8]int32
			for v := range in {
				in[v] = rows[8*v+x]
			}
			out := transform(&in, 1<<(shift2-1))
			for y, s := range out {
				dst[y*stride+x] = byte(min(max(s>>shift2, -128), 127) + 128)
			}
		}
	}
	clear(p[:beyond])
}

// transform returns one dimension of the inverse transform, plus round.
func transform(in *[8]int32, round int32) (out [8]int32) {
	if in[1]|in[2]|in[3]|in[4]|in[5]|in[6]|in[7] == 0 { // as most are
		for k := range out {
			out[k] = in[0]*c0 + round
		}
		return out
	}
	s := (in[0]+in[4])*c0 + round
	d := (in[0]-in[4])*c0 + round
	e := in[2]*c2 + in[6]*c6
	f := in[2]*c6 - in[6]*c2
	even := [4]int32{s + e, d + f, d - f, s - e}
	odd := [4]int32{
		in[1]*c1 + in[3]*c3 + in[5]*c5 + in[7]*c7,
		in[1]*c3 - in[3]*c7 - in[5]*c1 - in[7]*c5,
		in[1]*c5 - in[3]*c1 + in[5]*c7 + in[7]*c3,
		in[1]*c7 - in[3]*c5 + in[5]*c3 - in[7]*c1,
	}
	for k := range 4 {
		out[k], out[7-k] = even[k]+odd[k], even[k]-odd[k]
	}
	return out
}
