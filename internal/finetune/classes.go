package finetune

import (
	"cmp"
	"math"
	"slices"

	"avjepa/internal/metrics"
	"avjepa/internal/vit"
)

// perClass returns how good a head is on an input, class by class.
func (t *Truth) perClass(in vit.Modality, h NamedLogits, ranked []*metrics.Ranking,
	cfg MeasureConfig) []ClassResult {
	var right []int // clips of a class that are
	positives := t.positives()
	if !t.Labels.Multi {
		right = make([]int, len(positives))
		taken := t.taken(h.Logits)
		for i, c := range t.first() {
			if taken[i] == c {
				right[c]++
			}
		}
	}
	all := make([]ClassResult, len(positives))
	for c, n := range positives {
		all[c] = ClassResult{Class: t.Labels.Classes[c], Name: t.name(c, cfg.Names), Positives: n,
			Input: InputName(in), Head: h.Head}
		if n == 0 {
			continue
		}
		set := func(to **float64, x float64) {
			if !math.IsNaN(x) {
				*to = &x
			}
		}
		ap, auc := ranked[c].Measure(nil)
		set(&all[c].AP, ap)
		set(&all[c].AUC, auc)
		if right != nil {
			set(&all[c].Top1, float64(right[c])/float64(n))
		}
	}
	return all
}

// taken returns the class with the highest logit of every clip, of equal ones the first,
// and −1 where one is NaN.
func (t *Truth) taken(logits []float32) []int {
	classes := len(t.Labels.Classes)
	all := make([]int, len(t.of))
	for i := range all {
		row := logits[i*classes : (i+1)*classes]
		for c, v := range row {
			if v != v {
				all[i] = -1
				break
			}
			if v > row[all[i]] {
				all[i] = c
			}
		}
	}
	return all
}

// confused returns the pairs of classes that are taken for each other most often.
func (t *Truth) confused(logits []float32, cfg MeasureConfig) []Confusion {
	count := map[[2]int]int{}
	taken, positives := t.taken(logits), t.positives()
	for i, c := range t.first() {
		if taken[i] >= 0 && taken[i] != c {
			count[[2]int{c, taken[i]}]++
		}
	}
	pairs := make([][2]int, 0, len(count))
	for p := range count {
		pairs = append(pairs, p)
	}
	slices.SortFunc(pairs, func(a, b [2]int) int {
		return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]))
	})
	var all []Confusion
	for _, p := range pairs[:min(cfg.Confused, len(pairs))] {
		all = append(all, Confusion{t.name(p[0], cfg.Names), t.name(p[1], cfg.Names), count[p],
			positives[p[0]]})
	}
	return all
}
