package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"avjepa/internal/encoder"
	"avjepa/internal/library"
	"avjepa/internal/media"
)

// searchOptions are the flags of search.
type searchOptions struct {
	encode encodeOptions
	file   string
	clip   int64
	in     string
	k      int
	model  string
	html   string
}

func newSearchCommand(g *globals) *cobra.Command {
	o := &searchOptions{}
	c := &cobra.Command{
		Use:   "search LIBRARY [FILE]",
		Short: "Clips of a library that look like a sound, or sound like a picture",
		Long: `Embeds a video, a sound or a picture and compares it with every clip of a library. A
sound finds clips that look like it sounds; a picture or a silent film clips that sound
like it looks; a film with sound clips that are alike in both. --for chooses otherwise.
Each score comes with the share of random pairs that score less, and below the line
results are no better than chance.`,
		Example: `  avjepa search library bark.wav
  avjepa search library film.mp4 --for audio --k 20
  avjepa search library --clip 17 --for video --json
  avjepa search library photo.jpg --html found.html`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return usageError(errors.New("search takes a library and a file: avjepa search library bark.wav"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 {
				o.file = args[1]
			}
			found, err := runSearch(cmd.Context(), args[0], o, g.progress())
			if err != nil {
				return err
			}
			return showSearch(cmd.OutOrStdout(), found, g.json)
		},
	}
	f := c.Flags()
	f.StringVar(&o.in, "for", "", "audio: what sounds like it; video: what looks like it; both")
	f.IntVar(&o.k, "k", 10, "clips to find")
	f.Int64Var(&o.clip, "clip", 0, "ID of a clip of the library, instead of a file")
	f.StringVar(&o.model, "model", "", "run or checkpoint, if it is no longer where the library was made with it")
	f.StringVar(&o.html, "html", "", "also write one HTML page with pictures, which needs no other file")
	f.Float64Var(&o.encode.maxSeconds, "max-seconds", 60, "longest file that is read")
	engineFlags(f, &o.encode.engine)
	return c
}

// found is the answer to a search.
type found struct {
	Query     string     `json:"query"`
	From      string     `json:"from"` // the modality of the query
	In        string     `json:"in"`   // of the clips
	Words     string     `json:"words"`
	Chance    *float32   `json:"chance,omitempty"` // score that one in twenty random pairs reaches
	Hits      []foundHit `json:"hits"`
	Model     string     `json:"model"`
	Embedding string     `json:"embedding"`
}

type foundHit struct {
	Score      float32  `json:"score"`
	Percentile *float64 `json:"percentile"` // null if the library does not know
	Chance     bool     `json:"no_better_than_chance"`
	Clip       clipJSON `json:"clip"`
}

func (o *searchOptions) check() error {
	switch {
	case (o.file == "") == (o.clip == 0):
		return usageError(errors.New("search takes a file, or --clip with the ID of a clip, and not both"))
	case o.k < 1 || o.k > library.MaxK:
		return usageError(fmt.Errorf("--k %d: must be 1 to %d", o.k, library.MaxK))
	case !(o.encode.maxSeconds > 0 && o.encode.maxSeconds <= 24*3600):
		return usageError(fmt.Errorf("--max-seconds %v: must be above 0 and at most 86400", o.encode.maxSeconds))
	}
	if o.in != "" {
		if _, err := library.ParseModality(o.in); err != nil {
			return usageError(fmt.Errorf("--for %q is none of audio, video, both", o.in))
		}
	}
	return nil
}

func runSearch(ctx context.Context, dir string, o *searchOptions, p *progress) (*found, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	l, err := openToSearch(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	model, ok := l.Model()
	if !ok {
		return nil, fmt.Errorf("%s is empty: avjepa index MODEL FILES... --library %s", dir, shellWord(dir))
	}
	f := &found{Model: model.ID, Embedding: model.Embedding}
	q := library.Query{K: o.k}
	if o.file != "" {
		err = o.fromFile(ctx, f, &q, &model)
	} else {
		err = o.fromClip(ctx, l, f, &q)
	}
	if err != nil {
		return nil, err
	}
	f.From, f.In, f.Words = q.From.String(), q.In.String(), inWords(q.From, q.In)
	hits, err := l.Search(ctx, q)
	if err != nil {
		return nil, remoteError(dir, err)
	}
	if n := l.Null(q.From, q.In); n != nil {
		line := n.Chance()
		f.Chance = &line
	}
	f.Hits = []foundHit{}
	var clips []library.Clip
	for _, h := range hits {
		c, err := l.Clip(ctx, h.ID)
		if errors.Is(err, library.ErrNoClip) { // removed meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		hit := foundHit{Score: h.Score, Chance: h.Chance, Clip: clipOf(&c)}
		if h.Percentile >= 0 {
			hit.Percentile = &h.Percentile
		}
		f.Hits, clips = append(f.Hits, hit), append(clips, c)
	}
	if o.html != "" {
		return f, writeSearchPage(ctx, o.html, f, clips, o.file, p)
	}
	return f, nil
}

// fromFile sets the query to a file.
func (o *searchOptions) fromFile(ctx context.Context, f *found, q *library.Query, m *library.Model) error {
	path := m.Path
	if o.model != "" {
		path = o.model
	}
	if m.Set != "" {
		o.encode.set = strings.Split(m.Set, "\n")
	}
	x, err := o.encode.openEncoder(path)
	if err != nil {
		return fmt.Errorf("the model of the library: %w (--model says where it is now)", err)
	}
	defer x.close()
	if x.ID() != m.ID {
		return kind{fmt.Errorf("%s is not the model that the library was made with (%s, not %s): index again with "+
			"it, or --model PATH", path, x.ID(), m.ID), errCheckpoint}
	}
	f.Query = o.file
	em := o.encode.with(x)
	em.Name, em.Read.Windows = m.Embedding, m.Windows
	em.Read.Stride = secondsOf(m.Stride)
	clip, err := x.ReadFile(ctx, x.tools, o.file, em.Read)
	if err != nil {
		return unreadable(o.file, err)
	}
	has := library.Modality(clip.Modality())
	if clip.Outcome == media.Silent {
		has &= library.Video
	}
	if err := o.direct(q, has, o.file); err != nil {
		return err
	}
	v, err := x.Embed(ctx, clip.Windows, encoder.Modality(q.From))
	if err != nil {
		return err
	}
	picked, err := v.Mean().Pick(m.Embedding)
	q.Vector = picked.Data
	return err
}

// fromClip sets the query to a clip of the library.
func (o *searchOptions) fromClip(ctx context.Context, l *library.Library, f *found, q *library.Query) error {
	c, err := l.Clip(ctx, o.clip)
	if err != nil {
		return usageError(fmt.Errorf("--clip %d: %w: avjepa library ls %s lists the IDs", o.clip, err,
			shellWord(l.Dir())))
	}
	f.Query = c.Key
	q.Exclude = []int64{c.ID}
	var has library.Modality
	if c.HasAudio && !c.Silent {
		has |= library.Audio
	}
	if c.HasVideo {
		has |= library.Video
	}
	if err := o.direct(q, has, c.Key); err != nil {
		return err
	}
	q.Vector, err = l.Vector(ctx, c.ID, q.From)
	return remoteError(l.Dir(), err)
}

// direct chooses the direction: --for, or what suits what the query has. A sound is compared
// with pictures, and pictures with sounds, rather than with their own kind.
func (o *searchOptions) direct(q *library.Query, has library.Modality, name string) error {
	if has == 0 {
		return fmt.Errorf("%s has neither a picture nor a sound that is not silent", name)
	}
	if o.in == "" {
		q.From = has
		q.In = map[library.Modality]library.Modality{library.Audio: library.Video, library.Video: library.Audio,
			library.Both: library.Both}[has]
		return nil
	}
	q.In, _ = library.ParseModality(o.in)
	switch other := library.Both &^ q.In; {
	case q.In != library.Both && has&other != 0:
		q.From = other
	default:
		q.From = has & q.In
		if q.From == 0 {
			q.From = has
		}
	}
	return nil
}

// inWords says what a direction finds.
func inWords(from, in library.Modality) string {
	words := map[[2]library.Modality]string{
		{library.Audio, library.Video}: "clips that look like this sounds",
		{library.Video, library.Audio}: "clips that sound like this looks",
		{library.Both, library.Both}:   "clips that are alike in sound and picture",
		{library.Audio, library.Audio}: "clips that sound alike",
		{library.Video, library.Video}: "clips that look alike",
		{library.Audio, library.Both}:  "clips that go, heard and seen, with this sound",
		{library.Video, library.Both}:  "clips that go, heard and seen, with this picture",
	}[[2]library.Modality{from, in}]
	if words == "" {
		words = fmt.Sprintf("clips whose %v is like this %v", in, from)
	}
	return words
}

// chanceLine is the line above results that are no better than chance.
const chanceLine = "below here: no better than 1 in 20 random pairs"

func showSearch(out io.Writer, f *found, asJSON bool) error {
	if asJSON {
		return writeJSON(out, f)
	}
	fmt.Fprintf(out, "%s: %s\n", f.Query, f.Words)
	if len(f.Hits) == 0 {
		fmt.Fprintf(out, "none: no other clip of the library has %s\n", f.In)
		return nil
	}
	rows := [][]string{{"", "score", "% of pairs below", "id", "clip", "labels"}}
	above := 0
	for i, h := range f.Hits {
		percentile := "?"
		if h.Percentile != nil {
			percentile = fmt.Sprintf("%.1f", *h.Percentile)
		}
		if !h.Chance {
			above = i + 1
		}
		rows = append(rows, []string{fmt.Sprint(i + 1), fmt.Sprintf("%.3f", h.Score), percentile,
			fmt.Sprint(h.Clip.ID), h.Clip.shortName(36), strings.Join(h.Clip.Labels, ", ")})
	}
	var b strings.Builder
	table(&b, "rrrrll", rows)
	for i, line := range strings.SplitAfter(b.String(), "\n") {
		if i == above+1 && above < len(f.Hits) && f.Chance != nil {
			fmt.Fprintf(out, "── %s (%.3f) ──\n", chanceLine, *f.Chance)
		}
		io.WriteString(out, line)
	}
	return nil
}
