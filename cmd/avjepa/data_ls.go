package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"avjepa/internal/dataset"
)

// dataListOptions are the flags of data ls.
type dataListOptions struct {
	filter  clipFilter
	leftOut bool
	outcome string
	summary bool
	classes bool
	sort    string
	limit   int
}

const listLimit = 40

func newDataListCommand(g *globals) *cobra.Command {
	o := &dataListOptions{}
	c := &cobra.Command{
		Use:   "ls DATA",
		Short: "What is in a data set: a summary and a table of clips",
		Long: `Prints how much there is, then a line per clip. With --json a line per clip is all,
an object each and without a limit unless one is given; with --summary the summary
alone, as one object.`,
		Example: "  avjepa data ls data/mine\n  avjepa data ls data/mine --flag duplicate --limit 0\n" +
			"  avjepa data ls data/mine --left-out --outcome corrupt\n" +
			"  avjepa data ls data/mine --json --split val",
		Args: takes("DATA"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if g.json && !cmd.Flags().Changed("limit") {
				o.limit = 0
			}
			out := bufio.NewWriter(cmd.OutOrStdout())
			return errors.Join(runDataList(cmd.Context(), args[0], o, g.progress(), out, g.json), out.Flush())
		},
	}
	o.filter.addFlags(c)
	f := c.Flags()
	f.BoolVar(&o.leftOut, "left-out", false, "clips that ingest left out, with reasons")
	f.StringVar(&o.outcome, "outcome", "", "of those, only the ones with this outcome, such as corrupt")
	f.BoolVar(&o.summary, "summary", false, "no table of clips")
	f.BoolVar(&o.classes, "classes", false, "every class with its clips in the summary")
	f.StringVar(&o.sort, "sort", "key", "key, seconds, bytes, row, label or split")
	f.IntVar(&o.limit, "limit", listLimit, "clips to list, 0 for all")
	return c
}

func runDataList(ctx context.Context, dir string, o *dataListOptions, p *progress,
	out io.Writer, asJSON bool) error {

	order, ok := clipOrders[o.sort]
	if !ok {
		return usageError(fmt.Errorf("--sort %q: there are %s", o.sort, strings.Join(sortNames, ", ")))
	}
	if o.limit < 0 {
		return usageError(fmt.Errorf("--limit %d: must not be negative", o.limit))
	}
	if o.outcome != "" || o.leftOut {
		if err := needsFolder("data ls --left-out", dir); err != nil {
			return err
		}
		return listLeftOut(ctx, dir, o, out, asJSON)
	}
	set, err := openSet(ctx, dir, p)
	if err != nil {
		return err
	}
	flagging, pairs, err := readFlagging(ctx, dir, p)
	if err != nil {
		return err
	}
	chosen, err := o.filter.choose(dir, set, flagging)
	if err != nil {
		return err
	}
	if o.summary || !asJSON {
		if chosen.Len() < set.Len() {
			pairs = nil // they are those of the whole set
		}
		sum := summariseData(dir, chosen, flagging, pairs, o.classes)
		if err := showData(out, &sum, asJSON); err != nil || o.summary {
			return err
		}
	}
	places := make([]int, chosen.Len())
	for i := range places {
		places[i] = i
	}
	if order != nil { // a set is in order of its keys
		slices.SortStableFunc(places, func(i, j int) int {
			a, b := chosen.Info(i), chosen.Info(j)
			return order(&a, &b)
		})
	}
	shown := places
	if o.limit > 0 && len(places) > o.limit {
		shown = places[:o.limit]
	}
	if asJSON {
		return listJSON(out, chosen, shown, flagging)
	}
	if len(shown) == 0 {
		return nil
	}
	listTable(out, chosen, shown, flagging)
	if n := len(places) - len(shown); n > 0 {
		fmt.Fprintf(out, "… and %d more (--limit 0 lists all)\n", n)
	}
	return nil
}

// clipOrders are the values of --sort; long and large ones come first.
var clipOrders = map[string]func(a, b *dataset.Info) int{
	"key":     nil,
	"seconds": func(a, b *dataset.Info) int { return cmp.Compare(b.Seconds, a.Seconds) },
	"bytes":   func(a, b *dataset.Info) int { return cmp.Compare(b.Bytes, a.Bytes) },
	"row":     func(a, b *dataset.Info) int { return cmp.Compare(a.Row, b.Row) },
	"label":   func(a, b *dataset.Info) int { return slices.Compare(a.Labels, b.Labels) },
	"split":   func(a, b *dataset.Info) int { return cmp.Compare(a.Split, b.Split) },
}

var sortNames = []string{"key", "seconds", "bytes", "row", "label", "split"}

// dataClip is a clip as data ls --json prints it.
type dataClip struct {
	dataset.Info
	Names []string `json:"names,omitempty"` // of the classes
	Flags []string `json:"flags,omitempty"`
}

func listJSON(out io.Writer, set *dataset.Set, places []int, x clipFlagging) error {
	enc := json.NewEncoder(out)
	for _, i := range places {
		f := set.Info(i)
		c := dataClip{Info: f, Flags: x.of(&f)}
		for _, l := range f.Labels {
			c.Names = append(c.Names, className(set, l))
		}
		if err := enc.Encode(&c); err != nil {
			return err
		}
	}
	return nil
}

func className(set *dataset.Set, id string) string {
	if at := set.Class(id); at >= 0 {
		return set.Classes()[at].Title()
	}
	return id
}

// listTable prints clips in blocks: the columns of millions need not be measured first.
func listTable(out io.Writer, set *dataset.Set, places []int, x clipFlagging) {
	head := []string{"key", "split", "labels", "seconds", "frames", "pixels", "flags"}
	const block = 5000
	for len(places) > 0 {
		rows := [][]string{head}
		n := min(len(places), block)
		for _, i := range places[:n] {
			f := set.Info(i)
			pixels := "-"
			if f.HasVideo() {
				pixels = fmt.Sprintf("%d×%d", f.Width, f.Height)
			}
			rows = append(rows, []string{clip(f.Key, 36), f.Split, clip(set.Titles(&f), 24),
				fmt.Sprintf("%.1f", f.Seconds), fmt.Sprint(f.FrameCount), pixels,
				strings.Join(soundless(&f, x.of(&f)), ", ")})
		}
		table(out, "lllrrrl", rows)
		if places = places[n:]; len(places) > 0 {
			fmt.Fprintln(out)
		}
	}
}

// soundless adds that a clip has no sound at all to its flags.
func soundless(f *dataset.Info, flags []string) []string {
	if !f.HasAudio() {
		flags = append(flags, "no audio")
	}
	return flags
}

// dataSummary is what data ls prints of a set, or of the clips chosen.
type dataSummary struct {
	Data       string         `json:"data"`
	Clips      int            `json:"clips"`
	Hours      float64        `json:"hours"`
	Bytes      int64          `json:"bytes"`
	Splits     map[string]int `json:"splits"`
	Classes    int            `json:"classes"` // that these clips have
	Unlabelled int            `json:"unlabelled"`
	NoVideo    int            `json:"no_video"`
	NoAudio    int            `json:"no_audio"`
	Flags      map[string]int `json:"flags"`
	Across     int            `json:"duplicates_across_splits"` // pairs

	PerClass []classCount `json:"per_class,omitempty"`
}

type classCount struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Clips int    `json:"clips"`
}

func summariseData(dir string, set *dataset.Set, x clipFlagging, pairs []dataset.Duplicate,
	classes bool) dataSummary {

	s := dataSummary{Data: dir, Clips: set.Len(), Splits: map[string]int{}, Flags: map[string]int{}}
	labels := map[string]int{}
	for i := range set.Len() {
		f := set.Info(i)
		s.Hours += f.Seconds / 3600
		s.Bytes += f.Bytes
		s.Splits[f.Split]++
		for _, l := range f.Labels {
			labels[l]++
		}
		if len(f.Labels) == 0 {
			s.Unlabelled++
		}
		if !f.HasVideo() {
			s.NoVideo++
		}
		if !f.HasAudio() {
			s.NoAudio++
		}
		for _, flag := range x.of(&f) {
			s.Flags[flag]++
		}
	}
	for _, p := range pairs {
		if p.Across {
			s.Across++
		}
	}
	if s.Classes = len(labels); !classes {
		return s
	}
	for _, c := range set.Classes() {
		s.PerClass = append(s.PerClass, classCount{c.ID, c.Title(), labels[c.ID]})
	}
	return s
}

func showData(out io.Writer, s *dataSummary, asJSON bool) error {
	if asJSON {
		return writeJSON(out, s)
	}
	fmt.Fprintf(out, "%s, %s, %.1f MB", amount(s.Clips, "clips"), spanOf(s.Hours*3600), float64(s.Bytes)/1e6)
	if s.Clips > 0 {
		fmt.Fprintf(out, ": %s", counts(s.Splits))
	}
	fmt.Fprintln(out)
	var more []string
	if s.Classes > 0 {
		more = append(more, amount(s.Classes, "classes"))
	}
	for _, x := range []struct {
		n    int
		what string
	}{{s.Unlabelled, "without a label"}, {s.NoVideo, "without video"}, {s.NoAudio, "without audio"}} {
		if x.n > 0 {
			more = append(more, fmt.Sprintf("%d %s", x.n, x.what))
		}
	}
	if len(more) > 0 {
		fmt.Fprintln(out, strings.Join(more, ", "))
	}
	if len(s.Flags) > 0 {
		fmt.Fprintf(out, "flagged: %s\n", counts(s.Flags))
	}
	if s.Across > 0 {
		fmt.Fprintf(out, "warning: %d pairs of near duplicates are in different splits (duplicates.csv)\n",
			s.Across)
	}
	fmt.Fprintln(out)
	if len(s.PerClass) > 0 {
		rows := [][]string{{"class", "name", "clips"}}
		for _, c := range s.PerClass {
			rows = append(rows, []string{clip(c.ID, 30), clip(c.Name, 40), fmt.Sprint(c.Clips)})
		}
		table(out, "llr", rows)
		fmt.Fprintln(out)
	}
	return nil
}

// leftOutJSON is a clip that was left out, as data ls --left-out --json prints it.
type leftOutJSON struct {
	Key     string  `json:"key"`
	Path    string  `json:"path"`
	Start   float64 `json:"start"`
	End     float64 `json:"end,omitempty"`
	Outcome string  `json:"outcome"`
	Reason  string  `json:"reason"`
}

func listLeftOut(ctx context.Context, dir string, o *dataListOptions, out io.Writer, asJSON bool) error {
	if o.filter != (clipFilter{}) || o.classes || o.sort != "key" {
		return usageError(errors.New("--left-out lists clips that are not in the set: " +
			"only --outcome and --limit choose among them"))
	}
	if _, err := dataset.ReadSettings(dir); err != nil {
		return err
	}
	all, err := dataset.ReadLeftOut(ctx, dir)
	if err != nil {
		return err
	}
	found := map[string]int{}
	for _, l := range all {
		found[string(l.Outcome)]++
	}
	if o.outcome != "" {
		all = slices.DeleteFunc(all, func(l dataset.LeftOut) bool { return string(l.Outcome) != o.outcome })
		if len(all) == 0 {
			return fmt.Errorf("%s has left out no clip as %q: %s (--outcome)", dir, o.outcome,
				cmp.Or(counts(found), "it has left out none at all"))
		}
	}
	if asJSON && o.summary {
		return writeJSON(out, map[string]any{"data": dir, "left_out": len(all), "outcomes": found})
	}
	shown := all
	if o.limit > 0 && len(all) > o.limit {
		shown = all[:o.limit]
	}
	if asJSON {
		enc := json.NewEncoder(out)
		for _, l := range shown {
			err := enc.Encode(leftOutJSON{l.Key, l.Path, l.Start, l.End, string(l.Outcome), l.Reason})
			if err != nil {
				return err
			}
		}
		return nil
	}
	fmt.Fprintf(out, "%s left out: %s\n", amount(len(all), "clips"), cmp.Or(counts(found), "none"))
	if o.summary || len(shown) == 0 {
		return nil
	}
	rows := [][]string{{"key", "outcome", "reason"}}
	for _, l := range shown {
		rows = append(rows, []string{clip(l.Key, 36), string(l.Outcome), clip(l.Reason, 70)})
	}
	fmt.Fprintln(out)
	table(out, "lll", rows)
	if n := len(all) - len(shown); n > 0 {
		fmt.Fprintf(out, "… and %d more (--limit 0 lists all)\n", n)
	}
	return nil
}
