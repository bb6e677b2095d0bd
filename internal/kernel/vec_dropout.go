package kernel

import "avjepa/internal/rng"

// DropoutRow sets y = x·scale where the mask's row with words k0 and k1 keeps,
// 0 elsewhere. threshold is rng.Threshold(p). y may be x.
func DropoutRow(y, x []float32, k0, k1, threshold uint32, scale float32) {
	n := len(x)
	y = y[:n]
	switch {
	case n == 0:
	case isa == AVX512:
		dropoutAVX512(&y[0], &x[0], n, k0, k1, threshold, scale)
	case isa == AVX2:
		dropoutAVX2(&y[0], &x[0], n, k0, k1, threshold, scale)
	default:
		for i, v := range x {
			y[i] = 0
			if rng.RowBits(k0, k1, uint32(i)) >= threshold {
				y[i] = v * scale
			}
		}
	}
}
