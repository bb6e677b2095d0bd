package kernel

import "math"

const log2E = 1.4426950408889634

var minusInf = float32(math.Inf(-1))

// exp2Min bounds exponents from below, so that no result is denormal.
const exp2Min = -126

// softmaxRowsGo sets every s of a row to 2^(s·c − m), with m the larger of
// stat[2r] and the greatest s·c of row r, and stat[2r], stat[2r+1] to m and the
// sum of the row.
func softmaxRowsGo(s []float32, lds, rows, n int, c float32, stat []float32) {
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
		}
		stat[2*r], stat[2*r+1] = m, sum
	}
}

// softmaxBackwardRowsGo sets every s to p = 2^(s·c − lse[r]·log₂e) and every dp
// to p·(dp − delta[r])·scale.
func softmaxBackwardRowsGo(s, dp []float32, ld, rows, n int, c float32, lse, delta []float32,
	scale float32) {
	for r := range rows {
		row, drow := s[r*ld:][:n], dp[r*ld:][:n]
		m := lse[r] * log2E
		for j, v := range row {
			row[j] = exp2Go(v*c - m)
			drow[j] = row[j] * scale * (drow[j] - delta[r])
		}
	}
}

func exp2Go(x float32) float32 {
	if x < exp2Min {
		x = exp2Min
	}
	return float32(math.Exp2(float64(x)))
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
