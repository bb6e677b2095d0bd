package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"avjepa/internal/dataset"
	"avjepa/internal/media"
)

// keepable are the names that --keep takes, in the order that dataset.json has them.
var keepable = []struct {
	name    string
	outcome media.Outcome
}{
	{"silent", media.Silent}, {"still", media.StillImage},
	{"no-audio", media.NoAudio}, {"no-video", media.NoVideo},
}

// keptOutcomes returns usable and those that --keep names.
func keptOutcomes(names []string) ([]media.Outcome, error) {
	kept := []media.Outcome{media.Usable}
	var known []string
	for _, k := range keepable {
		known = append(known, k.name)
		if slices.Contains(names, k.name) {
			kept = append(kept, k.outcome)
		}
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, usageError(fmt.Errorf("--keep %q: there are %s", name,
				strings.Join(known, ", ")))
		}
	}
	return kept, nil
}

// showDull prints what ingest noticed about kept clips: flags, and near duplicates with
// a warning when they are in different splits.
func showDull(out io.Writer, dir string, sum dataset.Summary) {
	if text := counts(sum.Flags); text != "" {
		fmt.Fprintf(out, "\nflagged: %s (avjepa data ls %s --flag NAME)\n", text, shellWord(dir))
	}
	if len(sum.Duplicates) == 0 {
		return
	}
	fmt.Fprintf(out, "\n%d pairs of clips are nearly the same: %s\n", len(sum.Duplicates),
		inSet(dir, "duplicates.csv"))
	across := 0
	for _, d := range sum.Duplicates {
		if !d.Across {
			continue
		}
		if across++; across <= 3 {
			fmt.Fprintf(out, "warning: nearly the same, in different splits: %s and %s\n",
				clip(d.Key, 60), clip(d.Other, 60))
		}
	}
	if across > 3 {
		fmt.Fprintf(out, "… and %d more\n", across-3)
	}
}
