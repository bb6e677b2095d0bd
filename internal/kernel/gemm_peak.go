package kernel

import "time"

// peakGo is PeakGFLOPS of plain Go: of the portable tile, with operands in the
// first-level cache.
func peakGo() float64 {
	const rounds, depth = 100, 256
	var a [portableRows][depth]float32
	var b [depth * portableColumns]float32
	var s portableTile
	best := 0.0
	for end := time.Now().Add(20 * time.Millisecond); time.Now().Before(end); {
		start := time.Now()
		for range rounds {
			s.addRows(a[0][:], a[1][:], b[:])
		}
		elapsed := time.Since(start)
		best = max(best, float64(2*len(s)*depth*rounds)/float64(elapsed.Nanoseconds()))
	}
	return best
}
