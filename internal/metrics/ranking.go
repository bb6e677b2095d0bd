package metrics

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Ranking is the scores of one class in order, to measure many resamples of the same
// rows: sorting is done once, and a resample costs a pass down to the last positive.
type Ranking struct {
	rows       []int32 // from the highest score down; equal ones in the order of rows
	positives  []int32 // rows that are, in that order
	thresholds []threshold
	undefined  bool // a score is NaN, which has no place among thresholds
}

// threshold is a run of rows with one score of which some are positive.
type threshold struct {
	first, end int32 // of rows
	last       int32 // of positives: behind those of the run
}

// NewRanking orders scores by which rows are positive.
func NewRanking(scores []float32, positive []bool) *Ranking {
	if len(scores) != len(positive) {
		panic(fmt.Sprintf("metrics: %d scores for %d labels", len(scores), len(positive)))
	}
	r := &Ranking{rows: make([]int32, len(scores))}
	if r.undefined = anyNaN(scores); r.undefined {
		return r
	}
	for i := range r.rows {
		r.rows[i] = int32(i)
	}
	slices.SortFunc(r.rows, func(a, b int32) int {
		return cmp.Or(cmp.Compare(scores[b], scores[a]), cmp.Compare(a, b))
	})
	for at := 0; at < len(r.rows); {
		end, before := at, len(r.positives)
		for ; end < len(r.rows) && scores[r.rows[end]] == scores[r.rows[at]]; end++ {
			if positive[r.rows[end]] {
				r.positives = append(r.positives, r.rows[end])
			}
		}
		if n := len(r.positives); n > before {
			r.thresholds = append(r.thresholds, threshold{int32(at), int32(end), int32(n)})
		}
		at = end
	}
	return r
}

// Measure returns average precision and the area under the ROC curve, each as the
// function of that name, when row i is there weights[i] times; nil for once each.
func (r *Ranking) Measure(weights []int32) (ap, auc float64) {
	if r.undefined {
		return math.NaN(), math.NaN()
	}
	sum, lost := 0.0, 0.0 // of precisions; pairs in which the negative is above, ties half
	hits, seen := 0, 0
	at, p := int32(0), int32(0)
	for _, t := range r.thresholds {
		above := total(weights, r.rows[at:t.first]) // negatives all
		here := total(weights, r.rows[t.first:t.end])
		pos := total(weights, r.positives[p:t.last])
		lost += float64(pos) * (float64(seen-hits+above) + float64(here-pos)/2)
		seen, hits = seen+above+here, hits+pos
		at, p = t.end, t.last
		if pos > 0 {
			sum += float64(pos) * float64(hits) / float64(seen)
		}
	}
	all := seen
	if weights == nil || int(at) > len(r.rows)/2 {
		all += total(weights, r.rows[at:])
	} else { // the sum of all in order is faster
		all = 0
		for _, w := range weights {
			all += int(w)
		}
	}
	negatives := all - hits
	ap, auc = sum/float64(hits), 1-lost/(float64(hits)*float64(negatives))
	if hits == 0 || negatives == 0 {
		auc = math.NaN()
	}
	return ap, auc // NaN of no positive
}

// AveragePrecision is Measure's first.
func (r *Ranking) AveragePrecision(weights []int32) float64 {
	ap, _ := r.Measure(weights)
	return ap
}

// AUC is Measure's second.
func (r *Ranking) AUC(weights []int32) float64 {
	_, auc := r.Measure(weights)
	return auc
}

// total returns how many rows there are, each as often as its weight says.
func total(weights, rows []int32) int {
	if weights == nil {
		return len(rows)
	}
	sum := int32(0)
	for _, row := range rows {
		sum += weights[row]
	}
	return int(sum)
}
