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
	var a, b, c, d, e, f, g, h float32
	m := float32(0.5)
	for range rounds {
		a += a * m
		b += b * m
		c += c * m
		d += d * m
		e += e * m
		f += f * m
		g += g * m
		h += h * m
	}
	return a + b + c + d + e + f + g + h
}
