package manifest

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
)

// part is what a clip is of a file.
type part struct {
	path       string
	start, end float64
}

// assigner gives candidates their keys and finds those that contradict each other.
type assigner struct {
	all    *chunks
	strict bool // some candidates are not of published lists
	splits bool // more than one split is given

	taken   map[uint64]int32 // hash of a part → the first clip that is it
	rare    map[part]int32   // parts that have the hash of another
	seed    maphash.Seed
	sources map[string]int32 // path → first row of a strict list
	groups  map[string]int32 // group → first clip with a split
	leaky   map[string]bool  // groups in several splits
	known   map[string]bool  // IDs of classes
	kept    []int32
}

// assign gives every candidate its key, drops repetitions, and refuses
// contradictions: two clips with one key, one source in two splits. Of published
// lists the contradicting row is passed over instead, and a video in two splits is
// counted.
func (r *reader) assign() ([]Entry, error) {
	a := &assigner{all: &r.all, taken: make(map[uint64]int32, r.all.len()),
		rare: make(map[part]int32), seed: maphash.MakeSeed(),
		sources: make(map[string]int32), groups: make(map[string]int32), leaky: make(map[string]bool),
		known: classSet(r.known)}
	a.look()
	a.disown()
	for i := range r.all.len() {
		if err := r.check(a, i); err != nil {
			return nil, err
		}
	}
	return a.keys()
}

// look sees what kinds of candidates there are.
func (a *assigner) look() {
	split := ""
	for i := range a.all.len() {
		c := a.all.at(i)
		a.strict = a.strict || !c.lenient()
		if c.Split != "" {
			a.splits = a.splits || split != "" && split != c.Split
			split = c.Split
		}
	}
}

// disown takes files that are named by their video alone from clips when several
// claim the same one: it is not known to be either.
func (a *assigner) disown() {
	claims := make(map[string]int32)
	for i := range a.all.len() {
		if c := a.all.at(i); c.byID && c.Whole() {
			claims[c.Path]++
		}
	}
	for i := range a.all.len() {
		c := a.all.at(i)
		if c.byID && c.Whole() && claims[c.Path] > 1 {
			c.Missing = "several clips are of that video, and the only file has the name of the " +
				"video alone: if it is the whole video, say so (whole videos)"
			c.list.media.miss(c, c.Key)
		}
	}
}

// check takes up candidate i unless it repeats or contradicts an earlier one.
func (r *reader) check(a *assigner, i int) error {
	c := a.all.at(i)
	err := a.conflict(i)
	if err == nil && !c.lenient() && r.opt.Classes != "" {
		for _, l := range c.Labels {
			if !a.known[l] {
				err = fmt.Errorf("label %.80q is not among the classes of %s", l, r.opt.Classes)
			}
		}
	}
	switch {
	case errors.Is(err, errSame):
		return nil
	case err == nil:
		a.kept = append(a.kept, int32(i))
	case c.lenient():
		c.list.pass(&rowError{int(c.line), "", err})
		return nil
	default:
		return fmt.Errorf("manifest: %s: %w: %w", c.from(), ErrManifest, err)
	}
	if !a.splits || c.Split == "" || c.Group == "" {
		return nil
	}
	at, ok := a.groups[c.Group]
	if !ok {
		a.groups[c.Group] = int32(i)
		return nil
	}
	first := a.all.at(int(at))
	if first.Split == c.Split || a.leaky[c.Group] {
		return nil
	}
	text := fmt.Sprintf("%s is in split %s at %s and in %s at %s",
		c.Group, first.Split, first.from(), c.Split, c.from())
	if !c.lenient() {
		return fmt.Errorf("manifest: %w: group %s: all clips of one group belong in one split",
			ErrManifest, text)
	}
	a.leaky[c.Group] = true
	r.leaks.add(text)
	return nil
}

// take notes that candidate i is that part, unless another is: then it returns it.
// A map by parts themselves would be twice as large, and full of pointers.
func (a *assigner) take(p part, i int) *candidate {
	h := maphash.Comparable(a.seed, p)
	at, ok := a.taken[h]
	if !ok {
		a.taken[h] = int32(i)
		return nil
	}
	c := a.all.at(int(at))
	if (part{c.Path, c.Start, c.End}) == p {
		return c
	}
	if at, ok := a.rare[p]; ok {
		return a.all.at(int(at))
	}
	a.rare[p] = int32(i)
	return nil
}

// errSame is of a candidate that is there already.
var errSame = errors.New("the same clip")

// conflict compares candidate i with those before it.
func (a *assigner) conflict(i int) error {
	c := a.all.at(i)
	if before := a.take(part{c.Path, c.Start, c.End}, i); before != nil {
		if slices.Equal(before.Labels, c.Labels) && before.Split == c.Split && before.Key == c.Key &&
			before.Group == c.Group {
			return errSame
		}
		return fmt.Errorf("the same clip as %s with another label, split or key", before.from())
	}
	if c.lenient() {
		return nil
	}
	at, ok := a.sources[c.Path]
	if !ok {
		a.sources[c.Path] = int32(i)
		return nil
	}
	if first := a.all.at(int(at)); first.Split != c.Split || first.Group != c.Group {
		return fmt.Errorf("%s is in split %q, group %q here and in %q, %q at %s: "+
			"all clips of one source belong in one split",
			c.Path, c.Split, c.Group, first.Split, first.Group, first.from())
	}
	return nil
}

// keys gives the kept candidates their keys and makes entries of them, sorted by key.
func (a *assigner) keys() ([]Entry, error) {
	a.taken, a.rare, a.sources, a.groups = nil, nil, nil, nil // millions of clips need the room
	count := make(map[string]int)
	for _, i := range a.kept {
		if c := a.all.at(int(i)); c.Key == "" {
			count[strings.ToLower(autoKey(c, false))]++
		}
	}
	for _, i := range a.kept {
		c := a.all.at(int(i))
		c.Row = int(i)
		if c.Key == "" {
			c.Key = autoKey(c, count[strings.ToLower(autoKey(c, false))] > 1)
		}
	}
	// Names that differ only in case are one file on some systems. YouTube's may
	// differ in nothing else.
	fold := func(key string) string { return key }
	if a.strict {
		fold = strings.ToLower
	}
	kept, err := a.dropEqualKeys(a.sorted(fold))
	if err != nil {
		return nil, err
	}
	if a.strict {
		a.kept = kept
		kept = a.sorted(func(key string) string { return key })
	}
	entries := make([]Entry, len(kept))
	for i, at := range kept {
		entries[i] = a.all.at(int(at)).Entry
	}
	return entries, nil
}

// sorted returns the kept candidates in the order of what fold makes of their keys,
// equal ones in the order of the list.
func (a *assigner) sorted(fold func(key string) string) []int32 {
	type place struct {
		head uint64 // the key's first bytes: most comparisons need no more
		at   int32
	}
	order := make([]place, len(a.kept))
	for i, at := range a.kept {
		var head [8]byte
		copy(head[:], fold(a.all.at(int(at)).Key))
		order[i] = place{binary.BigEndian.Uint64(head[:]), at}
	}
	slices.SortFunc(order, func(x, y place) int {
		if x.head != y.head {
			return cmp.Compare(x.head, y.head)
		}
		k, l := fold(a.all.at(int(x.at)).Key), fold(a.all.at(int(y.at)).Key)
		return cmp.Or(strings.Compare(k, l), cmp.Compare(x.at, y.at))
	})
	kept := make([]int32, len(order))
	for i, p := range order {
		kept[i] = p.at
	}
	return kept
}

// dropEqualKeys takes out candidates that have the key of the one before them.
func (a *assigner) dropEqualKeys(sorted []int32) ([]int32, error) {
	kept := sorted[:0]
	for _, i := range sorted {
		c := a.all.at(int(i))
		if n := len(kept); n > 0 {
			before := a.all.at(int(kept[n-1]))
			if before.Key == c.Key || a.strict && strings.EqualFold(before.Key, c.Key) {
				err := fmt.Errorf("key %q is also that of %s", c.Key, before.from())
				if !c.lenient() {
					return nil, fmt.Errorf("manifest: %s: %w: %w", c.from(), ErrManifest, err)
				}
				c.list.pass(&rowError{int(c.line), "", err})
				continue
			}
		}
		kept = append(kept, i)
	}
	return kept, nil
}
