package manifest

import (
	"fmt"
	"slices"
	"strings"

	"avjepa/internal/rng"
)

// Filter says which clips of a list are wanted. The zero value wants all.
type Filter struct {
	Labels []string // IDs or names of classes: clips with at least one of them; nil = all
	Splits []string // nil = all

	// PerClass takes so many clips of every class, as Balanced does; 0 = all. Clips
	// without a file count: the subset is that of the list.
	PerClass int
	// Limit takes so many of the clips that have a file, each as likely as any other;
	// 0 = all. A greater limit with the same seed takes the same clips and more.
	Limit int
	Seed  uint64 // of PerClass and Limit
}

// Select keeps the clips that a filter wants: by label and split first, then so many
// of every class, then the limit. The classes, and the labels of a clip, stay as they
// are, so that a class has the same number in every part of a list.
//
// A label or a split that the list does not have is an error that matches
// ErrManifest; when nothing is left it is ErrEmpty.
func (l *List) Select(f Filter) error {
	wanted, err := l.findLabels(f.Labels)
	if err == nil {
		err = l.checkSplits(f.Splits)
	}
	if err == nil && (f.PerClass < 0 || f.Limit < 0) {
		err = fmt.Errorf("%d clips a class, %d in all: neither may be negative", f.PerClass, f.Limit)
	}
	if err != nil {
		return fmt.Errorf("manifest: %w: %w", ErrManifest, err)
	}
	l.Entries = slices.DeleteFunc(l.Entries, func(e Entry) bool {
		if len(f.Splits) > 0 && !slices.Contains(f.Splits, e.Split) {
			return true
		}
		return wanted != nil && !slices.ContainsFunc(e.Labels, func(id string) bool { return wanted[id] })
	})
	if f.PerClass > 0 {
		l.keep(Balanced(f.PerClass, f.Seed, len(l.Entries), func(i int) (int, []string) {
			return l.Entries[i].Row, l.Entries[i].Labels
		}))
	}
	if f.Limit > 0 {
		l.limit(f.Limit, f.Seed)
	}
	if len(l.Entries) == 0 {
		return fmt.Errorf("manifest: %w: no clip with these labels, in these splits", ErrEmpty)
	}
	return nil
}

// keep keeps the entries at these places, which ascend.
func (l *List) keep(places []int) {
	for i, p := range places {
		l.Entries[i] = l.Entries[p]
	}
	clear(l.Entries[len(places):])
	l.Entries = l.Entries[:len(places)]
}

// limit keeps n entries with a file: the first n of a Fisher-Yates shuffle.
func (l *List) limit(n int, seed uint64) {
	var places []int
	for i := range l.Entries {
		if l.Entries[i].Missing == "" {
			places = append(places, i)
		}
	}
	r := rng.New(seed, "limit")
	n = min(n, len(places))
	for i := range n {
		j := i + r.IntN(len(places)-i)
		places[i], places[j] = places[j], places[i]
	}
	places = places[:n]
	slices.Sort(places)
	l.keep(places)
}

// findLabels returns the IDs of the classes with these IDs or names, nil for none.
func (l *List) findLabels(labels []string) (map[string]bool, error) {
	if len(labels) == 0 {
		return nil, nil
	}
	ids := make(map[string]bool)
	for _, label := range labels {
		id, ok := l.findLabel(label)
		if !ok {
			if len(l.Classes) == 0 {
				return nil, fmt.Errorf("label %.80q: the clips have no labels", label)
			}
			return nil, fmt.Errorf("label %.80q is neither id nor name of a class: did you mean %q?",
				label, nearest(label, l.Classes))
		}
		ids[id] = true
	}
	return ids, nil
}

// findLabel finds a class by its ID, else by its name, else by either in other case.
func (l *List) findLabel(label string) (id string, ok bool) {
	for _, same := range []func(c *Class) bool{
		func(c *Class) bool { return c.ID == label },
		func(c *Class) bool { return c.Name == label },
		func(c *Class) bool { return strings.EqualFold(c.ID, label) || strings.EqualFold(c.Name, label) },
	} {
		for i := range l.Classes {
			if same(&l.Classes[i]) {
				return l.Classes[i].ID, true
			}
		}
	}
	return "", false
}

func (l *List) checkSplits(splits []string) error {
	if len(splits) == 0 {
		return nil
	}
	there := make(map[string]bool)
	for i := range l.Entries {
		there[l.Entries[i].Split] = true
	}
	for _, s := range splits {
		if s == "" || !there[s] {
			var names []string
			for n := range there {
				if n != "" {
					names = append(names, n)
				}
			}
			if len(names) == 0 {
				return fmt.Errorf("split %.40q: the list gives no splits, they are drawn later", s)
			}
			slices.Sort(names)
			return fmt.Errorf("split %.40q: the list has %s", s, strings.Join(names, ", "))
		}
	}
	return nil
}

// nearest returns the ID or name that differs least from a text.
func nearest(text string, classes []Class) string {
	best, least := "", -1
	text = strings.ToLower(cutRunes(text))
	for _, c := range classes {
		for _, name := range []string{c.ID, c.Name} {
			if name == "" {
				continue
			}
			if d := distance(text, strings.ToLower(cutRunes(name))); least < 0 || d < least {
				best, least = name, d
			}
		}
	}
	return best
}

// cutRunes bounds what distance has to compare.
func cutRunes(s string) string {
	r := []rune(s)
	return string(r[:min(len(r), 100)])
}

// distance is the number of characters to insert, delete or replace (Levenshtein).
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	row := make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i := range x {
		corner := row[0]
		row[0] = i + 1
		for j := range y {
			d := corner
			if x[i] != y[j] {
				d++
			}
			corner = row[j+1]
			row[j+1] = min(d, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(y)]
}
