package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"avjepa/internal/indexing"
	"avjepa/internal/library"
	"avjepa/internal/weaviate"
)

// indexOptions are the flags of index.
type indexOptions struct {
	encode  encodeOptions
	library string
	remote  string
	center  bool
	prune   bool
	retry   bool
}

func newIndexCommand(g *globals) *cobra.Command {
	o := &indexOptions{}
	c := &cobra.Command{
		Use:   "index MODEL [FILES...]",
		Short: "Put files or a data set into a library, to be searched",
		Long: `Embeds videos, sounds and pictures and keeps them in a library: a folder with one
SQLite file. Files that have not changed are passed over, those that cannot be used are
noted with the reason, and those that are nearly the same are flagged. Files longer than
--max-seconds are left out, unless --segment cuts them: each part is then a clip of its own,
found as film.mp4#t=10,20 (seconds), and --prune removes parts of another length. Interrupted
or killed, the same command goes on where it was.`,
		Example: `  avjepa index runs/mine videos/ sounds/ --library library
  avjepa index runs/mine --data data/mine --library library
  avjepa index runs/mine films/ --library library --segment 10s
  avjepa index runs/mine videos/ --library library --prune
  avjepa index runs/mine videos/ --library big --remote http://127.0.0.1:8080`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError(errors.New("index needs a model: avjepa index runs/mine videos/ --library library"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			p := g.progress()
			sum, err := runIndex(cmd.Context(), args[0], args[1:], o, p)
			p.wait()
			if err != nil {
				return err
			}
			if err := showIndex(cmd.OutOrStdout(), o.library, sum, g.json); err != nil {
				return err
			}
			return leftOutError(sum.LeftOut, ": avjepa library ls "+shellWord(o.library)+" --left-out")
		},
	}
	f := c.Flags()
	f.StringVar(&o.library, "library", "library", "folder of the library; made if it is not there")
	f.StringVar(&o.remote, "remote", "",
		"keep the vectors in the Weaviate server at this URL; a library keeps the one it has. "+
			"AVJEPA_WEAVIATE_KEY is its key")
	f.BoolVar(&o.center, "center", false, "subtract each modality's mean before vectors are compared")
	f.BoolVar(&o.prune, "prune", false, "remove clips whose file, or clip of --data, is no longer there")
	f.BoolVar(&o.retry, "retry", false, "try again what was left out")
	o.encode.addFlags(f)
	return c
}

func runIndex(ctx context.Context, path string, sources []string, o *indexOptions, p *progress) (
	sum indexing.Summary, err error) {

	if o.center && o.remote != "" {
		return sum, usageError(errors.New("--center and --remote: a server compares vectors as they are; " +
			"give one of them"))
	}
	x, err := o.encode.begin(ctx, "index", path, sources, p)
	if err != nil {
		return sum, err
	}
	defer x.close()
	items := x.items
	cfg := indexing.Config{Embedding: x.with, Items: items, Retry: o.retry, Prune: o.prune}
	model := cfg.Embedding.ModelOf()
	model.Center, model.Set = o.center, strings.Join(o.encode.set, "\n")
	if cfg.Library, err = o.openLibrary(ctx, &model); err != nil {
		return sum, err
	}
	defer func() { err = errors.Join(err, cfg.Library.Close()) }()
	st := p.stageThat(ctx, "index", int64(len(items)), "clips", func(n int64) string {
		return fmt.Sprintf("keeping %d clips", n)
	})
	began, before := time.Now(), -1
	cfg.Progress = func(r indexing.Progress) {
		if before < 0 {
			before = r.Done
			st.from(int64(before))
		}
		note := ""
		if r.Done > before {
			note = fmt.Sprintf("%.1f clips/s", float64(r.Done-before)/max(time.Since(began).Seconds(), 1e-3))
		}
		if r.LeftOut > 0 {
			note += fmt.Sprintf(" · %d left out", r.LeftOut)
		}
		st.set(int64(r.Done), int64(r.Items), strings.TrimPrefix(note, " · "))
	}
	sum, err = indexing.Run(ctx, cfg)
	st.endWith(err)
	if errors.Is(err, context.Canceled) {
		return sum, sameAgain(errInterrupted)
	}
	if errors.Is(err, weaviate.ErrAway) {
		err = fmt.Errorf("%w: what was kept until now stays; the same command goes on once it is back", err)
	}
	err = remoteError(o.library, err)
	var left []leftEmbed
	for _, l := range sum.Why {
		left = append(left, leftEmbed{l.Key, l.Outcome, l.Reason})
	}
	sayLeftOut(p, left)
	o.encode.sayTooLong(p, left)
	return sum, err
}

// openLibrary opens the library for writing, or makes it, with model in use and the server that
// keeps its vectors, which it notes in model.
func (o *indexOptions) openLibrary(ctx context.Context, model *library.Model) (*library.Library, error) {
	var err error
	if model.Remote, err = o.collections(ctx, model); err != nil {
		return nil, err
	}
	vectors, opts, err := openVectors(ctx, model, weaviate.Config{})
	if err != nil {
		return nil, remoteError(o.library, err)
	}
	l, err := library.Open(ctx, o.library, opts)
	if errors.Is(err, library.ErrNotLibrary) {
		if _, statErr := os.Stat(filepath.Join(o.library, "library.db")); errors.Is(statErr, os.ErrNotExist) {
			l, err = library.Create(ctx, o.library, opts)
		}
	}
	if err != nil {
		return nil, err
	}
	if err = useModel(ctx, l, model, vectors); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// collections returns where the vectors of a model are to be: where the library has them on
// that server, or in collections of a new name; without --remote where the library has them,
// empty for its own file. Two models never share collections: vectors of one would stand for
// clips of the other.
func (o *indexOptions) collections(ctx context.Context, model *library.Model) (string, error) {
	at := ""
	if o.remote != "" {
		var err error
		if at, err = weaviate.NewLocation(o.remote); err != nil {
			return "", usageError(fmt.Errorf("--remote: %w", err))
		}
	}
	l, err := library.Open(ctx, o.library, library.Options{})
	if err != nil {
		return at, nil // there is none, or opening it to write will say why
	}
	defer l.Close()
	models, err := l.Models(ctx)
	if err != nil {
		return "", err
	}
	for _, m := range models {
		switch {
		case m.ID == model.ID && m.Dims == model.Dims && (o.remote == "" ||
			strings.HasPrefix(m.Remote, strings.TrimRight(o.remote, "/")+"/")):
			return m.Remote, nil
		case m.ID != model.ID && at != "" && m.Remote == at:
			return "", usageError(fmt.Errorf("--remote: %s has the vectors of another model, %s: give "+
				"another name behind the address, or none", at, m.Path))
		}
	}
	return at, nil
}

func showIndex(out io.Writer, dir string, sum indexing.Summary, asJSON bool) error {
	if asJSON {
		return writeJSON(out, sum)
	}
	rows := [][]string{{"library " + dir, "clips"}, {"added", fmt.Sprint(sum.Added)},
		{"unchanged", fmt.Sprint(sum.Unchanged)}, {"left out", fmt.Sprint(sum.LeftOut)}}
	if sum.Removed > 0 {
		rows = append(rows, []string{"removed", fmt.Sprint(sum.Removed)})
	}
	table(out, "lr", rows)
	_, err := fmt.Fprintf(out, "\navjepa search %s FILE finds what goes with a file\n", shellWord(dir))
	return err
}
