package dataset

import (
	"errors"
	"fmt"
	"slices"

	"avjepa/internal/manifest"
)

// job is one source file with everything that is wanted of it.
type job struct {
	path    string
	whole   *manifest.Entry  // nil: only parts
	parts   []manifest.Entry // sorted by start
	split   string           // as given; "" = to be drawn
	group   string           // that the split is drawn for; "" = the content
	missing string           // why there is no file, where the list knows that
	bytes   int64            // of the file
}

// plan groups entries by source.
func plan(entries []manifest.Entry) []*job {
	byPath := make(map[string]*job)
	var jobs []*job
	for i := range entries {
		e := &entries[i]
		j, ok := byPath[e.Path]
		if !ok {
			j = &job{path: e.Path, split: e.Split, group: e.Group, missing: e.Missing}
			byPath[e.Path] = j
			jobs = append(jobs, j)
		}
		if e.Whole() {
			j.whole = e
		} else {
			j.parts = append(j.parts, *e)
		}
	}
	for _, j := range jobs {
		slices.SortStableFunc(j.parts, func(a, b manifest.Entry) int {
			switch {
			case a.Start < b.Start:
				return -1
			case a.Start > b.Start:
				return 1
			}
			return 0
		})
	}
	return jobs
}

// checkEntries returns an error when keys do not fit, repeat, could meet those of
// cut clips, or were ingested from another source.
func checkEntries(entries []manifest.Entry, led *ledger) error {
	owner := make(map[string]*manifest.Entry, len(entries))
	for i := range entries {
		e := &entries[i]
		err := errors.Join(manifest.CheckKey(e.Key), manifest.CheckLabels(e.Labels), manifest.CheckSplit(e.Split))
		if err == nil && e.Whole() && len(e.Key) > manifest.MaxBaseBytes {
			err = fmt.Errorf("key %s of %d bytes, at most %d", e.Key, len(e.Key), manifest.MaxBaseBytes)
		}
		if other, ok := owner[e.Key]; ok && err == nil {
			err = fmt.Errorf("key %s is also that of %s", e.Key, other.Path)
		}
		line, ok := led.clips[e.Key]
		if ok && err == nil && line.Clip != nil && line.Source != plainText(e.Path) {
			err = fmt.Errorf("key %s was ingested from %s: give one of them a key of its own, "+
				"or ingest into another folder", e.Key, line.Source)
		}
		if err != nil {
			return fmt.Errorf("dataset: %s: %w: %w", e.Path, manifest.ErrManifest, err)
		}
		owner[e.Key] = e
	}
	for i := range entries {
		e := &entries[i]
		if base, ok := cutBase(e.Key); ok {
			if other, ok := owner[base]; ok && other.Whole() {
				return fmt.Errorf("dataset: %s: %w: key %s could be that of a piece of %s: "+
					"give one of them another key", e.Path, manifest.ErrManifest, e.Key, other.Path)
			}
		}
	}
	return nil
}

// cutBase takes the start time off a key that looks like manifest.SegmentKey's.
func cutBase(key string) (base string, ok bool) {
	at := len(key) - len("_00000000")
	if at < 1 || key[at] != '_' {
		return "", false
	}
	for _, c := range key[at+1:] {
		if c < '0' || c > '9' {
			return "", false
		}
	}
	return key[:at], true
}
