package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"avjepa/internal/dataset"
)

// dataVerifyOptions are the flags of data verify.
type dataVerifyOptions struct {
	decode  bool
	workers int
	limit   int
}

func newDataVerifyCommand(g *globals) *cobra.Command {
	o := &dataVerifyOptions{}
	c := &cobra.Command{
		Use:   "verify DATA",
		Short: "Check every byte of a data set",
		Long: `Compares every clip with its checksum, the shards with the index and the index with
the ledger. Ends with 3 when something is wrong, after listing it.`,
		Example: "  avjepa data verify data/mine\n  avjepa data verify data/mine --decode --json",
		Args:    takes("DATA"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p := g.progress()
			v, took, err := runDataVerify(cmd.Context(), args[0], o, p)
			p.wait()
			if err != nil {
				return err
			}
			return showVerified(cmd.OutOrStdout(), args[0], o, v, took, g.json)
		},
	}
	f := c.Flags()
	f.BoolVar(&o.decode, "decode", false, "decode every frame too")
	f.IntVar(&o.workers, "workers", 0, "clips checked at a time, 0 for one per core")
	f.IntVar(&o.limit, "limit", listLimit, "faults to list, 0 for all; --json has all")
	return c
}

func runDataVerify(ctx context.Context, dir string, o *dataVerifyOptions, p *progress) (
	dataset.Verified, time.Duration, error) {

	if o.workers < 0 || o.limit < 0 {
		return dataset.Verified{}, 0, usageError(fmt.Errorf(
			"--workers %d, --limit %d: must not be negative", o.workers, o.limit))
	}
	began := time.Now()
	bar := p.byteStage(ctx, "verify")
	if err := needsFolder("data verify", dir); err != nil {
		return dataset.Verified{}, 0, err
	}
	v, err := dataset.Verify(ctx, dataset.VerifyConfig{Dir: dir, Decode: o.decode, Workers: o.workers,
		Progress: func(done, total int64, broken int) {
			note := ""
			if broken > 0 {
				note = fmt.Sprintf("%d broken", broken)
			}
			bar.set(done, total, note)
		}})
	bar.end(err)
	if errors.Is(err, context.Canceled) {
		err = errInterrupted
	}
	return v, time.Since(began), err
}

// byteStage is a stage that counts MB and says how many a second. It begins with the
// first count: before that the total is not known.
type byteStage struct {
	p     *progress
	ctx   context.Context
	name  string
	began time.Time
	mu    sync.Mutex
	st    *stage
	last  time.Time
}

func (p *progress) byteStage(ctx context.Context, name string) *byteStage {
	return &byteStage{p: p, ctx: ctx, name: name, began: time.Now()}
}

func (b *byteStage) set(done, total int64, note string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.st == nil {
		b.st = b.p.stageThat(b.ctx, b.name, total/1e6, "MB", func(n int64) string {
			return fmt.Sprintf("stopping %s after %d MB", b.name, n)
		})
	}
	if done < total && time.Since(b.last) < 50*time.Millisecond {
		return
	}
	b.last = time.Now()
	rate := fmt.Sprintf("%.0f MB/s", float64(done)/1e6/max(time.Since(b.began).Seconds(), 1e-3))
	if note != "" {
		rate += " · " + note
	}
	b.st.set(done/1e6, total/1e6, rate)
}

func (b *byteStage) end(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.st != nil {
		b.st.endWith(err)
	}
}

// verifiedJSON is what data verify --json prints.
type verifiedJSON struct {
	Data    string          `json:"data"`
	OK      bool            `json:"ok"`
	Clips   int             `json:"clips"`
	Broken  int             `json:"broken"`
	Shards  int             `json:"shards"`
	Bytes   int64           `json:"bytes"`
	Ledger  bool            `json:"ledger"`
	Decoded bool            `json:"decoded"`
	Seconds float64         `json:"seconds"`
	Faults  []dataset.Fault `json:"faults"`
	More    int             `json:"more_faults"`
}

func showVerified(out io.Writer, dir string, o *dataVerifyOptions, v dataset.Verified,
	took time.Duration, asJSON bool) error {

	faults := len(v.Faults) + v.More
	var bad error
	if faults > 0 {
		bad = kind{fmt.Errorf("%s is damaged: %d faults, %d of %d clips broken; what is broken is "+
			"skipped in training, ingest from the sources into another folder mends it",
			dir, faults, v.Broken, v.Clips), errPartial}
	}
	if asJSON {
		return errors.Join(writeJSON(out, verifiedJSON{dir, faults == 0, v.Clips, v.Broken, v.Shards,
			v.Bytes, v.Ledger, o.decode, took.Seconds(), append([]dataset.Fault{}, v.Faults...), v.More}), bad)
	}
	shown := v.Faults
	if o.limit > 0 && len(shown) > o.limit {
		shown = shown[:o.limit]
	}
	if len(shown) > 0 {
		rows := [][]string{{"file", "at", "clip", "problem"}}
		for _, f := range shown {
			rows = append(rows, []string{f.File, fmt.Sprint(f.Offset), clip(f.Key, 30), clip(f.Problem, 100)})
		}
		table(out, "lrll", rows)
		if n := faults - len(shown); n > 0 {
			fmt.Fprintf(out, "… and %d more (--limit 0, --json)\n", n)
		}
		fmt.Fprintln(out)
	}
	good := "all as written"
	if bad != nil {
		good = fmt.Sprintf("%d broken", v.Broken)
	}
	fmt.Fprintf(out, "%s in %s, %.1f MB in %s (%.0f MB/s): %s\n", amount(v.Clips, "clips"), amount(v.Shards, "shards"),
		float64(v.Bytes)/1e6, span(took), float64(v.Bytes)/1e6/max(took.Seconds(), 1e-9), good)
	return bad
}
