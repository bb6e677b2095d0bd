package finetune

import (
	"fmt"
	"hash/fnv"
	"sort"

	"avjepa/internal/dataset"
	"avjepa/internal/manifest"
)

// Labels turns the labels of clips into rows of targets.
type Labels struct {
	Classes []string // IDs, in the order of the heads' outputs
	Multi   bool     // a clip has any number of classes, not one

	of map[string]int
}

// NewLabels returns labels of these classes.
func NewLabels(classes []string, multi bool) *Labels {
	l := &Labels{Classes: classes, Multi: multi, of: make(map[string]int, len(classes))}
	for i, c := range classes {
		l.of[c] = i
	}
	return l
}

// LabelsOf returns the labels of a set: its classes, and whether a clip has several.
func LabelsOf(set *dataset.Set) *Labels {
	var ids []string
	for _, c := range set.Classes() {
		ids = append(ids, c.ID)
	}
	multi := false
	for i := range set.Len() {
		multi = multi || len(set.Labels(i)) > 1
	}
	return NewLabels(ids, multi)
}

// Named adds the names of classes as further names of those with the same ID, so that
// the classes of heads are found that were given by name.
func (l *Labels) Named(classes []manifest.Class) *Labels {
	for _, c := range classes {
		_, byID := l.of[c.ID]
		if i, byName := l.of[c.Title()]; byName && !byID {
			l.of[c.ID] = i
		}
	}
	return l
}

// Known returns the clips of a set that have a label among the classes, and how many
// have none: they teach nothing and cannot be judged.
func (l *Labels) Known(set *dataset.Set) (known *dataset.Set, without int) {
	known = set.Where(func(f *dataset.Info) bool {
		for _, label := range f.Labels {
			if _, ok := l.of[label]; ok {
				return true
			}
		}
		return false
	})
	return known, set.Len() - known.Len()
}

// classesOf returns the classes of labels, those that there are.
func (l *Labels) classesOf(labels []string) []int {
	var all []int
	for _, label := range labels {
		if c, ok := l.of[label]; ok {
			all = append(all, c)
		}
	}
	return all
}

// set sets the row of targets (C) of a clip with these labels: of one class alone, the
// first, unless there may be several.
func (l *Labels) set(row []float32, labels []string) {
	clear(row)
	for _, c := range l.classesOf(labels) {
		row[c] = 1
		if !l.Multi {
			return
		}
	}
}

// Positives returns how many clips of a set have each class.
func (l *Labels) Positives(set *dataset.Set) []int {
	n := make([]int, len(l.Classes))
	for i := range set.Len() {
		for _, c := range l.classesOf(set.Labels(i)) {
			n[c]++
		}
	}
	return n
}

// place returns which clip of a set, whose keys are sorted, has the key.
func place(set *dataset.Set, key string) int {
	return sort.Search(set.Len(), func(i int) bool { return set.Key(i) >= key })
}

// fingerprint names clips with their labels and classes: what a run must find unchanged
// to go on.
func (l *Labels) fingerprint(set *dataset.Set) string {
	h := fnv.New64a()
	fmt.Fprintf(h, "%q %v\x00", l.Classes, l.Multi)
	for i := range set.Len() {
		f := set.Info(i)
		fmt.Fprintf(h, "%s\x00%q\x00%d\x00%d\x00", f.Key, f.Labels, f.FrameCount, f.SampleCount)
	}
	return fmt.Sprintf("%d clips %016x", set.Len(), h.Sum64())
}
