package main

import (
	"fmt"
	"io"

	"avjepa/internal/retrieval"
)

// demoSummary is summary.json and what demo --json prints.
type demoSummary struct {
	Seconds   float64            `json:"seconds"`
	Stages    map[string]float64 `json:"stages"` // seconds each
	Seed      int64              `json:"seed"`
	Run       string             `json:"run"`
	Report    string             `json:"report"`
	Clips     map[string]int     `json:"clips"` // by split
	Retrieval retrieval.Metrics  `json:"retrieval"`
	Shifted   *retrieval.Metrics `json:"shifted,omitempty"` // pictures demoShift later
	Probe     *probeSummary      `json:"probe,omitempty"`
	Pretrain  *pretrainSummary   `json:"pretrain"`
}

func showDemo(out io.Writer, s *demoSummary, asJSON bool) error {
	if asJSON {
		return writeJSON(out, s)
	}
	table(out, "lrrrr", retrievalRows(s.Retrieval))
	if m := s.Shifted; m != nil {
		fmt.Fprintf(out, "with pictures %.2f s later: R@1 %s %% and %s %%\n", demoShift,
			percent(m.A2V.R1), percent(m.V2A.R1))
	}
	if p := s.Probe; p != nil {
		fmt.Fprintln(out)
		chance := percent(1 / float64(p.Classes))
		table(out, "lrr", [][]string{{"linear probe", "top-1 %", "chance %"},
			{"sound alone", percent(p.Audio.Top1), chance},
			{"picture alone", percent(p.Video.Top1), chance},
			{"both", percent(p.Both.Top1), chance}})
	}
	if t := s.Pretrain; t != nil {
		fmt.Fprintf(out, "\n%d steps on %d clips: std %.2f, SIGReg %.2f; %.0f GFLOP/s, "+
			"%.1f %% data wait\n",
			t.Steps, t.Clips, t.Last.Std, t.Last.SIGReg, t.GFLOPS, 100*t.WaitShare)
	}
	fmt.Fprintf(out, "%s in all. Look at it: %s\n", spanOf(s.Seconds), s.Report)
	return nil
}
