package view

import "math"

// Stats accumulates mean and standard deviation of the log-mel in dB over
// clips, for Config.MelMean and MelStd. The zero Stats is ready; it is used by
// one goroutine at a time.
type Stats struct {
	Clips     int
	n, mean   float64
	deviation float64 // sum of squared deviations from mean
}

// Add counts every value of the clip's log-mel, as padded to a view.
//
// Source: Chan, Golub & LeVeque 1979, pairwise update.
func (t *Stats) Add(m *Maker, d *Decoded) {
	s := m.take()
	defer m.give(s)
	var sum float64
	mel := m.melOf(d, 0, d.frames, s)
	for _, v := range mel {
		sum += float64(v)
	}
	n := float64(len(mel))
	mean, deviation := sum/n, 0.
	for _, v := range mel {
		e := float64(v) - mean
		deviation += e * e
	}
	t.Merge(Stats{Clips: 1, n: n, mean: mean, deviation: deviation})
}

// Merge adds what o has counted.
func (t *Stats) Merge(o Stats) {
	if o.n == 0 {
		return
	}
	total, delta := t.n+o.n, o.mean-t.mean
	t.mean += delta * o.n / total
	t.deviation += o.deviation + delta*delta*t.n*o.n/total
	t.n = total
	t.Clips += o.Clips
}

// Mean returns the mean in dB.
func (t *Stats) Mean() float64 { return t.mean }

// Std returns the standard deviation in dB, 0 before any clip.
func (t *Stats) Std() float64 {
	if t.n == 0 {
		return 0
	}
	return math.Sqrt(t.deviation / t.n)
}
