package metrics

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Ranking is the scores of one class in order, to measure many resamples of the same
// rows: sorting is done once.
type Ranking struct {
	rows      []int32 // from the highest score down; equal ones in the order of rows
	positive  []bool  // in that order
	last      []bool  // whether the next score is lower: the end of a threshold
	undefined bool    // a score is NaN, which has no place among thresholds
}

// NewRanking orders scores by which rows are positive.
func NewRanking(scores []float32, positive []bool) *Ranking {
	if len(scores) != len(positive) {
		panic(fmt.Sprintf("metrics: %d scores for %d labels", len(scores), len(positive)))
	}
	n := len(scores)
	r := &Ranking{rows: make([]int32, n), positive: make([]bool, n), last: make([]bool, n)}
	if r.undefined = anyNaN(scores); r.undefined {
		return r
	}
	for i := range r.rows {
		r.rows[i] = int32(i)
	}
	slices.SortFunc(r.rows, func(a, b int32) int {
		return cmp.Or(cmp.Compare(scores[b], scores[a]), cmp.Compare(a, b))
	})
	for i, row := range r.rows {
		r.positive[i] = positive[row]
		r.last[i] = i == n-1 || scores[r.rows[i+1]] != scores[row]
	}
	return r
}

// weight returns how often a row counts.
func weight(weights []int32, row int32) int {
	if weights == nil {
		return 1
	}
	return int(weights[row])
}

// AveragePrecision is the function of that name when row i is there weights[i] times, nil
// for once each.
func (r *Ranking) AveragePrecision(weights []int32) float64 {
	if r.undefined {
		return math.NaN()
	}
	sum := 0.0 // of hits at a threshold times the precision there
	hits, seen, before := 0, 0, 0
	for i, row := range r.rows {
		w := weight(weights, row)
		seen += w
		if r.positive[i] {
			hits += w
		}
		if r.last[i] && hits > before {
			sum += float64(hits-before) * float64(hits) / float64(seen)
			before = hits
		}
	}
	return sum / float64(hits) // NaN without a positive
}

// AUC is the function of that name, likewise.
func (r *Ranking) AUC(weights []int32) float64 {
	if r.undefined {
		return math.NaN()
	}
	var wins float64 // pairs in which the positive is above
	above, negatives, pos, neg := 0, 0, 0, 0
	for i, row := range r.rows {
		w := weight(weights, row)
		if r.positive[i] {
			pos += w
		} else {
			neg += w
		}
		if r.last[i] {
			wins += float64(neg) * (float64(above) + float64(pos)/2)
			above, negatives, pos, neg = above+pos, negatives+neg, 0, 0
		}
	}
	if above == 0 || negatives == 0 {
		return math.NaN()
	}
	return wins / (float64(above) * float64(negatives))
}
