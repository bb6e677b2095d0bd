package main

import (
	"os"

	"github.com/spf13/cobra"
)

// version is set at build time: -ldflags "-X main.version=…".
var version = "0.1.0"

// globals are the flags every command has.
type globals struct {
	json  bool
	quiet bool
}

func newRootCommand() *cobra.Command {
	g := &globals{}
	root := &cobra.Command{
		Use:   "avjepa",
		Short: "Learn from video with sound, without labels",
		Long: `avjepa turns a folder of videos into an audio-visual encoder: it ingests the
clips, pretrains AV-JEPA on them, and measures and shows what was learned.

First steps:
  avjepa demo                              a toy data set, all the way to a report
  avjepa ingest videos/ --out data/mine    your own clips
  avjepa pretrain --data data/mine --preset tiny
  avjepa report runs/latest`,
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError(err) })
	root.PersistentFlags().BoolVar(&g.json, "json", false, "results as JSON on stdout")
	root.PersistentFlags().BoolVar(&g.quiet, "quiet", false, "no progress on stderr")
	root.AddCommand(
		newDemoCommand(g),
		newIngestCommand(g),
		newStatsCommand(g),
		newPretrainCommand(g),
		newRetrieveCommand(g),
		newReportCommand(g),
		newConfigCommand(g),
		newDoctorCommand(g),
	)
	return root
}

// progressFor returns the progress display of a command.
func (g *globals) progress() *progress { return newProgress(os.Stderr, g.quiet) }
