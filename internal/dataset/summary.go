package dataset

import (
	"encoding/csv"
	"io"
	"path/filepath"
	"slices"
	"strconv"

	"avjepa/internal/durable"
	"avjepa/internal/media"
)

const leftOutFile = "left-out.csv"

// Summary is what a dataset consists of after an ingest, resumed parts included.
type Summary struct {
	Files    int                   // sources dealt with, without those that are missing
	Clips    int                   // kept
	Seconds  float64               // of kept clips
	Bytes    int64                 // of kept clips in the shards
	Shards   int                   // files
	Splits   map[string]int        // kept clips by split
	Outcomes map[media.Outcome]int // of all clips, kept or not
	LeftOut  []LeftOut             // by key; also written to left-out.csv
	Leaks    []Leak                // equal files in different splits
	Flags    map[string]int        // kept clips by flag: see Info.Flags

	Duplicates []Duplicate // pairs by key; also written to duplicates.csv
}

// LeftOut is a clip that is not in the set, and why.
type LeftOut struct {
	Key        string
	Path       string
	Start, End float64 // seconds; End 0 = to the end
	Outcome    media.Outcome
	Reason     string
}

// Leak names two sources with equal content that the manifest puts in different
// splits, so that a test would see what was trained on.
type Leak struct{ A, B string }

func (l *ledger) summary() Summary {
	s := Summary{
		Shards:   len(l.ends),
		Splits:   make(map[string]int),
		Outcomes: make(map[media.Outcome]int),
		Flags:    make(map[string]int),
	}
	for _, key := range l.order {
		line := l.clips[key]
		s.Outcomes[line.Outcome]++
		if c := line.Clip; c != nil {
			s.Clips++
			s.Seconds += c.Seconds
			s.Bytes += c.Bytes
			s.Splits[c.Split]++
			for _, flag := range c.Flags() {
				s.Flags[flag]++
			}
			continue
		}
		s.LeftOut = append(s.LeftOut, LeftOut{
			Key: line.Key, Path: line.Source, Start: line.Start, End: line.End,
			Outcome: line.Outcome, Reason: line.Reason,
		})
	}
	slices.SortFunc(s.LeftOut, func(a, b LeftOut) int {
		if a.Key < b.Key {
			return -1
		}
		return 1 // keys differ
	})
	paths := make([]string, 0, len(l.sources))
	for p := range l.sources {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	first := make(map[string]string) // hash → path
	for _, p := range paths {
		src := l.sources[p]
		if src.Outcome == media.Missing {
			continue
		}
		s.Files++
		if q, ok := first[src.Hash]; !ok {
			first[src.Hash] = p
		} else if l.sources[q].Split != src.Split {
			s.Leaks = append(s.Leaks, Leak{q, p})
		}
	}
	return s
}

func writeLeftOut(dir string, rows []LeftOut) error {
	return durable.WriteFile(filepath.Join(dir, leftOutFile), func(w io.Writer) error {
		c := csv.NewWriter(w)
		seconds := func(s float64) string { return strconv.FormatFloat(s, 'f', -1, 64) }
		err := c.Write([]string{"key", "path", "start", "end", "outcome", "reason"})
		for _, r := range rows {
			if err == nil {
				err = c.Write([]string{r.Key, r.Path, seconds(r.Start), seconds(r.End),
					string(r.Outcome), r.Reason})
			}
		}
		c.Flush()
		if err == nil {
			err = c.Error()
		}
		return err
	})
}
