//go:build amd64 && !noasm

package view

import "slices"

// crossSlack is how many bytes acrossAVX2 may write behind a row: it makes
// eight pixels at a time, and stores 16 bytes for 12.
const crossSlack = 8*3 + 4

// crossTable holds the weights of an axis as acrossAVX2 reads them: for eight
// outputs after each other, and for each two taps of theirs, four vectors. The
// vector i has the outputs i and i + 4, one in each half, as words
// c₀ c₁ c₀ c₁ c₀ c₁ 0 0 for the taps' red, green and blue. Outputs beyond the
// last are copies of it without weight.
type crossTable struct {
	ready   bool
	pairs   int // of taps
	reach   int // bytes of a row that are read
	offsets []int32
	weights []int16
}

// build makes the table of an axis.
func (t *crossTable) build(a *axis) {
	t.ready = true
	t.pairs = (slices.Max(a.taps) + 1) / 2
	groups := (a.count + 7) / 8
	t.offsets = grow(t.offsets, 8*groups)
	t.weights = grow(t.weights, 64*groups*t.pairs)
	clear(t.weights)
	last := 0
	for i := range t.offsets {
		first := a.first[min(i, a.count-1)]
		t.offsets[i] = int32(3 * first)
		last = max(last, 3*first)
		if i >= a.count {
			continue
		}
		k := a.coeff[i*a.width:][:a.width]
		at := i/8*64*t.pairs + i%4*16 + i%8/4*8
		for j := range t.pairs {
			w := t.weights[at+64*j:][:6]
			w[0], w[1] = k[2*j], k[2*j+1]
			w[2], w[3], w[4], w[5] = w[0], w[1], w[0], w[1]
		}
	}
	// The table reads 16 bytes for two pairs of taps, which have 12.
	t.reach = last + 12*((t.pairs+1)/2-1) + 16
}
