//go:build arm64 && !noasm

package kernel

import (
	"time"
	"unsafe"
)

// gemmTileNEON sets c = a·b + bias + d for one tile of 8×8.
//
//	a     (8, kc)  element (i, k) at i·rs + k·cs bytes; rs or cs is 4
//	b     (kc, 8)  packed
//	c     (8, 8)   rows ldc bytes apart
//	d     (8, 8)   nil, or added; rows ldd bytes apart; may be c
//	bias  (8)      nil, or added to every row
//
//go:noescape
func gemmTileNEON(kc int, a *float32, rs, cs uintptr, b, c *float32, ldc uintptr,
	d *float32, ldd uintptr, bias *float32)

// mul runs the micro-kernel of the active instruction set.
func (p *panel) mul() {
	if isa == Portable {
		p.mulGo()
		return
	}
	b := unsafe.SliceData(p.b)
	for i := 0; i < p.rows; i += neonRows {
		a := p.a[i/neonRows*p.pa:]
		if i+neonRows > p.rows || p.cols < neonColumns {
			p.mulEdge(i, a)
			continue
		}
		var d *float32
		if p.d != nil {
			d = &p.d[i*p.ldd]
		}
		gemmTileNEON(p.kc, unsafe.SliceData(a), uintptr(p.rs)*4, uintptr(p.cs)*4, b,
			&p.c[i*p.ldc], uintptr(p.ldc)*4, d, uintptr(p.ldd)*4, unsafe.SliceData(p.bias))
	}
}

// mulEdge multiplies the tile from row i on, with operand A at a, of which not
// all rows or columns exist: a whole tile is computed on the stack.
func (p *panel) mulEdge(i int, a []float32) {
	const depth = 64
	var tile [neonRows * neonColumns]float32
	var part [depth * neonRows]float32
	c, ld := &tile[0], uintptr(4*neonColumns)
	rows := min(neonRows, p.rows-i)
	if rows == neonRows || p.rs == 1 && p.cs == neonRows && len(a) >= p.kc*neonRows {
		gemmTileNEON(p.kc, unsafe.SliceData(a), uintptr(p.rs)*4, uintptr(p.cs)*4,
			unsafe.SliceData(p.b), c, ld, nil, 0, nil)
	} else {
		for k := 0; k < p.kc; k += depth {
			n := min(depth, p.kc-k)
			for r := range rows {
				x := a[r*p.rs+k*p.cs:]
				for j := range n {
					part[j*neonRows+r] = x[j*p.cs]
				}
			}
			gemmTileNEON(n, &part[0], 4, 4*neonRows, &p.b[k*neonColumns], c, ld, c, ld, nil)
		}
	}
	for r := range rows {
		p.setRow(i+r, tile[r*neonColumns:])
	}
}

func transpose8(dst []float32, ldd int, src []float32, lds, n int) int { return 0 }

func copyRows(dst, src []float32, lds, n, w int) { copyRowsGo(dst, src, lds, n, w) }

func copyTiles(dst []float32, mr int, src []float32, lds, tiles, n int) {
	copyTilesGo(dst, mr, src, lds, tiles, n)
}

// PeakGFLOPS measures how many billion multiply-adds (counted as two) one
// thread does a second with operands in the first-level cache, the bound on any
// matrix product. It takes about 20 ms.
func PeakGFLOPS(i ISA) float64 {
	if i == Portable {
		return peakGo()
	}
	const rounds, depth = 400, 256
	var a [depth * neonRows]float32
	var b [depth * neonColumns]float32
	var c [neonRows * neonColumns]float32
	best := 0.0
	for end := time.Now().Add(20 * time.Millisecond); time.Now().Before(end); {
		start := time.Now()
		for range rounds {
			gemmTileNEON(depth, &a[0], 4, 4*neonRows, &b[0], &c[0], 4*neonColumns, nil, 0, nil)
		}
		elapsed := time.Since(start)
		best = max(best, float64(2*len(c)*depth*rounds)/float64(elapsed.Nanoseconds()))
	}
	return best
}
