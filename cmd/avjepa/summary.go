package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"avjepa/internal/train"
)

// pretrainSummary is how a run ended: pretrain.json, and part of the demo's
// summary.json.
type pretrainSummary struct {
	Run        string  `json:"run"`
	Checkpoint string  `json:"checkpoint"`
	Steps      int     `json:"steps"`
	Clips      int     `json:"clips"`
	Seconds    float64 `json:"seconds"`
	ClipsPerS  float64 `json:"clips_per_s"`
	GFLOPS     float64 `json:"gflops"`
	WaitShare  float64 `json:"wait_share"`
	PeakRSSMB  float64 `json:"peak_rss_mb"`
	Skipped    int     `json:"skipped"`

	Last   train.Metrics   `json:"last"`
	Probes *train.ProbeLog `json:"probes,omitempty"` // the last evaluation
}

// summarise describes a run from its log, the steps of earlier processes
// included, and writes that to pretrain.json.
func summarise(run *train.Folder, res train.Result, batchSize, clips int) (
	*pretrainSummary, error) {

	log, err := train.ReadMetrics(run.Dir)
	if err != nil {
		return nil, err
	}
	t := sumUp(log)
	sum := &pretrainSummary{Run: run.Dir, Checkpoint: res.Checkpoint, Steps: res.Steps, Clips: clips,
		Seconds: t.seconds, GFLOPS: t.gflops, WaitShare: t.waitShare, Skipped: len(res.Skipped),
		PeakRSSMB: float64(peakRSSBytes()) / (1 << 20)}
	if res.First > 0 { // an earlier process took steps too, and perhaps more memory
		sum.PeakRSSMB = max(sum.PeakRSSMB, earlierPeakMB(run.Dir))
	}
	if len(log) > 0 {
		sum.ClipsPerS = float64(len(log)*batchSize) / t.seconds
		sum.Last = log[len(log)-1]
	}
	probes, err := train.ReadProbes(run.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if n := len(probes); n > 0 {
		sum.Probes = &probes[n-1]
	}
	return sum, run.WriteJSON("pretrain.json", sum)
}

// earlierPeakMB returns the peak that pretrain.json remembers, 0 without one.
func earlierPeakMB(dir string) float64 {
	var old pretrainSummary
	text, err := os.ReadFile(filepath.Join(dir, "pretrain.json"))
	if err != nil || json.Unmarshal(text, &old) != nil {
		return 0
	}
	return old.PeakRSSMB
}

// totals are sums and means over the steps of a log.
type totals struct {
	seconds   float64
	gflops    float64 // mean over time
	waitShare float64 // mean over time
}

func sumUp(log []train.Metrics) totals {
	var t totals
	for _, m := range log {
		t.seconds += m.Seconds
		t.gflops += m.Seconds * m.GFLOPS
		t.waitShare += m.Seconds * m.WaitShare
	}
	if t.seconds > 0 {
		t.gflops /= t.seconds
		t.waitShare /= t.seconds
	}
	return t
}

func showPretrain(out io.Writer, s *pretrainSummary, asJSON bool) error {
	if asJSON {
		return writeJSON(out, s)
	}
	fmt.Fprintf(out, "%s in %s: loss %.4f, invariance %.4f, SIGReg %.3f, std %.3f\n",
		amount(s.Steps, "steps"), spanOf(s.Seconds),
		s.Last.Total, s.Last.Invariance, s.Last.SIGReg, s.Last.Std)
	fmt.Fprintf(out, "%.0f clips/s, %.0f GFLOP/s, %.1f %% of the time waiting for data, "+
		"%.0f MB at most\n",
		s.ClipsPerS, s.GFLOPS, 100*s.WaitShare, s.PeakRSSMB)
	if s.Probes != nil {
		fmt.Fprintln(out, probeSentence(s.Probes))
	}
	if s.Checkpoint != "" {
		fmt.Fprintf(out, "%s\n\nNext: avjepa report %s\n", s.Checkpoint, s.Run)
	}
	return nil
}
