package kernel

import "time"

// peakGo is PeakGFLOPS of plain Go: eight independent scalar chains.
func peakGo() float64 {
	const rounds = 100000
	best := 0.0
	for end := time.Now().Add(20 * time.Millisecond); time.Now().Before(end); {
		start := time.Now()
		x := peakChains(rounds)
		elapsed := time.Since(start)
		if x == 1 {
			continue // never: keeps the loop from being removed
		}
		best = max(best, 2*8*rounds/float64(elapsed.Nanoseconds()))
	}
	return best
}

func peakChains(rounds int) float32 {
	a, b, c, d := float32(1), float32(2), float32(3), float32(4)
	e, f, g, h := float32(5), float32(6), float32(7), float32(8)
	m, n := float32(0.5), float32(9)
	for range rounds {
		a = a*m + n
		b = b*m + n
		c = c*m + n
		d = d*m + n
		e = e*m + n
		f = f*m + n
		g = g*m + n
		h = h*m + n
	}
	return a + b + c + d + e + f + g + h
}
