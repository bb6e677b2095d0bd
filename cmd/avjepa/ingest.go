package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"avjepa/internal/dataset"
	"avjepa/internal/manifest"
	"avjepa/internal/media"
	"avjepa/internal/store"
)

// ingestOptions are the flags of ingest.
type ingestOptions struct {
	sources     []string
	lists       listOptions
	out         string
	work        string
	shortSide   int
	fps         float64
	clipSeconds float64
	valFraction float64
	workers     int
	retry       bool
	keep        []string
	dryRun      bool
}

func newIngestCommand(g *globals) *cobra.Command {
	def := dataset.DefaultIngestConfig().Settings
	o := &ingestOptions{}
	c := &cobra.Command{
		Use:   "ingest SOURCE...",
		Short: "Turn videos into shards to train on",
		Long: `Reads files, folders (label/clip.mp4) and lists, and writes WebDataset shards: per
clip a JSON, 16 kHz mono sound and JPEG frames. Lists are CSV or JSON lines of our own
(path,label[,split,start,end]) and those of VGGSound, AudioSet and CAV-MAE as published,
whose files are found below --media by name. A broken or missing file is listed with
its reason and skipped. Run again after an interrupt, a crash or a full disk, it goes
on where it was.`,
		Example: `  avjepa ingest videos/ --out data/mine
  avjepa ingest clips.csv --out data/clips --short-side 256 --fps 8
  avjepa ingest videos/ --out 's3://bucket/mine?endpoint=https://s3.example.org'
  avjepa ingest vggsound.csv --media /data/vggsound --out data/vgg --dry-run
  avjepa ingest vggsound.csv --media /data/vggsound --split test --per-class 5 --out data/vgg5
  avjepa ingest eval_segments.csv --media /data/audioset --out data/as-eval \
    --classes class_labels_indices.csv --ontology ontology.json
  avjepa ingest balanced_train_segments.csv --media youtube/ --whole-videos --out data/as20k`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError(errors.New("ingest needs a file, a folder or a list: " +
					"avjepa ingest videos/ --out data/mine"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.sources = args
			if err := o.check(); err != nil {
				return err
			}
			if o.dryRun {
				return runIngestPlan(cmd.Context(), o, cmd.OutOrStdout(), g.json)
			}
			if o.out == "" {
				return usageError(errors.New("--out is missing: the folder to write shards to"))
			}
			p := g.progress()
			sum, list, err := runIngest(cmd.Context(), o, p)
			p.wait()
			return showIngest(cmd.OutOrStdout(), o.out, sum, list, err, g.json)
		},
	}
	f := c.Flags()
	f.StringVar(&o.out, "out", "", "folder to write shards to, or s3://bucket/name")
	f.StringVar(&o.work, "work", "",
		"with a remote --out: folder for shards until they are sent; data/NAME.work")
	f.IntVar(&o.shortSide, "short-side", def.ShortSide,
		"pixels of the frames' short side; never enlarged")
	f.Float64Var(&o.fps, "fps", def.FPS, "frames kept per second")
	f.Float64Var(&o.clipSeconds, "clip-seconds", def.ClipSeconds,
		"longer videos are cut into clips of this length")
	f.Float64Var(&o.valFraction, "held-out", def.ValFraction,
		"share of the sources held out where no split is given")
	f.IntVar(&o.workers, "workers", 0, "files at a time, 0 for one per core")
	f.StringSliceVar(&o.keep, "keep", nil,
		"also keep clips that are silent, still, no-audio or no-video")
	f.BoolVar(&o.retry, "retry", false,
		"try clips again that an earlier run left out")
	f.BoolVar(&o.dryRun, "dry-run", false,
		"only read the lists and say what is there and what it would take")
	o.lists.flags(f)
	return c
}

// check refuses negative counts.
func (o *ingestOptions) check() error {
	for _, c := range []struct {
		flag string
		n    int
	}{{"workers", o.workers}, {"per-class", o.lists.perClass}, {"limit", o.lists.limit}} {
		if c.n < 0 {
			return usageError(fmt.Errorf("--%s %d: must not be negative", c.flag, c.n))
		}
	}
	return nil
}

// config is the ingest of a list with the settings of the flags, without a decoder.
func (o *ingestOptions) config(list *manifest.List) dataset.IngestConfig {
	cfg := dataset.DefaultIngestConfig()
	cfg.Dir, cfg.Entries, cfg.Classes = o.out, list.Entries, list.Classes
	cfg.Workers, cfg.RetryLeftOut = o.workers, o.retry
	cfg.Settings.ShortSide, cfg.Settings.FPS = o.shortSide, o.fps
	cfg.Settings.ClipSeconds, cfg.Settings.ValFraction = o.clipSeconds, o.valFraction
	return cfg
}

func runIngest(ctx context.Context, o *ingestOptions, p *progress) (
	dataset.Summary, manifest.List, error) {

	keep, err := keptOutcomes(o.keep)
	if err != nil {
		return dataset.Summary{}, manifest.List{}, err
	}
	tools, err := media.Find()
	if err != nil {
		return dataset.Summary{}, manifest.List{}, err
	}
	list, err := o.lists.read(o.sources)
	if err != nil {
		return dataset.Summary{}, list, err
	}
	cfg := o.config(&list)
	cfg.Decoder, cfg.Settings.Keep = tools, keep
	if store.IsRemote(o.out) {
		if cfg.Store, err = openStore(ctx, o.out, p); err != nil {
			return dataset.Summary{}, list, err
		}
		cfg.Dir = cmp.Or(o.work, workplace(o.out))
	} else if o.work != "" {
		return dataset.Summary{}, list, usageError(fmt.Errorf("--work %s is for a remote --out, %s is a "+
			"folder: leave it away", o.work, o.out))
	}
	st := p.stageThat(ctx, "ingest", int64(len(list.Entries)), "clips", func(n int64) string {
		return fmt.Sprintf("keeping %d clips", n)
	})
	began, before := time.Now(), -1
	cfg.Progress = func(x dataset.Progress) {
		n := x.Clips + x.LeftOut
		if before < 0 { // the first report is what earlier ingests did
			before = n
			st.from(int64(n))
		}
		var notes []string
		if x.LeftOut > 0 {
			notes = append(notes, fmt.Sprintf("%d left out", x.LeftOut))
		}
		if n > before {
			rate := float64(n-before) / max(time.Since(began).Seconds(), 1e-3)
			notes = append(notes, fmt.Sprintf("%.0f clips/s", rate))
		}
		st.set(int64(n), int64(max(len(list.Entries), n)), strings.Join(notes, " · "))
	}
	sum, err := dataset.Ingest(ctx, cfg)
	st.endWith(err)
	if errors.Is(err, context.Canceled) { // a child that was ended may speak first
		err = errInterrupted
	}
	return sum, list, err
}

// ingestJSON is what ingest --json prints.
type ingestJSON struct {
	Out      string         `json:"out"`
	Files    int            `json:"files"`
	Clips    int            `json:"clips"`
	LeftOut  int            `json:"left_out"`
	Hours    float64        `json:"hours"`
	Bytes    int64          `json:"bytes"`
	Shards   int            `json:"shards"`
	Splits   map[string]int `json:"splits"`
	Outcomes map[string]int `json:"outcomes"`
	BadRows  int            `json:"bad_rows"` // of published lists
	Leaks    int            `json:"leaks"`    // videos in several given splits
	Flags    map[string]int `json:"flags"`

	Duplicates int `json:"duplicates"` // pairs
	Across     int `json:"duplicates_across_splits"`
}

// showIngest prints the closing table, also of an ingest that kept nothing.
func showIngest(out io.Writer, dir string, sum dataset.Summary, list manifest.List, err error,
	asJSON bool) error {

	if errors.Is(err, errInterrupted) {
		return sameAgain(err)
	}
	if err != nil && !errors.Is(err, dataset.ErrNoClips) {
		return err
	}
	outcomes := map[string]int{}
	for k, n := range sum.Outcomes {
		outcomes[string(k)] = n
	}
	if asJSON {
		across := 0
		for _, d := range sum.Duplicates {
			if d.Across {
				across++
			}
		}
		return errors.Join(err, writeJSON(out, ingestJSON{dir, sum.Files, sum.Clips, len(sum.LeftOut),
			sum.Seconds / 3600, sum.Bytes, sum.Shards, sum.Splits, outcomes, list.Bad.Count,
			list.Leaks.Count, sum.Flags, len(sum.Duplicates), across}))
	}
	fmt.Fprintf(out, "%s kept from %s: %s, %.1f MB in %s, %s\n",
		amount(sum.Clips, "clips"), amount(sum.Files, "files"), spanOf(sum.Seconds), float64(sum.Bytes)/1e6,
		amount(sum.Shards, "shards"), counts(sum.Splits))
	if len(sum.LeftOut) > 0 {
		fmt.Fprintf(out, "\n%d left out:\n", len(sum.LeftOut))
		table(out, "lrl", leftOutRows(sum))
		fmt.Fprintf(out, "\nAll of them, with reasons: %s\n", inSet(dir, "left-out.csv"))
		if outcomes[string(media.Missing)] > 0 {
			fmt.Fprintln(out, "When more of the missing files are there: the same command again")
		}
	}
	showTally(out, "warning: bad row", list.Bad)
	showTally(out, "warning: in several splits", list.Leaks)
	for i, l := range sum.Leaks {
		if i == 3 {
			fmt.Fprintf(out, "… and %d more\n", len(sum.Leaks)-i)
			break
		}
		fmt.Fprintf(out, "warning: in different splits, but the same file: %s and %s\n", l.A, l.B)
	}
	showDull(out, dir, sum)
	if err != nil {
		return err
	}
	if sum.Splits["train"] == 0 {
		fmt.Fprintf(out, "\nNo clip is in split train, which pretrain takes\nNext: avjepa data ls %s\n",
			shellWord(dir))
		return nil
	}
	fmt.Fprintf(out, "\nNext: avjepa pretrain --data %s --preset tiny\n", shellWord(dir))
	return nil
}

// leftOutRows counts outcomes with one example each.
func leftOutRows(sum dataset.Summary) [][]string {
	count, example := map[media.Outcome]int{}, map[media.Outcome]string{}
	for _, l := range sum.LeftOut {
		count[l.Outcome]++
		if example[l.Outcome] == "" {
			example[l.Outcome] = fmt.Sprintf("%s: %s", l.Key, l.Reason)
		}
	}
	var rows [][]string
	for o, n := range count {
		rows = append(rows, []string{string(o), fmt.Sprint(n), clip(example[o], 60)})
	}
	sort.Slice(rows, func(i, j int) bool { return rows[i][0] < rows[j][0] })
	return append([][]string{{"reason", "clips", "for example"}}, rows...)
}

// clip shortens text to n runes.
func clip(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}

// counts writes "train 90, val 10".
func counts(m map[string]int) string {
	var names []string
	for s := range m {
		names = append(names, s)
	}
	sort.Strings(names)
	text := ""
	for i, s := range names {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%s %d", s, m[s])
	}
	return text
}
