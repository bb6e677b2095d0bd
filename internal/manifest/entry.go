package manifest

import (
	"errors"
	"fmt"
	"slices"
)

// List is what there is to ingest.
type List struct {
	Entries []Entry // sorted by key
	Classes []Class // in class order: class i of a head is Classes[i]

	// Bad are rows of published lists that could not be used. In our own form the
	// first wrong row is an error.
	Bad Tally
	// Leaks are groups, such as videos, with clips in several of the splits that
	// published lists give.
	Leaks Tally
}

// Missing returns the number of entries without a file.
func (l *List) Missing() int {
	n := 0
	for i := range l.Entries {
		if l.Entries[i].Missing != "" {
			n++
		}
	}
	return n
}

// Entry is one clip to ingest, or one source to cut into clips.
type Entry struct {
	Key     string   // unique in a list; see CheckKey for its alphabet
	Path    string   // absolute path of the source file; it may not exist
	Labels  []string // IDs of classes; none = unlabelled
	Split   string   // "" = to be drawn by ingest
	Group   string   // entries of one group, a source video, belong in one split; "" = the path
	Row     int      // place in the list that it comes from; unique in a List
	Start   float64  // seconds; Start = End = 0: the whole file, cut where it is long
	End     float64  // seconds; 0 = to the end
	Seconds float64  // of a whole file, as a published list has them; 0 = it does not say

	// Missing says why there is no file, as far as reading the list has shown; Path
	// is then where it would be. "" = there is one, or nobody has looked.
	Missing string
}

// Whole says whether the entry names a file and no part of it.
func (e *Entry) Whole() bool { return e.Start == 0 && e.End == 0 }

// Class is one label that clips of a list may have.
type Class struct {
	ID     string `json:"id"`               // what entries name: a text, or "/m/09x0r"
	Name   string `json:"name,omitempty"`   // for people; "" = ID
	Family string `json:"family,omitempty"` // a group of classes; "" = none
}

// Title returns what people call the class.
func (c *Class) Title() string {
	if c.Name != "" {
		return c.Name
	}
	return c.ID
}

const (
	// MaxClips bounds the entries of a list and the clips of a data set.
	MaxClips = 16 << 20
	// MaxSeconds is where start times stop fitting a key.
	MaxSeconds = 99_999

	maxLineBytes = 64 << 10
)

// sortedClasses returns a class for every label of the entries, sorted: the class
// order of lists that bring none of their own.
func sortedClasses(entries []Entry) []Class {
	seen := make(map[string]bool)
	var ids []string
	for i := range entries {
		for _, l := range entries[i].Labels {
			if !seen[l] {
				seen[l] = true
				ids = append(ids, l)
			}
		}
	}
	slices.Sort(ids)
	classes := make([]Class, len(ids))
	for i, id := range ids {
		classes[i].ID = id
	}
	return classes
}

// MergeClasses returns the classes of two lists together. The longer list keeps its
// order when it has all classes of the other; else the result is sorted by ID.
func MergeClasses(a, b []Class) []Class {
	if len(a) < len(b) {
		a, b = b, a
	}
	at := make(map[string]int, len(a))
	for i := range a {
		at[a[i].ID] = i
	}
	merged, more := slices.Clone(a), false
	for _, c := range b {
		if i, ok := at[c.ID]; !ok {
			merged, more = append(merged, c), true
		} else if merged[i].Name == "" && merged[i].Family == "" {
			merged[i] = c
		}
	}
	if more {
		slices.SortFunc(merged, func(x, y Class) int {
			switch {
			case x.ID < y.ID:
				return -1
			case x.ID > y.ID:
				return 1
			}
			return 0
		})
	}
	return merged
}

// CheckClasses returns an error that names the first class that no list could have,
// or that is there twice.
func CheckClasses(classes []Class) error {
	seen := make(map[string]bool, len(classes))
	for i, c := range classes {
		err := errors.Join(CheckLabel(c.ID), CheckLabel(c.Name), CheckLabel(c.Family))
		switch {
		case err != nil:
		case c.ID == "":
			err = errors.New("empty id")
		case seen[c.ID]:
			err = fmt.Errorf("%q for the second time", c.ID)
		}
		if err != nil {
			return fmt.Errorf("class %d: %w", i, err)
		}
		seen[c.ID] = true
	}
	return nil
}
