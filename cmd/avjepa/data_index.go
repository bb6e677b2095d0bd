package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"avjepa/internal/dataset"
)

// dataIndexOptions are the flags of data index.
type dataIndexOptions struct {
	workers int
	limit   int
}

func newDataIndexCommand(g *globals) *cobra.Command {
	o := &dataIndexOptions{}
	c := &cobra.Command{
		Use:   "index DATA",
		Short: "Make a data set's index again from its shards",
		Long: `Writes index.jsonl and duplicates.csv from shard-*.tar alone: for a data set that lost
its index, or WebDataset shards of this layout that another program wrote. What is no
whole clip is skipped and listed; the command ends with 3 then.`,
		Example: "  avjepa data index data/mine\n  avjepa data index data/theirs --json",
		Args:    takes("DATA"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p := g.progress()
			r, err := runDataIndex(cmd.Context(), args[0], o, p)
			p.wait()
			return showRebuilt(cmd.OutOrStdout(), args[0], o, r, err, g.json)
		},
	}
	f := c.Flags()
	f.IntVar(&o.workers, "workers", 0, "shards read at a time, 0 for one per core")
	f.IntVar(&o.limit, "limit", listLimit, "skipped records to list, 0 for all; --json has all")
	return c
}

func runDataIndex(ctx context.Context, dir string, o *dataIndexOptions, p *progress) (
	dataset.Rebuilt, error) {

	if o.workers < 0 || o.limit < 0 {
		return dataset.Rebuilt{}, usageError(fmt.Errorf(
			"--workers %d, --limit %d: must not be negative", o.workers, o.limit))
	}
	bar := p.byteStage(ctx, "index")
	if err := needsFolder("data index", dir); err != nil {
		return dataset.Rebuilt{}, err
	}
	r, err := dataset.Rebuild(ctx, dataset.RebuildConfig{Dir: dir, Workers: o.workers,
		Progress: func(done, total int64) { bar.set(done, total, "") }})
	bar.end(err)
	if errors.Is(err, context.Canceled) {
		err = errInterrupted
	}
	return r, err
}

// rebuiltJSON is what data index --json prints.
type rebuiltJSON struct {
	Data    string            `json:"data"`
	Clips   int               `json:"clips"`
	Shards  int               `json:"shards"`
	Bytes   int64             `json:"bytes"`
	Skipped []dataset.Skipped `json:"skipped"`
	More    int               `json:"more_skipped"`
}

func showRebuilt(out io.Writer, dir string, o *dataIndexOptions, r dataset.Rebuilt, err error,
	asJSON bool) error {

	if err != nil && !errors.Is(err, dataset.ErrNoClips) {
		return err
	}
	skipped := len(r.Skipped) + r.More
	if err == nil && skipped > 0 {
		err = kind{fmt.Errorf("done, without %d records of %s that are no whole clips", skipped, dir),
			errPartial}
	}
	if asJSON {
		return errors.Join(writeJSON(out, rebuiltJSON{dir, r.Clips, r.Shards, r.Bytes,
			append([]dataset.Skipped{}, r.Skipped...), r.More}), err)
	}
	shown := r.Skipped
	if o.limit > 0 && len(shown) > o.limit {
		shown = shown[:o.limit]
	}
	if len(shown) > 0 {
		rows := [][]string{{"file", "byte", "clip", "why"}}
		for _, s := range shown {
			rows = append(rows, []string{s.File, fmt.Sprint(s.Offset), clip(s.Key, 30), clip(s.Reason, 100)})
		}
		table(out, "lrll", rows)
		if n := skipped - len(shown); n > 0 {
			fmt.Fprintf(out, "… and %d more (--limit 0, --json)\n", n)
		}
		fmt.Fprintln(out)
	}
	fmt.Fprintf(out, "%s in %s, %.1f MB\n", amount(r.Clips, "clips"), amount(r.Shards, "shards"), float64(r.Bytes)/1e6)
	if r.Clips > 0 {
		fmt.Fprintf(out, "\nNext: avjepa data ls %s\n", shellWord(dir))
	}
	return err
}
