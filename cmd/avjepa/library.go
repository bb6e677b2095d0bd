package main

import (
	"context"
	"fmt"
	"io"
	"sort"
	"strings"

	"github.com/spf13/cobra"

	"avjepa/internal/library"
)

func newLibraryCommand(g *globals) *cobra.Command {
	c := &cobra.Command{Use: "library", Short: "Look at a library"}
	c.AddCommand(newLibraryListCommand(g))
	group(c)
	return c
}

// libraryListOptions are the flags of library ls.
type libraryListOptions struct {
	filter  library.Filter
	sort    string
	leftOut bool
	summary bool
	check   bool
	limit   int
}

func newLibraryListCommand(g *globals) *cobra.Command {
	o := &libraryListOptions{}
	c := &cobra.Command{
		Use:   "ls LIBRARY",
		Short: "What is in a library: a summary and a table of clips",
		Long: `Prints how much there is and which models embedded it, then a line per clip. With
--json it is one object, with the summary and the clips.`,
		Example: "  avjepa library ls library\n  avjepa library ls library --flag duplicate --limit 0\n" +
			"  avjepa library ls library --left-out\n  avjepa library ls library --summary --json",
		Args: takes("LIBRARY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runLibraryList(cmd.Context(), args[0], o, cmd.OutOrStdout(), g.json)
		},
	}
	f := c.Flags()
	f.StringVar(&o.filter.Text, "text", "", "only clips with this in their name or a label")
	f.StringVar(&o.filter.Label, "label", "", "only clips with this label")
	f.StringVar(&o.filter.Split, "split", "", "only clips of this split")
	f.StringSliceVar(&o.filter.With, "flag", nil,
		"only clips that are silent, still, duplicate, no-audio or no-video")
	f.StringVar(&o.sort, "sort", "", "name, label or seconds; empty: as they came")
	f.BoolVar(&o.leftOut, "left-out", false, "files that were left out, with reasons")
	f.BoolVar(&o.summary, "summary", false, "no table of clips")
	f.BoolVar(&o.check, "check", false, "also look through the whole file for damage")
	f.IntVar(&o.limit, "limit", listLimit, "clips to list, 0 for all")
	return c
}

// libraryJSON is what library ls --json prints.
type libraryJSON struct {
	Clips      int             `json:"clips"`
	Hours      float64         `json:"hours"`
	Audio      int             `json:"with_audio"`
	Video      int             `json:"with_video"`
	LeftOut    int             `json:"left_out"`
	Outcomes   map[string]int  `json:"outcomes"`
	Flags      map[string]int  `json:"flags"`
	Duplicates int             `json:"duplicates"`
	Bytes      int64           `json:"bytes"`
	Models     []library.Model `json:"models"`
	Chance     []chanceJSON    `json:"chance"`
	List       []clipJSON      `json:"list,omitempty"`
	Left       []leftEmbed     `json:"left_out_list,omitempty"`
}

type chanceJSON struct {
	From  string  `json:"from"`
	In    string  `json:"in"`
	Score float32 `json:"score"`
}

// clipJSON is a clip as commands print it.
type clipJSON struct {
	ID      int64    `json:"id"`
	Key     string   `json:"key"`
	Data    string   `json:"data,omitempty"`
	Labels  []string `json:"labels,omitempty"`
	Split   string   `json:"split,omitempty"`
	Seconds float64  `json:"seconds"`
	Flags   []string `json:"flags,omitempty"`

	File  string  `json:"file,omitempty"` // that the clip is a part of
	Start float64 `json:"start,omitempty"`
	End   float64 `json:"end,omitempty"` // seconds in it
}

func clipOf(c *library.Clip) clipJSON {
	out := clipJSON{ID: c.ID, Key: c.Key, Data: c.Data, Labels: c.Labels, Split: c.Split, Seconds: c.Seconds,
		Flags: c.Flags()}
	if path, start, end := c.Part(); end > 0 {
		out.File, out.Start, out.End = path, start, end
	}
	return out
}

func runLibraryList(ctx context.Context, dir string, o *libraryListOptions, out io.Writer, asJSON bool) error {
	if o.limit < 0 {
		return usageError(fmt.Errorf("--limit %d: must not be negative", o.limit))
	}
	l, err := library.Open(ctx, dir, library.Options{Check: o.check})
	if err != nil {
		return err
	}
	defer l.Close()
	sum, err := summariseLibrary(ctx, l)
	if err != nil {
		return err
	}
	var clips []library.Clip
	more := false
	switch {
	case o.summary:
	case o.leftOut:
		left, err := l.LeftOut(ctx)
		if err != nil {
			return err
		}
		if more = o.limit > 0 && len(left) > o.limit; more {
			left = left[:o.limit]
		}
		for _, f := range left {
			sum.Left = append(sum.Left, leftEmbed{f.Key, f.Outcome, f.Reason})
		}
	default:
		if clips, more, err = listClips(ctx, l, o); err != nil {
			return usageError(err)
		}
		for i := range clips {
			sum.List = append(sum.List, clipOf(&clips[i]))
		}
	}
	if asJSON {
		return writeJSON(out, sum)
	}
	showLibrary(out, dir, sum)
	rows := [][]string{}
	for _, c := range sum.List {
		rows = append(rows, []string{fmt.Sprint(c.ID), c.shortName(48), strings.Join(c.Labels, ", "),
			fmt.Sprintf("%.1f", c.Seconds), strings.Join(c.Flags, ", ")})
	}
	if len(rows) > 0 {
		fmt.Fprintln(out)
		table(out, "rllrl", append([][]string{{"id", "clip", "labels", "s", "flags"}}, rows...))
	}
	for _, f := range sum.Left {
		fmt.Fprintf(out, "%s: %s: %s\n", f.Name, f.Outcome, f.Reason)
	}
	if more {
		fmt.Fprintln(out, "… and more (--limit 0 lists all)")
	}
	return nil
}

// listClips returns as many clips as are wanted, and whether there are more.
func listClips(ctx context.Context, l *library.Library, o *libraryListOptions) ([]library.Clip, bool, error) {
	page := library.Page{Sort: library.Sort(o.sort), Limit: 1000}
	var all []library.Clip
	for {
		list, err := l.Clips(ctx, o.filter, page)
		if err != nil {
			return nil, false, err
		}
		all = append(all, list.Clips...)
		if o.limit > 0 && len(all) > o.limit {
			return all[:o.limit], true, nil
		}
		if page.Cursor = list.Next; page.Cursor == "" {
			return all, false, nil
		}
	}
}

func summariseLibrary(ctx context.Context, l *library.Library) (*libraryJSON, error) {
	s, err := l.Stats(ctx)
	if err != nil {
		return nil, err
	}
	sum := &libraryJSON{Clips: s.Clips, Hours: s.Seconds / 3600, Audio: s.Audio, Video: s.Video, LeftOut: s.LeftOut,
		Outcomes: s.Outcomes, Flags: s.Flags, Duplicates: s.Duplicates, Bytes: s.Bytes}
	if sum.Models, err = l.Models(ctx); err != nil {
		return nil, err
	}
	for _, d := range [][2]library.Modality{{library.Audio, library.Video}, {library.Video, library.Audio},
		{library.Both, library.Both}} {
		if n := l.Null(d[0], d[1]); n != nil {
			sum.Chance = append(sum.Chance, chanceJSON{d[0].String(), d[1].String(), n.Chance()})
		}
	}
	return sum, nil
}

func showLibrary(out io.Writer, dir string, s *libraryJSON) {
	fmt.Fprintf(out, "library %s: %s, %.2f h, %d with sound, %d with picture, %.1f MB\n", dir,
		amount(s.Clips, "clips"), s.Hours, s.Audio, s.Video, float64(s.Bytes)/1e6)
	for _, m := range []struct {
		what   string
		counts map[string]int
	}{{"left out", s.Outcomes}, {"flags", s.Flags}} {
		if len(m.counts) > 0 {
			fmt.Fprintf(out, "%s: %s\n", m.what, countsText(m.counts))
		}
	}
	for i, m := range s.Models {
		what := "model"
		if i > 0 {
			what = "also embedded by"
		}
		fmt.Fprintf(out, "%s %s, step %d: %s, %d numbers, %s\n", what, m.Path, m.Step, m.Embedding, m.Dims, m.Geometry)
		if m.Remote != "" {
			fmt.Fprintf(out, "vectors on %s\n", m.Remote)
		}
	}
	for _, c := range s.Chance {
		fmt.Fprintf(out, "chance line, %s in %s: %.3f\n", c.From, c.In, c.Score)
	}
}

// countsText is "12 corrupt, 3 silent", the most first.
func countsText(counts map[string]int) string {
	names := make([]string, 0, len(counts))
	for n := range counts {
		names = append(names, n)
	}
	sort.Slice(names, func(i, j int) bool {
		if counts[names[i]] != counts[names[j]] {
			return counts[names[i]] > counts[names[j]]
		}
		return names[i] < names[j]
	})
	for i, n := range names {
		names[i] = fmt.Sprintf("%d %s", counts[n], n)
	}
	return strings.Join(names, ", ")
}

// shortName is the end of a clip's key, of at most so many letters; of a part of a file with
// its times, as in film.mp4 0:10–0:20.
func (c *clipJSON) shortName(most int) string {
	if c.File == "" {
		return shortName(c.Key, most)
	}
	times := fmt.Sprintf(" %s–%s", clock(c.Start), clock(c.End))
	return shortName(c.File, most-len([]rune(times))) + times
}

// clock is a time in a file as players show it: 0:10, 1:02:03, with tenths where it has them.
func clock(seconds float64) string {
	tenths := int(seconds*10 + .5)
	s := tenths / 10
	text := fmt.Sprintf("%d:%02d", s/60, s%60)
	if s >= 3600 {
		text = fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	if tenths%10 != 0 {
		text += fmt.Sprintf(".%d", tenths%10)
	}
	return text
}

// shortName is the end of a path, of at most so many letters.
func shortName(path string, most int) string {
	r := []rune(path)
	if len(r) <= most {
		return path
	}
	return "…" + string(r[len(r)-most+1:])
}
