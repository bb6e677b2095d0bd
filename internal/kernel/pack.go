package kernel

// packB copies cols ≤ nr columns from column j, rows k…k+kc−1 of op(B), into a
// panel of kc rows of nr columns. Of the columns that do not exist, those that
// a micro-kernel touches are zero.
func packB(dst []float32, nr int, b []float32, ldb int, trans bool, k, kc, j, cols int) {
	if !trans {
		src := b[min(k*ldb+j, len(b)):]
		if cols == nr {
			copyRows(dst, src, ldb, kc, nr)
			return
		}
		for r := range kc {
			row := dst[r*nr : r*nr+nr]
			clear(row[copy(row, src[r*ldb:r*ldb+cols]):])
		}
		return
	}
	if cols < nr {
		clear(dst[:kc*nr])
	}
	for c := 0; c < cols; c += 8 {
		src, n := b[min((j+c)*ldb+k, len(b)):], min(8, cols-c)
		transposeRows(dst[c:], nr, src, ldb, n, kc, n == 8)
	}
}

// packA copies rows i…i+rows−1, columns k…k+kc−1 of op(A), into tiles of mr
// rows: element (r, c) of a tile lies at c·mr + r, and a tile is mr·kc long.
// Columns of A up to total exist. dst has 8 elements to spare behind the tiles.
func packA(dst []float32, mr int, a []float32, lda int, trans bool, i, rows, total, k, kc int) {
	for r := 0; r < rows; r += mr {
		tile, n := dst[r*kc:], min(mr, rows-r)
		if trans {
			src := a[min(k*lda+i+r, len(a)):]
			if n == mr {
				copyRows(tile, src, lda, kc, mr)
				continue
			}
			for c := range kc {
				copy(tile[c*mr:c*mr+n], src[c*lda:])
			}
			continue
		}
		// From the last eight rows to the first: a group of eight that sticks
		// out of the tile writes what the next column, or the first group, then
		// overwrites.
		for g := (n - 1) / 8 * 8; g >= 0; g -= 8 {
			row := i + r + g
			src := a[min(row*lda+k, len(a)):]
			transposeRows(tile[g:], mr, src, lda, min(8, n-g), kc, row+8 <= total)
		}
	}
}

// transposeRows sets dst[c·ldd + r] = src[r·lds + c] for r < rows ≤ 8 and
// c < n. With spill it may also write the other rows up to 8, which exist.
func transposeRows(dst []float32, ldd int, src []float32, lds, rows, n int, spill bool) {
	done := 0
	if spill {
		done = transpose8(dst, ldd, src, lds, n)
	}
	for r := range rows {
		row := src[r*lds : r*lds+n]
		for c := done; c < n; c++ {
			dst[c*ldd+r] = row[c]
		}
	}
}

// copyRowsGo is the plain form of copyRows.
func copyRowsGo(dst, src []float32, lds, n, w int) {
	for r := range n {
		copy(dst[r*w:r*w+w], src[r*lds:])
	}
}
