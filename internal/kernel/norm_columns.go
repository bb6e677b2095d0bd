package kernel

// The functions here work on a panel of columns of a row-major matrix: x[r·ld+c]
// for r < rows and c < len(sum). Together they make BatchNorm and bias
// gradients.

// AddColumns adds the sum over rows of every column of x to sum.
func AddColumns(sum, x []float32, rows, ld int) {
	n := len(sum)
	if rows == 0 || n == 0 {
		return
	}
	_ = x[(rows-1)*ld+n-1]
	switch isa {
	case AVX512:
		columnSumAVX512(&sum[0], &x[0], n, rows, ld)
	case AVX2:
		columnSumAVX2(&sum[0], &x[0], n, rows, ld)
	default:
		for r := 0; r < rows; r++ {
			for c, v := range x[r*ld:][:n] {
				sum[c] += v
			}
		}
	}
}

// AddColumnSquares adds Σ_r (x − mean)² of every column of x to sum.
func AddColumnSquares(sum, x, mean []float32, rows, ld int) {
	n := len(sum)
	if rows == 0 || n == 0 {
		return
	}
	_ = x[(rows-1)*ld+n-1]
	mean = mean[:n]
	switch isa {
	case AVX512:
		columnSquaresAVX512(&sum[0], &x[0], &mean[0], n, rows, ld)
	case AVX2:
		columnSquaresAVX2(&sum[0], &x[0], &mean[0], n, rows, ld)
	default:
		for r := 0; r < rows; r++ {
			for c, v := range x[r*ld:][:n] {
				d := v - mean[c]
				sum[c] += d * d
			}
		}
	}
}

// AddColumnProducts adds Σ_r dy·(x − mean) of every column to dot.
func AddColumnProducts(dot, dy, x, mean []float32, rows, ld int) {
	n := len(dot)
	if rows == 0 || n == 0 {
		return
	}
	_, _ = x[(rows-1)*ld+n-1], dy[(rows-1)*ld+n-1]
	mean = mean[:n]
	switch isa {
	case AVX512:
		columnProductsAVX512(&dot[0], &dy[0], &x[0], &mean[0], n, rows, ld)
	case AVX2:
		columnProductsAVX2(&dot[0], &dy[0], &x[0], &mean[0], n, rows, ld)
	default:
		for r := 0; r < rows; r++ {
			d := dy[r*ld:][:n]
			for c, v := range x[r*ld:][:n] {
				dot[c] += d[c] * (v - mean[c])
			}
		}
	}
}

// NormColumnsRow sets y = (x − mean)·a + b for one row, all of len(x). y may be
// x.
func NormColumnsRow(y, x, mean, a, b []float32) {
	n := len(x)
	y, mean, a, b = y[:n], mean[:n], a[:n], b[:n]
	switch {
	case n == 0:
	case isa == AVX512:
		normColumnsAVX512(&y[0], &x[0], &mean[0], &a[0], &b[0], n)
	case isa == AVX2:
		normColumnsAVX2(&y[0], &x[0], &mean[0], &a[0], &b[0], n)
	default:
		for i, v := range x {
			y[i] = (v-mean[i])*a[i] + b[i]
		}
	}
}

// NormColumnsBackwardRow sets dx = a·(dy − m − (x − mean)·s) for one row, all of
// len(x). dx may be dy.
func NormColumnsBackwardRow(dx, dy, x, mean, a, m, s []float32) {
	n := len(x)
	dx, dy, mean, a, m, s = dx[:n], dy[:n], mean[:n], a[:n], m[:n], s[:n]
	switch {
	case n == 0:
	case isa == AVX512:
		normColumnsBackwardAVX512(&dx[0], &dy[0], &x[0], &mean[0], &a[0], &m[0], &s[0], n)
	case isa == AVX2:
		normColumnsBackwardAVX2(&dx[0], &dy[0], &x[0], &mean[0], &a[0], &m[0], &s[0], n)
	default:
		for i, v := range x {
			dx[i] = a[i] * (dy[i] - m[i] - (v-mean[i])*s[i])
		}
	}
}
