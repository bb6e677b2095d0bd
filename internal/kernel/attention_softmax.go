package kernel

import (
	"math"

	"avjepa/internal/rng"
)

const log2E = 1.4426950408889634

var minusInf = float32(math.Inf(-1))

// exp2Min bounds exponents from below, so that no result is denormal.
const exp2Min = -126

// rowMask says which probabilities of a tile's rows are dropped: those whose
// rng.RowBits are below threshold. words holds the two words of each row, as
// seen from the tile's first column; none when nothing is dropped.
type rowMask struct {
	words     []uint32
	threshold uint32
}

// dropped reports whether the mask drops column j of row r.
func (m rowMask) dropped(r, j int) bool {
	return m.words != nil && rng.RowBits(m.words[2*r], m.words[2*r+1], uint32(j)) < m.threshold
}

// softmaxRowsGo sets every s of a row to 2^(s·c − m), with m the larger of
// stat[2r] and the greatest s·c of row r, and stat[2r], stat[2r+1] to m and the
// sum of the row; and then every s that drop drops to 0.
func softmaxRowsGo(s []float32, lds, rows, n int, c float32, stat []float32, drop rowMask) {
	for r := range rows {
		row := s[r*lds:][:n]
		top := minusInf
		for _, v := range row {
			if v > top {
				top = v
			}
		}
		m := stat[2*r]
		if top*c > m {
			m = top * c
		}
		var sum float32
		for j, v := range row {
			row[j] = exp2Go(v*c - m)
			sum += row[j]
			if drop.dropped(r, j) {
				row[j] = 0
			}
		}
		stat[2*r], stat[2*r+1] = m, sum
	}
}

// softmaxBackwardRowsGo sets every s to p = 2^(s·c − m[r]) and every dp to
// p·(dp − delta[r])·scale, with 0 for dp, and in the end for s, of what drop
// drops.
func softmaxBackwardRowsGo(s, dp []float32, ld, rows, n int, c float32, m, delta []float32,
	scale float32, drop rowMask) {
	for r := range rows {
		row, drow := s[r*ld:][:n], dp[r*ld:][:n]
		for j, v := range row {
			p, d := exp2Go(v*c-m[r]), drow[j]
			row[j] = p
			if drop.dropped(r, j) {
				row[j], d = 0, 0
			}
			drow[j] = p * scale * (d - delta[r])
		}
	}
}

func exp2Go(x float32) float32 {
	if x < exp2Min {
		x = exp2Min
	}
	return float32(math.Exp2(float64(x)))
}

// logarithm2 returns log₂x with an error below 2e-9, for x at least the least
// normal number, faster than math.Log2: short rows need one for few exponentials.
// With x = 2ᵉ·m and s = (m−1)/(m+1), ln m = 2·(s + s³/3 + s⁵/5 + …).
func logarithm2(x float32) float64 {
	if !(x <= math.MaxFloat32) {
		return float64(x)
	}
	const root2, exponent = 0x3504F3, 1 << 23 // the fraction of √2
	bits := math.Float32bits(x)
	e := int(bits/exponent) - 127
	if bits%exponent > root2 {
		e++
	}
	m := float64(math.Float32frombits(bits - uint32(e*exponent)))
	s := (m - 1) / (m + 1)
	q := s * s
	return float64(e) + 2*log2E*s*(1+q*(1./3+q*(1./5+q*(1./7+q*(1./9)))))
}

// scaleRowsGo multiplies every row of x by its factor.
func scaleRowsGo(x []float32, ld, rows, n int, f []float32) {
	for r := range rows {
		row := x[r*ld:][:n]
		for i := range row {
			row[i] *= f[r]
		}
	}
}

// rowDotsGo sets dot[r] to the scalar product of row r of x and of y.
func rowDotsGo(dot, x []float32, ldx int, y []float32, ldy, rows, n int) {
	for r := range rows {
		a, b := x[r*ldx:][:n], y[r*ldy:][:n]
		var s float32
		for i, v := range a {
			s += v * b[i]
		}
		dot[r] = s
	}
}
