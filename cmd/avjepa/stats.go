package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"avjepa/internal/checkpoint"
	"avjepa/internal/config"
)

func newStatsCommand(g *globals) *cobra.Command {
	var split string
	var bands, limit int
	c := &cobra.Command{
		Use:   "stats DATA",
		Short: "Mean and standard deviation of the log-mel of a data set",
		Long: `Computes view.mel_mean and view.mel_std in dB and keeps them in the data set's
stats.json, where pretrain finds them.`,
		Example: "  avjepa stats data/mine\n  avjepa stats data/mine --mel-bands 64 --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p := g.progress()
			s, err := runStats(cmd.Context(), args[0], split, bands, limit, p)
			p.wait()
			if err != nil {
				return err
			}
			if g.json {
				return writeJSON(cmd.OutOrStdout(), s)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "view.mel_mean = %.6f\nview.mel_std = %.6f\n(dB, %d bands, %d clips; kept in %s)\n",
				s.Mean, s.Std, s.Bands, s.Clips, filepath.Join(args[0], statsName))
			return nil
		},
	}
	c.Flags().StringVar(&split, "split", "", "split to use; empty for all clips")
	c.Flags().IntVar(&bands, "mel-bands", 128, "mel bands")
	c.Flags().IntVar(&limit, "limit", 0, "clips to use, evenly spaced; 0 for all")
	return c
}

func runStats(ctx context.Context, dir, split string, bands, limit int, p *progress) (melStats, error) {
	c := config.New()
	c.View.MelBands, c.Data.CacheMB = bands, 0
	set, err := openSplit(dir, split)
	if err != nil {
		return melStats{}, err
	}
	clips, err := newClips(c, set)
	if err != nil {
		return melStats{}, err
	}
	st := p.stage("statistics", int64(set.Len()), "clips")
	s, err := measureStats(ctx, clips, limit, func(n, total int) { st.set(int64(n), int64(total), "") })
	if err != nil {
		st.stop()
		return s, err
	}
	st.done()
	return s, writeStats(dir, s)
}

func writeStats(dir string, s melStats) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return checkpoint.WriteFileAtomic(filepath.Join(dir, statsName), func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
}
