package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"avjepa/internal/dataset"
	"avjepa/internal/manifest"
	"avjepa/internal/media"
)

// ingestPlan is what an ingest would find and take: ingest --dry-run.
type ingestPlan struct {
	Clips         int            `json:"clips"` // of the list; a long file gives more than one
	Found         int            `json:"found"` // of these, with a file
	Missing       int            `json:"missing"`
	Classes       int            `json:"classes"`
	Labelled      int            `json:"labelled"` // clips
	LabelsPerClip float64        `json:"labels_per_clip"`
	Splits        map[string]int `json:"splits"` // "" = to be drawn
	Leaks         int            `json:"leaks"`
	BadRows       int            `json:"bad_rows"`
	Bytes         int64          `json:"bytes"` // of the files

	// Measured clips were made into shards to see what that takes; 0 = none could be.
	Measured  int     `json:"measured"`
	DiskBytes int64   `json:"disk_bytes"`
	Seconds   float64 `json:"seconds"`
}

// The clips that are measured, and how long that may take.
const (
	measuredClips = 8
	measureFor    = time.Minute
)

// planIngest looks at the files of a list and tries a few.
func planIngest(ctx context.Context, cfg dataset.IngestConfig, list *manifest.List) (
	*ingestPlan, error) {

	p := &ingestPlan{Clips: len(list.Entries), Classes: len(list.Classes), Splits: map[string]int{},
		Leaks: list.Leaks.Count, BadRows: list.Bad.Count}
	labels := 0
	seen := map[string]bool{}
	var found []manifest.Entry
	for _, e := range list.Entries {
		p.Splits[e.Split]++
		if labels += len(e.Labels); len(e.Labels) > 0 {
			p.Labelled++
		}
		st, err := os.Stat(e.Path)
		if e.Missing != "" || err != nil {
			p.Missing++
			continue
		}
		found = append(found, e)
		if !seen[e.Path] {
			seen[e.Path] = true
			p.Bytes += st.Size()
		}
	}
	p.Found = len(found)
	p.LabelsPerClip = float64(labels) / float64(max(p.Labelled, 1))
	return p, p.measure(ctx, cfg, found)
}

// measure ingests a few clips into a temporary folder and scales what that took to
// all: by their bytes where they are whole files, which may be of any length, else by
// their number.
func (p *ingestPlan) measure(ctx context.Context, cfg dataset.IngestConfig,
	found []manifest.Entry) error {

	if len(found) == 0 || cfg.Decoder == nil {
		return nil
	}
	dir, err := os.MkdirTemp("", "avjepa-ingest-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	n := min(measuredClips, len(found))
	whole := true
	cfg.Entries, cfg.Dir = nil, dir
	for i := range n {
		e := found[i*len(found)/n]
		whole = whole && e.Whole()
		cfg.Entries = append(cfg.Entries, e)
	}
	var last dataset.Progress
	cfg.Progress = func(x dataset.Progress) { last = x }
	limited, cancel := context.WithTimeout(ctx, measureFor)
	defer cancel()
	began := time.Now()
	sum, err := dataset.Ingest(limited, cfg)
	took := time.Since(began).Seconds()
	if err != nil && !errors.Is(err, dataset.ErrNoClips) {
		if ctx.Err() == nil && limited.Err() != nil {
			return nil // too slow to say anything
		}
		return err
	}
	scale := float64(len(found)) / float64(n)
	if whole && last.Bytes > 0 {
		scale = float64(p.Bytes) / float64(last.Bytes)
	}
	p.Measured = n
	p.DiskBytes, p.Seconds = int64(float64(sum.Bytes)*scale), took*scale
	return nil
}

func runIngestPlan(ctx context.Context, o *ingestOptions, out io.Writer, asJSON bool) error {
	list, err := o.lists.read(o.sources)
	if err != nil {
		return err
	}
	cfg := o.config(&list)
	tools, err := media.Find()
	if err == nil {
		cfg.Decoder = tools
	} else if !errors.Is(err, media.ErrNoFFmpeg) {
		return err
	}
	p, err := planIngest(ctx, cfg, &list)
	if err != nil {
		return err
	}
	return showIngestPlan(out, p, &list, asJSON)
}

func showIngestPlan(out io.Writer, p *ingestPlan, list *manifest.List, asJSON bool) error {
	if asJSON {
		return writeJSON(out, p)
	}
	named := map[string]int{}
	for s, n := range p.Splits {
		if s == "" {
			s = "to be drawn"
		}
		named[s] += n
	}
	disk, took := "not measured", "not measured"
	if p.Measured > 0 {
		by := fmt.Sprintf(", as %d clips were measured", p.Measured)
		disk, took = size(p.DiskBytes)+by, spanOf(p.Seconds)+by
	}
	table(out, "ll", [][]string{
		{"clips listed", fmt.Sprint(p.Clips)},
		{"with a file", fmt.Sprintf("%d, %s", p.Found, size(p.Bytes))},
		{"missing", fmt.Sprint(p.Missing)},
		{"classes", fmt.Sprint(p.Classes)},
		{"labels", fmt.Sprintf("%.2f a clip, %d clips without", p.LabelsPerClip, p.Clips-p.Labelled)},
		{"splits", counts(named)},
		{"in several splits", fmt.Sprint(p.Leaks)},
		{"bad rows", fmt.Sprint(p.BadRows)},
		{"disk", disk},
		{"time", took},
	})
	showTally(out, "bad row", list.Bad)
	showTally(out, "in several splits", list.Leaks)
	return nil
}

// showTally prints the first examples of what was noticed in lists.
func showTally(out io.Writer, what string, t manifest.Tally) {
	for i, text := range t.Examples {
		if i == 3 {
			break
		}
		fmt.Fprintf(out, "%s: %s\n", what, text)
	}
	if n := t.Count - min(len(t.Examples), 3); n > 0 {
		fmt.Fprintf(out, "%s: … and %d more\n", what, n)
	}
}

// size writes a number of bytes for people.
func size(bytes int64) string {
	units := []string{"B", "kB", "MB", "GB", "TB"}
	x := float64(bytes)
	i := 0
	for ; x >= 1000 && i < len(units)-1; i++ {
		x /= 1000
	}
	if i == 0 {
		return fmt.Sprintf("%d B", bytes)
	}
	return fmt.Sprintf("%.1f %s", x, units[i])
}
