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
	w := whole(n)
	if w > 0 {
		columnSumAVX2(&sum[0], &x[0], w, rows, ld)
	}
	if w == n {
		return
	}
	for r := 0; r < rows; r++ {
		row := x[r*ld:][:n]
		for c := w; c < n; c++ {
			sum[c] += row[c]
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
	w := whole(n)
	if w > 0 {
		columnSquaresAVX2(&sum[0], &x[0], &mean[0], w, rows, ld)
	}
	if w == n {
		return
	}
	for r := 0; r < rows; r++ {
		row := x[r*ld:][:n]
		for c := w; c < n; c++ {
			d := row[c] - mean[c]
			sum[c] += d * d
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
	w := whole(n)
	if w > 0 {
		columnProductsAVX2(&dot[0], &dy[0], &x[0], &mean[0], w, rows, ld)
	}
	if w == n {
		return
	}
	for r := 0; r < rows; r++ {
		xr, dr := x[r*ld:][:n], dy[r*ld:][:n]
		for c := w; c < n; c++ {
			dot[c] += dr[c] * (xr[c] - mean[c])
		}
	}
}

// NormColumnsRow sets y = (x − mean)·a + b for one row, all of len(x). y may be
// x.
func NormColumnsRow(y, x, mean, a, b []float32) {
	n := len(x)
	y, mean, a, b = y[:n], mean[:n], a[:n], b[:n]
	w := whole(n)
	if w > 0 {
		normColumnsAVX2(&y[0], &x[0], &mean[0], &a[0], &b[0], w)
	}
	for i := w; i < n; i++ {
		y[i] = (x[i]-mean[i])*a[i] + b[i]
	}
}

// NormColumnsBackwardRow sets dx = a·(dy − m − (x − mean)·s) for one row, all of
// len(x). dx may be dy.
func NormColumnsBackwardRow(dx, dy, x, mean, a, m, s []float32) {
	n := len(x)
	dx, dy, mean, a, m, s = dx[:n], dy[:n], mean[:n], a[:n], m[:n], s[:n]
	w := whole(n)
	if w > 0 {
		normColumnsBackwardAVX2(&dx[0], &dy[0], &x[0], &mean[0], &a[0], &m[0], &s[0], w)
	}
	for i := w; i < n; i++ {
		dx[i] = a[i] * (dy[i] - m[i] - (x[i]-mean[i])*s[i])
	}
}
