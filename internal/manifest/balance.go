package manifest

import (
	"cmp"
	"slices"

	"avjepa/internal/rng"
)

// Balanced returns the places of n clips of every class, in ascending order, drawn as
// the published evaluation draws its subsets. Of n clips altogether, clip i stands at
// place row of its list and has these labels; clips without labels are left out.
//
// A clip with several labels belongs to the rarest of them in this very collection, of
// equally rare ones the first. Classes come in sorted order; the clips of each, in the
// order of their rows, are shuffled with one random.Random(seed) for all of them, and
// the first perClass are taken. A class that has fewer gives all it has.
//
//	places := manifest.Balanced(5, 0, set.Len(), func(i int) (int, []string) {
//		f := set.Info(i)
//		return f.Row, f.Labels
//	})
//
// Source: the retrieval subset of the published code; testdata/golden/README.md.
func Balanced(perClass int, seed uint64, n int, clip func(i int) (row int, labels []string)) []int {
	count := countLabels(n, clip)
	type placed struct{ place, row int }
	members := make(map[string][]placed)
	for i := range n {
		row, labels := clip(i)
		if len(labels) == 0 {
			continue
		}
		rarest := labels[0]
		for _, l := range labels[1:] {
			if count[l] < count[rarest] {
				rarest = l
			}
		}
		members[rarest] = append(members[rarest], placed{i, row})
	}
	classes := make([]string, 0, len(members))
	for id := range members {
		classes = append(classes, id)
	}
	slices.Sort(classes)
	var places []int
	r := rng.NewPython(seed)
	for _, id := range classes {
		m := members[id]
		slices.SortStableFunc(m, func(a, b placed) int { return cmp.Compare(a.row, b.row) })
		r.Shuffle(len(m), func(i, j int) { m[i], m[j] = m[j], m[i] })
		for _, p := range m[:min(max(perClass, 0), len(m))] {
			places = append(places, p.place)
		}
	}
	slices.Sort(places)
	return places
}

// countLabels returns how many clips have each label.
func countLabels(n int, clip func(i int) (row int, labels []string)) map[string]int {
	count := make(map[string]int)
	for i := range n {
		_, labels := clip(i)
		for _, l := range labels {
			count[l]++
		}
	}
	return count
}

// SamplingWeights returns for each of n clips the weight with which balanced sampling
// draws it: the sum over its labels of 1000/(clips with that label + 0.01). A clip
// without labels has weight 0.
//
// Source: Gong et al. 2021 (arXiv:2104.01778), as the published fine-tuning uses it.
func SamplingWeights(n int, labels func(i int) []string) []float64 {
	count := countLabels(n, func(i int) (int, []string) { return i, labels(i) })
	weights := make([]float64, n)
	for i := range weights {
		for _, l := range labels(i) {
			weights[i] += 1000 / (float64(count[l]) + 0.01)
		}
	}
	return weights
}
