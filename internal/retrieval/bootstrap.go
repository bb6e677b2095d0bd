package retrieval

import (
	"slices"

	"avjepa/internal/metrics"
)

// Intervals are the middle 95 % of a direction's figures over resamples of its queries.
type Intervals struct {
	R1     [2]float64 `json:"r1"`
	R5     [2]float64 `json:"r5"`
	R10    [2]float64 `json:"r10"`
	Median [2]float64 `json:"median"`
}

// Bootstrap returns the intervals of a direction from the ranks of its queries, which
// are drawn again with replacement. The gallery stays as it is: with the candidates of
// a resample among each other ranks would be those of a smaller gallery.
func Bootstrap(ranks []int, resamples, workers int, seed uint64) *Intervals {
	order := make([]int32, len(ranks)) // queries by rank
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(a, b int32) int { return ranks[a] - ranks[b] })
	n := len(ranks)
	const width = 4
	in := metrics.Intervals(metrics.Bootstrap(n, resamples, width, workers, seed,
		func(weights []int32, out []float64) {
			seen := 0
			var middle [2]int // ranks at the places (n−1)/2 and n/2
			for _, q := range order {
				rank, from := ranks[q], seen
				seen += int(weights[q])
				for i, at := range [2]int{(n - 1) / 2, n / 2} {
					if from <= at && at < seen {
						middle[i] = rank
					}
				}
				for i, k := range [3]int{1, 5, 10} {
					if rank <= k {
						out[i] += float64(weights[q]) / float64(n)
					}
				}
			}
			out[3] = float64(middle[0]+middle[1]) / 2
		}), width)
	pair := func(x metrics.Interval) [2]float64 { return [2]float64{x.Low, x.High} }
	return &Intervals{pair(in[0]), pair(in[1]), pair(in[2]), pair(in[3])}
}
