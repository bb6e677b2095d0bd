package manifest

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Options say what Read accepts.
type Options struct {
	// AllowOutside accepts paths of a CSV, and links in a folder, that lead out
	// of that folder. Only for manifests that you wrote yourself.
	AllowOutside bool
}

// Read lists the clips of files, folders and CSV manifests, sorted by
// key. Nothing is decoded.
//
// A folder gives every file below it that is not known to be something else than
// media; the first folder below it is the label, and files directly in it are
// unlabelled. Names that begin with a dot are passed over. A name that ends in
// ".csv" is a manifest: see readCSV. Any other file is one unlabelled source.
//
// A key is the path below the folder (or below the manifest's folder, or the
// file's base name) without its extension, and the start in milliseconds for
// parts. A source that is named twice with the same part is taken once.
//
// Errors: ErrNoSource, ErrEmpty, ErrManifest.
func Read(args []string, opt Options) (List, error) {
	var all []candidate
	for _, arg := range args {
		st, err := os.Stat(arg)
		if errors.Is(err, fs.ErrNotExist) {
			return List{}, fmt.Errorf("manifest: %q: %w: no file or folder of that name", arg, ErrNoSource)
		}
		if err != nil {
			return List{}, fmt.Errorf("manifest: %w: %w", ErrNoSource, err)
		}
		abs, err := filepath.Abs(arg)
		if err != nil {
			return List{}, fmt.Errorf("manifest: %w", err)
		}
		var found []candidate
		switch {
		case st.IsDir():
			found, err = readTree(abs, opt)
		case strings.EqualFold(filepath.Ext(arg), ".csv"):
			found, err = readCSVFile(abs, opt)
		default:
			found = []candidate{{rel: filepath.Base(abs), Entry: Entry{Path: abs}}}
		}
		if err != nil {
			return List{}, err
		}
		if len(found) == 0 {
			return List{}, fmt.Errorf("manifest: %q: %w: no media files in it", arg, ErrEmpty)
		}
		all = append(all, found...)
	}
	if len(all) == 0 {
		return List{}, fmt.Errorf("manifest: no sources given: %w", ErrEmpty)
	}
	entries, err := assignKeys(all)
	if err != nil {
		return List{}, err
	}
	return List{Entries: entries, Classes: sortedClasses(entries)}, nil
}

// candidate is an entry that has no key yet, unless the manifest gave one.
type candidate struct {
	Entry
	rel   string // slash-separated path that the key is made from
	where string // "file.csv:12" for errors, "" outside manifests
}

func (c *candidate) from() string {
	if c.where != "" {
		return c.where
	}
	return c.Path
}

// assignKeys gives every candidate its key, drops repetitions, and refuses
// contradictions: two clips with one key, one source in two splits.
func assignKeys(all []candidate) ([]Entry, error) {
	type part struct {
		path       string
		start, end float64
	}
	taken := make(map[part]*candidate, len(all))
	splits := make(map[string]*candidate)
	kept := all[:0:0]
	for i := range all {
		c := &all[i]
		p := part{c.Path, c.Start, c.End}
		if before, ok := taken[p]; ok {
			if !slices.Equal(before.Labels, c.Labels) || before.Split != c.Split ||
				before.Key != c.Key {
				return nil, fmt.Errorf("manifest: %s: %w: the same clip as %s with another label, "+
					"split or key", c.from(), ErrManifest, before.from())
			}
			continue
		}
		taken[p] = c
		if first, ok := splits[c.Path]; !ok {
			splits[c.Path] = c
		} else if first.Split != c.Split {
			return nil, fmt.Errorf("manifest: %s: %w: %s is in split %q here and in %q at %s: "+
				"all clips of one source belong in one split",
				c.from(), ErrManifest, c.Path, c.Split, first.Split, first.from())
		}
		kept = append(kept, *c)
	}
	// Names that differ only in case are one file on some systems.
	count := make(map[string]int)
	for i := range kept {
		c := &kept[i]
		if c.Key == "" {
			count[strings.ToLower(autoKey(c, false))]++
		}
	}
	owner := make(map[string]*candidate, len(kept))
	entries := make([]Entry, len(kept))
	for i := range kept {
		c := &kept[i]
		if c.Key == "" {
			c.Key = autoKey(c, count[strings.ToLower(autoKey(c, false))] > 1)
		}
		low := strings.ToLower(c.Key)
		if other, ok := owner[low]; ok {
			return nil, fmt.Errorf("manifest: %s: %w: key %q is also that of %s",
				c.from(), ErrManifest, c.Key, other.from())
		}
		owner[low] = c
		entries[i] = c.Entry
		entries[i].Row = i
	}
	slices.SortFunc(entries, func(a, b Entry) int { return cmp.Compare(a.Key, b.Key) })
	return entries, nil
}

// autoKey derives the key of a candidate from its path; hashed tells apart
// sources that would otherwise share it.
func autoKey(c *candidate, hashed bool) string {
	key := keyFor(strings.TrimSuffix(c.rel, filepath.Ext(c.rel)))
	if hashed {
		key = withHash(key, c.Path)
	}
	if !c.Whole() {
		key = SegmentKey(key, c.Start)
	}
	return key
}
