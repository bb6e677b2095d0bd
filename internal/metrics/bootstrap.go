package metrics

import (
	"math"
	"slices"
	"sync"

	"avjepa/internal/rng"
)

// Bootstrap returns what a statistic gives for resamples of n things, drawn with
// replacement: weights[i] is how often thing i was drawn. statistic sets out, as long as
// width, and is called by several goroutines at once. The same seed gives the same
// resamples, whatever workers is.
//
// Source: Efron 1979, "Bootstrap methods: another look at the jackknife".
func Bootstrap(n, resamples, width, workers int, seed uint64,
	statistic func(weights []int32, out []float64)) [][]float64 {
	values := make([][]float64, resamples)
	next := make(chan int)
	var group sync.WaitGroup
	for range max(1, workers) {
		group.Go(func() {
			weights, r := make([]int32, n), rng.New(0)
			for k := range next {
				r.Restart(seed, "bootstrap", k)
				clear(weights)
				for range n {
					weights[r.IntN(n)]++
				}
				values[k] = make([]float64, width)
				statistic(weights, values[k])
			}
		})
	}
	for k := range resamples {
		next <- k
	}
	close(next)
	group.Wait()
	return values
}

// Interval is the middle part of the values of resamples.
type Interval struct{ Low, High float64 }

// Intervals returns for each value of a Bootstrap the middle 95 % of the resamples in
// which it is defined: percentiles 2.5 and 97.5, interpolated. NaN where there is none.
func Intervals(resamples [][]float64, width int) []Interval {
	out := make([]Interval, width)
	for j := range out {
		var x []float64
		for _, v := range resamples {
			if !math.IsNaN(v[j]) {
				x = append(x, v[j])
			}
		}
		slices.Sort(x)
		out[j] = Interval{quantile(x, .025), quantile(x, .975)}
	}
	return out
}

// quantile returns the q-quantile of sorted x, between two values linearly.
func quantile(x []float64, q float64) float64 {
	if len(x) == 0 {
		return math.NaN()
	}
	at := q * float64(len(x)-1)
	i := int(at)
	if i+1 >= len(x) {
		return x[len(x)-1]
	}
	return x[i] + (at-float64(i))*(x[i+1]-x[i])
}
