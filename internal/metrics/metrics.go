// Package metrics measures classifiers: top-k accuracy, average precision, area
// under the ROC curve and d′. All sums are float64.
//
//	top1 := metrics.TopK(logits, labels, classes, 1)
package metrics

import (
	"fmt"
	"math"
	"slices"
)

// TopK returns the share of rows of scores (R, C) whose label is among the k
// highest. A class counts as higher only when its score is strictly greater, or
// equal with a smaller index, so that a constant scorer is not always right; a
// row with a NaN is wrong.
func TopK(scores []float32, labels []int, classes, k int) float64 {
	check(scores, len(labels), classes)
	right := 0
	for i, label := range labels {
		row := scores[i*classes : (i+1)*classes]
		above := 0
		for j, s := range row {
			if s > row[label] || s == row[label] && j < label {
				above++
			}
			if s != s {
				above = classes
			}
		}
		if above < k {
			right++
		}
	}
	return float64(right) / float64(len(labels))
}

// AveragePrecision returns Σ_n (R_n − R_{n−1})·P_n over the thresholds of
// scores, as scikit-learn defines it: equal scores are one threshold. NaN when
// there is no positive, or when a score is NaN.
func AveragePrecision(scores []float32, positive []bool) float64 {
	return NewRanking(scores, positive).AveragePrecision(nil)
}

// AUC returns the area under the ROC curve: the chance that a positive scores
// above a negative, ties counting half. NaN without positives or negatives, or
// when a score is NaN.
func AUC(scores []float32, positive []bool) float64 {
	return NewRanking(scores, positive).AUC(nil)
}

// DPrime returns √2·Φ⁻¹(auc).
func DPrime(auc float64) float64 { return 2 * math.Erfinv(2*auc-1) }

// anyNaN reports whether a score is undefined. Such a score equals not even
// itself, so it has no place among thresholds.
func anyNaN(scores []float32) bool {
	return slices.ContainsFunc(scores, func(s float32) bool { return s != s })
}

func check(scores []float32, rows, classes int) {
	if len(scores) != rows*classes || rows == 0 {
		panic(fmt.Sprintf("metrics: %d scores for %d rows of %d classes", len(scores), rows, classes))
	}
}
