package main

import (
	"fmt"
	"io"
	"strings"

	"avjepa/internal/finetune"
)

// finetuneSummary is how a supervised run ended: finetune.json.
type finetuneSummary struct {
	Run         string                `json:"run"`
	Steps       int                   `json:"steps"`
	Epochs      int                   `json:"epochs"`
	Clips       int                   `json:"clips"`      // trained on
	Validated   int                   `json:"validation"` // judged by
	Classes     int                   `json:"classes"`
	MultiLabel  bool                  `json:"multi_label"`
	Frozen      bool                  `json:"frozen"`
	Kept        string                `json:"features"` // kept in memory, in a file, or not
	KeptBytes   int64                 `json:"feature_bytes,omitempty"`
	KeepSeconds float64               `json:"feature_seconds,omitempty"`
	Seconds     float64               `json:"seconds"` // of this process
	PeakRSSMB   float64               `json:"peak_rss_mb"`
	Skipped     int                   `json:"skipped"`
	Best        finetune.EpochMetrics `json:"best"`
	Last        finetune.EpochMetrics `json:"last"`
}

func summariseFinetune(dir string, res finetune.Outcome, sets *labelled,
	m finetune.Model) *finetuneSummary {
	return &finetuneSummary{Run: dir, Steps: res.Steps, Epochs: res.Steps / max(res.PerEpoch, 1),
		Clips: sets.train.Len(), Validated: sets.val.Len(), Classes: m.Classes,
		MultiLabel: sets.labels.Multi, Frozen: m.Frozen, Kept: res.Kept, KeptBytes: res.KeptBytes,
		KeepSeconds: res.KeepSeconds, Seconds: res.Seconds, Skipped: len(res.Skipped),
		PeakRSSMB: float64(peakRSSBytes()) / (1 << 20), Best: res.Best, Last: res.Last}
}

// inputTitles are what inputs are called in tables.
var inputTitles = map[string]string{"both": "picture and sound", "audio": "sound alone",
	"video": "picture alone"}

// epochLine says how an epoch went, on the first input.
func epochLine(m finetune.EpochMetrics) string {
	parts := []string{fmt.Sprintf("loss %.3f", m.Loss)}
	for _, s := range m.Scores {
		if s.Input == m.Scores[0].Input {
			parts = append(parts, fmt.Sprintf("%s %s", s.Head, s))
		}
	}
	if m.Best {
		parts = append(parts, "best so far")
	}
	return strings.Join(parts, " · ")
}

func showFinetune(out io.Writer, s *finetuneSummary, asJSON bool) error {
	if asJSON {
		return writeJSON(out, s)
	}
	if s.Best.Epoch == 0 {
		fmt.Fprintf(out, "%s, no epoch yet\n%s\n", amount(s.Steps, "steps"), s.Run)
		return nil
	}
	rows := [][]string{{fmt.Sprintf("best epoch %d, %s", s.Best.Epoch, amount(s.Validated, "clips")), "head",
		"top-1 %", "top-5 %"}}
	align := "llrr"
	if s.MultiLabel {
		rows[0], align = append(rows[0][:2], "mAP %"), "llr"
	}
	share := func(x *float64) string {
		if x == nil {
			return "–"
		}
		return percent(*x)
	}
	for _, x := range s.Best.Scores {
		row := []string{inputTitles[x.Input], x.Head}
		if s.MultiLabel {
			row = append(row, share(x.MAP))
		} else {
			row = append(row, share(x.Top1), share(x.Top5))
		}
		rows = append(rows, row)
	}
	table(out, align, rows)
	fmt.Fprintf(out, "\n%s, %s in %s: %s, %s", amount(s.Steps, "steps"), amount(s.Epochs, "epochs"),
		spanOf(s.Seconds), amount(s.Clips, "clips"), amount(s.Classes, "classes"))
	if s.KeptBytes > 0 {
		fmt.Fprintf(out, "; features made in %s, %d MB in %s", spanOf(s.KeepSeconds), s.KeptBytes>>20,
			map[string]string{finetune.KeptMemory: "memory", finetune.KeptFile: "a file"}[s.Kept])
	}
	fmt.Fprintf(out, "\n%s\n\nNext: avjepa evaluate %s\n", s.Run, s.Run)
	return nil
}
