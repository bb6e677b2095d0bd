//go:build (!amd64 && !arm64) || noasm

package kernel

func (p *panel) mul() { p.mulGo() }

func transpose8(dst []float32, ldd int, src []float32, lds, n int) int { return 0 }

func copyRows(dst, src []float32, lds, n, w int) { copyRowsGo(dst, src, lds, n, w) }

// PeakGFLOPS measures how many billion multiply-adds (counted as two) one
// thread does a second in registers, the bound on any matrix product. It takes
// about 20 ms.
func PeakGFLOPS(ISA) float64 { return peakGo() }

func copyTiles(dst []float32, mr int, src []float32, lds, tiles, n int) {
	copyTilesGo(dst, mr, src, lds, tiles, n)
}
