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

// packedRows returns the distance between columns of a packed tile of mr rows:
// whole cache lines where a tile nearly fills them.
func packedRows(mr int) int {
	if mr == 14 {
		return 16
	}
	return mr
}

// packA copies rows i…i+rows−1, columns k…k+kc−1 of op(A), into tiles of mr
// rows: element (r, c) of a tile lies at c·packedRows(mr) + r, and a tile is
// packedRows(mr)·kc long. Columns of A up to total exist. dst has 8 elements to
// spare behind the tiles.
func packA(dst []float32, mr int, a []float32, lda int, trans bool, i, rows, total, k, kc int) {
	w := packedRows(mr)
	if trans {
		src, whole := a[min(k*lda+i, len(a)):], rows/mr
		copyTiles(dst, mr, src, lda, whole, kc)
		tile, n := dst[whole*w*kc:], rows-whole*mr
		for c := range kc {
			for r := range n {
				tile[c*w+r] = src[c*lda+whole*mr+r]
			}
		}
		return
	}
	for r := 0; r < rows; r += mr {
		tile, n := dst[r/mr*w*kc:], min(mr, rows-r)
		// From the last eight rows to the first: a group of eight that sticks
		// out of the tile writes what the next column, or the first group, then
		// overwrites.
		for g := (n - 1) / 8 * 8; g >= 0; g -= 8 {
			row := i + r + g
			src := a[min(row*lda+k, len(a)):]
			transposeRows(tile[g:], w, src, lda, min(8, n-g), kc, row+8 <= total)
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

// copyTilesGo is the plain form of copyTiles.
func copyTilesGo(dst []float32, mr int, src []float32, lds, tiles, n int) {
	w := packedRows(mr)
	for i := range tiles {
		for c := range n {
			copy(dst[(i*n+c)*w:][:mr], src[c*lds+i*mr:])
		}
	}
}
