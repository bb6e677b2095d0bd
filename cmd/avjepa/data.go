package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"avjepa/internal/dataset"
)

func newDataCommand(g *globals) *cobra.Command {
	c := &cobra.Command{Use: "data", Short: "Look at a data set, check it, mend its index"}
	c.AddCommand(
		newDataListCommand(g),
		newDataShowCommand(g),
		newDataVerifyCommand(g),
		newDataStatsCommand(g),
		newDataIndexCommand(g),
	)
	group(c)
	return c
}

// clipFilter are the flags that choose clips.
type clipFilter struct {
	split, label, flag string
}

func (o *clipFilter) addFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.split, "split", "", "only clips of this split")
	f.StringVar(&o.label, "label", "", "only clips with this label or class name")
	f.StringVar(&o.flag, "flag", "",
		"only clips that are silent, quiet, still, low-motion or duplicate")
}

var clipFlags = []string{dataset.FlagSilent, dataset.FlagQuiet, dataset.FlagStill,
	dataset.FlagLowMotion, dataset.FlagDuplicate}

// clipFlagging tells the flags of clips, duplicates included.
type clipFlagging struct{ duplicate map[string]bool }

func readFlagging(ctx context.Context, dir string, p *progress) (
	clipFlagging, []dataset.Duplicate, error) {

	at, err := openStore(ctx, dir, p)
	if err != nil {
		return clipFlagging{}, nil, err
	}
	pairs, err := dataset.ReadDuplicates(ctx, at)
	x := clipFlagging{make(map[string]bool, 2*len(pairs))}
	for _, p := range pairs {
		x.duplicate[p.Key], x.duplicate[p.Other] = true, true
	}
	return x, pairs, err
}

func (x clipFlagging) of(f *dataset.Info) []string {
	flags := f.Flags()
	if x.duplicate[f.Key] {
		flags = append(flags, dataset.FlagDuplicate)
	}
	return flags
}

// choose returns the clips that the filter lets through.
func (o *clipFilter) choose(dir string, set *dataset.Set, x clipFlagging) (*dataset.Set, error) {
	if o.flag != "" && !slices.Contains(clipFlags, o.flag) {
		return nil, usageError(fmt.Errorf("--flag %q: there are %s", o.flag,
			strings.Join(clipFlags, ", ")))
	}
	if o.split != "" && !slices.Contains(set.Splits(), o.split) {
		return nil, fmt.Errorf("%s has no clip in split %q: it has %s (--split)", dir, o.split,
			strings.Join(set.Splits(), ", "))
	}
	ids := map[string]bool{}
	for _, c := range set.Classes() {
		if c.ID == o.label || c.Title() == o.label {
			ids[c.ID] = true
		}
	}
	if o.label != "" && len(ids) == 0 {
		return nil, fmt.Errorf("%s has no class %q: avjepa data ls %s --classes lists them (--label)",
			dir, o.label, dir)
	}
	if *o == (clipFilter{}) {
		return set, nil
	}
	return set.Where(func(f *dataset.Info) bool {
		return (o.split == "" || f.Split == o.split) &&
			(o.label == "" || slices.ContainsFunc(f.Labels, func(l string) bool { return ids[l] })) &&
			(o.flag == "" || slices.Contains(x.of(f), o.flag))
	}), nil
}
