package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"avjepa/internal/config"
	"avjepa/internal/dataset"
	"avjepa/internal/loader"
	"avjepa/internal/store"
	"avjepa/internal/view"
)

// statsOptions are the flags of stats.
type statsOptions struct {
	split string
	bands int
	limit int
}

func newDataStatsCommand(g *globals) *cobra.Command {
	o := &statsOptions{}
	c := &cobra.Command{
		Use:   "stats DATA",
		Short: "Mean and standard deviation of the log-mel of a data set",
		Long: `Computes view.mel_mean and view.mel_std in dB and keeps them in the data set's
stats.json, where pretrain finds them.`,
		Example: "  avjepa data stats data/mine\n  avjepa data stats data/mine --mel-bands 64 --json",
		Args:    takes("DATA"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p := g.progress()
			s, err := runStats(cmd.Context(), args[0], o, p)
			p.wait()
			if err != nil {
				return err
			}
			return showStats(cmd.OutOrStdout(), args[0], s, g.json)
		},
	}
	f := c.Flags()
	f.StringVar(&o.split, "split", "", "split to use; empty for all clips")
	f.IntVar(&o.bands, "mel-bands", config.New().View.MelBands, "mel bands")
	f.IntVar(&o.limit, "limit", 0, "clips to use, evenly spaced; 0 for all")
	return c
}

func runStats(ctx context.Context, dir string, o *statsOptions, p *progress) (melStats, error) {
	c := config.New()
	c.Data.Dir, c.View.MelBands = dir, o.bands
	set, err := openSplit(ctx, dir, o.split, p)
	if err != nil {
		return melStats{}, err
	}
	return measureStats(ctx, c, set, o.limit, p)
}

func showStats(out io.Writer, dir string, s melStats, asJSON bool) error {
	if asJSON {
		return writeJSON(out, s)
	}
	_, err := fmt.Fprintf(out, "view.mel_mean = %.6f\nview.mel_std = %.6f\n"+
		"(dB, %d bands, %d clips; kept in %s)\n",
		s.Mean, s.Std, s.Bands, s.Clips, inSet(dir, statsName))
	return err
}

// melStats is what stats.json of a data set holds.
type melStats struct {
	Bands int     `json:"mel_bands"`
	Clips int     `json:"clips"`
	Mean  float64 `json:"mel_mean"` // dB
	Std   float64 `json:"mel_std"`  // dB
}

const (
	statsName     = "stats.json"
	maxStatsBytes = 4 << 10
)

// readStats returns the statistics kept with a data set, or false.
func readStats(ctx context.Context, dir string, bands int, p *progress) (melStats, bool) {
	var s melStats
	at, err := openStore(ctx, dir, p)
	if err != nil {
		return melStats{}, false
	}
	f, err := at.NewReader(ctx, statsName)
	if err != nil {
		return melStats{}, false
	}
	defer f.Close()
	err = json.NewDecoder(io.LimitReader(f, maxStatsBytes)).Decode(&s)
	if err != nil || s.Bands != bands || !(s.Std > 0) {
		return melStats{}, false
	}
	return s, true
}

// measureStats computes the statistics over at most limit clips (0: all), evenly
// spaced, and keeps them with the data set.
func measureStats(ctx context.Context, c *config.Config, set *dataset.Set, limit int,
	p *progress) (melStats, error) {
	maker, err := view.NewMaker(c.ViewConfig())
	if err != nil {
		return melStats{}, configError(err)
	}
	clips := loader.NewClips(set, maker, 0) // read once: nothing to keep
	n := set.Len()
	total := n
	if limit > 0 {
		total = min(n, limit)
	}
	st := p.stage(ctx, "statistics", int64(total), "clips")
	var s view.Stats
	var first error
	for i := 0; i < total; i++ {
		if ctx.Err() != nil {
			st.stop()
			return melStats{}, context.Cause(ctx)
		}
		if d, err := clips.Get(ctx, i*n/total); err == nil {
			s.Add(maker, d)
		} else if first == nil {
			first = err
		}
		st.set(int64(i+1), int64(total), "")
	}
	if s.Clips == 0 {
		st.stop()
		return melStats{}, fmt.Errorf("none of the %d clips of %s can be read, the first because: %w",
			total, c.Data.Dir, first)
	}
	st.done()
	found := melStats{c.View.MelBands, s.Clips, s.Mean(), s.Std()}
	return found, writeStats(ctx, c.Data.Dir, found, p)
}

// writeStats keeps statistics with the data set, unless that can only be read.
func writeStats(ctx context.Context, dir string, s melStats, p *progress) error {
	at, err := openStore(ctx, dir, p)
	if err != nil {
		return err
	}
	err = at.Write(ctx, statsName, func(w io.Writer) error { return writeJSON(w, s) })
	if errors.Is(err, store.ErrUnsupported) || errors.Is(err, store.ErrPermission) {
		return nil
	}
	return err
}

// statsClips is how many clips are enough for the statistics of a large set.
const statsClips = 1000

// useStats sets mel_mean and mel_std from the data, unless somebody chose them.
func useStats(ctx context.Context, c *config.Config, set *dataset.Set, p *progress) error {
	if c.Origin("view.mel_mean") != "default" || c.Origin("view.mel_std") != "default" {
		return nil
	}
	s, known := readStats(ctx, c.Data.Dir, c.View.MelBands, p)
	if !known {
		var err error
		if s, err = measureStats(ctx, c, set, statsClips, p); err != nil {
			return err
		}
	}
	for key, v := range map[string]float64{"view.mel_mean": s.Mean, "view.mel_std": s.Std} {
		if err := c.Set(key, fmt.Sprintf("%.6f", v), "data "+c.Data.Dir); err != nil {
			return configError(err)
		}
	}
	return nil
}
