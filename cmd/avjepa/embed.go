package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"avjepa/internal/encoder"
	"avjepa/internal/indexing"
	"avjepa/internal/store"
	"avjepa/internal/vectorfile"
)

// embedOptions are the flags of embed.
type embedOptions struct {
	encode     encodeOptions
	out        string
	modalities []string
	average    bool
	fresh      bool
}

func newEmbedCommand(g *globals) *cobra.Command {
	o := &embedOptions{}
	c := &cobra.Command{
		Use:   "embed MODEL [FILES...]",
		Short: "Embeddings of files or of a data set, as Parquet, NumPy or JSON lines",
		Long: `Embeds videos, sounds and pictures, each heard only, seen only and both at once, as
far as it has sound and picture, and writes a row for every window and modality. MODEL is
a run folder or a checkpoint file. Files that cannot be used are listed and passed over;
those longer than --max-seconds are such, unless --segment cuts them into clips.
Interrupted or killed, the same command goes on where it was and writes the same file.`,
		Example: `  avjepa embed runs/mine videos/ --out clips.parquet
  avjepa embed runs/mine sounds/ --modality audio --stride 500ms --out sounds.npy
  avjepa embed runs/mine --data data/mine --split val --embedding cls --out val.jsonl`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError(errors.New("embed needs a model: avjepa embed runs/mine videos/ --out clips.parquet"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			p := g.progress()
			sum, err := runEmbed(cmd.Context(), args[0], args[1:], o, p)
			p.wait()
			if err != nil {
				return err
			}
			return errors.Join(showEmbed(cmd.OutOrStdout(), &sum, g.json), leftOutError(len(sum.LeftOut), ""))
		},
	}
	f := c.Flags()
	f.StringVar(&o.out, "out", "", "file to write: .parquet, .npy (with a .csv beside) or .jsonl")
	f.StringSliceVar(&o.modalities, "modality", []string{"audio", "video", "both"},
		"audio, video or both at once; clips that lack it have no such row")
	f.BoolVar(&o.average, "average", false, "a row for a clip instead of every window: their mean")
	f.BoolVar(&o.fresh, "fresh", false, "begin anew, and replace the file if it is there")
	o.encode.addFlags(f)
	return c
}

// embedSummary is what embed --json prints.
type embedSummary struct {
	Out       string      `json:"out"`
	Model     string      `json:"model"`
	Embedding string      `json:"embedding"`
	Dims      int         `json:"dims"`
	Items     int         `json:"items"`
	Rows      int         `json:"rows"`
	LeftOut   []leftEmbed `json:"left_out"`
}

type leftEmbed struct {
	Name    string `json:"name"`
	Outcome string `json:"outcome"`
	Reason  string `json:"reason"`
}

// modalitiesOf reads --modality.
func modalitiesOf(names []string) ([]encoder.Modality, error) {
	var all encoder.Modality
	var out []encoder.Modality
	for _, m := range []encoder.Modality{encoder.Audio, encoder.Video, encoder.Both} {
		for _, n := range names {
			if n == m.String() {
				out = append(out, m)
				all |= m
				break
			}
		}
	}
	for _, n := range names {
		if n != "audio" && n != "video" && n != "both" {
			return nil, usageError(fmt.Errorf("--modality %q is none of audio, video, both", n))
		}
	}
	if all == 0 {
		return nil, usageError(errors.New("--modality: at least one of audio, video, both"))
	}
	return out, nil
}

func (o *embedOptions) check() error {
	if o.out == "" {
		return usageError(errors.New("--out is missing: the file to write, such as clips.parquet"))
	}
	if err := vectorfile.Check(o.out); err != nil {
		return usageError(fmt.Errorf("--out %w", err))
	}
	if _, err := modalitiesOf(o.modalities); err != nil {
		return err
	}
	if !o.fresh {
		for _, f := range vectorfile.Files(o.out) {
			if _, err := os.Lstat(f); err == nil {
				return usageError(fmt.Errorf("%s is there already: --fresh replaces it", f))
			}
		}
	}
	return nil
}

func runEmbed(ctx context.Context, path string, sources []string, o *embedOptions, p *progress) (
	sum embedSummary, err error) {

	if err := o.check(); err != nil {
		return sum, err
	}
	x, err := o.encode.begin(ctx, "embed", path, sources, p)
	if err != nil {
		return sum, err
	}
	defer x.close()
	em, items := x.with, x.items
	em.Modalities, _ = modalitiesOf(o.modalities)
	sum = embedSummary{Out: o.out, Model: x.ID(), Embedding: em.Name, Dims: em.Dims(), Items: len(items),
		LeftOut: []leftEmbed{}}
	work := o.out + ".work"
	if o.fresh {
		if err := os.RemoveAll(work); err != nil {
			return sum, err
		}
	}
	parts, err := vectorfile.OpenParts(work, o.settings(&em, items))
	if errors.Is(err, vectorfile.ErrOtherParts) {
		return sum, usageError(fmt.Errorf("%s was begun with another model, other files or other flags: "+
			"--fresh begins anew", work))
	}
	if err != nil {
		return sum, err
	}
	defer parts.Close()
	if err := o.embed(ctx, &em, items, parts, p); err != nil {
		return sum, err
	}
	err = vectorfile.Write(o.out, sum.Dims, func(add func(*vectorfile.Row) error) error {
		err := parts.Each(func(r *vectorfile.Row) error {
			sum.Rows++
			return add(r)
		}, func(l vectorfile.Left) {
			sum.LeftOut = append(sum.LeftOut, leftEmbed{l.Name, l.Outcome, l.Reason})
		})
		if err == nil && sum.Rows == 0 {
			return errNoRows
		}
		return err
	})
	if err == nil || errors.Is(err, errNoRows) {
		sayLeftOut(p, sum.LeftOut)
		o.encode.sayTooLong(p, sum.LeftOut)
		err = errors.Join(err, parts.Remove())
	}
	if errors.Is(err, errNoRows) {
		err = fmt.Errorf("%s was not written: none of %s can be used with --modality %s; what has sound alone "+
			"takes audio, what has a picture alone video", o.out, amount(len(items), "sources"),
			strings.Join(o.modalities, ","))
	}
	return sum, err
}

// errNoRows ends the writing of a file that would have no row.
var errNoRows = errors.New("no row")

// settings is all that the rows depend on.
func (o *embedOptions) settings(em *indexing.Embedding, items []indexing.Item) string {
	h := sha256.New()
	for i := range items {
		it := &items[i]
		fmt.Fprintf(h, "%q %q %d %d %q %q %q\n", it.Data, it.Key, it.Bytes, it.Modified.UnixNano(), it.Hash,
			it.Labels, it.Split)
	}
	return fmt.Sprintf("model %s %s\nwindows %d stride %v average %v modalities %v max-seconds %v\n"+
		"items %d %x\n", em.Encoder.ID(), em.Name, em.Read.Windows, em.Read.Stride, o.average, em.Modalities,
		em.Read.MaxSeconds, len(items), h.Sum(nil))
}

// embed makes the parts that are missing.
func (o *embedOptions) embed(ctx context.Context, em *indexing.Embedding, items []indexing.Item,
	parts *vectorfile.Parts, p *progress) error {
	st := p.stageThat(ctx, "embed", int64(len(items)), "clips", func(n int64) string {
		return fmt.Sprintf("keeping the embeddings of %d clips", n)
	})
	first := parts.Next()
	st.from(int64(first))
	began, left := time.Now(), 0
	err := em.Each(ctx, items, first, func(at int, results []indexing.Result) error {
		var rows []vectorfile.Row
		var out []vectorfile.Left
		for i := range results {
			if r := &results[i]; r.Err != nil {
				out = append(out, vectorfile.Left{Name: r.Item.Key, Outcome: string(r.Err.Outcome),
					Reason: r.Err.Reason})
			} else if of := o.rows(em, r); len(of) > 0 {
				rows = append(rows, of...)
			} else {
				out = append(out, vectorfile.Left{Name: r.Item.Key, Outcome: string(r.Outcome),
					Reason: "it lacks what --modality " + strings.Join(o.modalities, ",") + " asks for"})
			}
		}
		left += len(out)
		done := at + len(results)
		note := fmt.Sprintf("%.1f clips/s", float64(done-first)/max(time.Since(began).Seconds(), 1e-3))
		if left > 0 {
			note += fmt.Sprintf(" · %d left out", left)
		}
		st.set(int64(done), int64(len(items)), note)
		return parts.Add(len(results), rows, out)
	})
	st.endWith(err)
	if errors.Is(err, context.Canceled) {
		return sameAgain(errInterrupted)
	}
	return err
}

// rows are those of a clip.
func (o *embedOptions) rows(em *indexing.Embedding, r *indexing.Result) []vectorfile.Row {
	row := vectorfile.Row{Key: r.Item.Name, Path: r.Item.Path(), Start: r.Item.Start, Labels: r.Item.Labels, Split: r.Item.Split,
		Model: em.Encoder.ID()}
	if r.Item.Data != "" {
		row.Path = r.Item.Data
	}
	if len(row.Labels) > 0 {
		row.Label = row.Labels[0]
	}
	var all []vectorfile.Row
	for _, m := range em.Modalities {
		row.Modality = m.String()
		if o.average {
			if row.Vector = r.Mean(m); row.Vector != nil {
				all = append(all, row)
			}
			continue
		}
		for i, v := range r.Vectors[m] {
			row.Start, row.Vector = r.Item.Start+r.Starts[i].Seconds(), v
			all = append(all, row)
		}
		row.Start = r.Item.Start
	}
	return all
}

// sayLeftOut lists sources that could not be used, the first few of many.
func sayLeftOut(p *progress, left []leftEmbed) {
	const most = 10
	for i, l := range left {
		if i == most {
			p.say("… and %d more", len(left)-most)
			return
		}
		p.say("left out: %s: %s: %s", l.Name, l.Outcome, l.Reason)
	}
}

func showEmbed(out io.Writer, sum *embedSummary, asJSON bool) error {
	if asJSON {
		return writeJSON(out, sum)
	}
	_, err := fmt.Fprintf(out, "%s: %s of %d numbers, %s, from %s\n", sum.Out, amount(sum.Rows, "rows"),
		sum.Dims, sum.Embedding, amount(sum.Items-len(sum.LeftOut), "sources"))
	return err
}

// absLocation makes a folder absolute, so that what remembers it is found from anywhere.
func absLocation(location string) string {
	if store.IsRemote(location) {
		return location
	}
	if abs, err := filepath.Abs(location); err == nil {
		return abs
	}
	return location
}
