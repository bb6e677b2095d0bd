package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// version is set at build time: -ldflags "-X main.version=…".
var version = "0.1.0"

// globals are the flags every command has.
type globals struct {
	json  bool
	quiet bool
	lines bool // progress as JSON
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
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError(fmt.Errorf("%w; see %s --help", err, c.CommandPath()))
	})
	root.PersistentFlags().BoolVar(&g.json, "json", false, "results as JSON on stdout")
	root.PersistentFlags().BoolVar(&g.quiet, "quiet", false, "no progress on stderr")
	root.PersistentFlags().BoolVar(&g.lines, "json-progress", false, "progress as JSON lines on stderr")
	group(root)
	root.SetHelpCommand(newHelpCommand())
	root.AddCommand(
		newDemoCommand(g),
		newIngestCommand(g),
		newDataCommand(g),
		newPretrainCommand(g),
		newLaunchCommand(),
		newFinetuneCommand(g),
		newProbeCommand(g),
		newEvaluateCommand(g),
		newRetrieveCommand(g),
		newReportCommand(g),
		newAblateCommand(g),
		newExplainCommand(g),
		newEmbedCommand(g),
		newIndexCommand(g),
		newSearchCommand(g),
		newLibraryCommand(g),
		newServeCommand(g),
		newImportCommand(g),
		newExportCommand(g),
		newConfigCommand(g),
		newBenchCommand(g),
		newEngineCommand(g),
		newDoctorCommand(g),
		newManCommand(g),
	)
	complete(root)
	return root
}

// progress returns the progress display of a command.
func (g *globals) progress() *progress {
	if follows() {
		return mute()
	}
	if g.lines && !g.quiet {
		return newLines(os.Stderr)
	}
	return newProgress(os.Stderr, g.quiet)
}

// newHelpCommand is cobra's help, but for a topic that does not exist it fails.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about any command",
		RunE: func(c *cobra.Command, args []string) error {
			about, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return unknownCommand(c.Root(), strings.Join(args, " "))
			}
			return about.Help()
		},
	}
}

// group makes a command of subcommands show its help when given none of them,
// and refuse one that does not exist.
func group(c *cobra.Command) {
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return c.Help()
		}
		return unknownCommand(c, args[0])
	}
}

func unknownCommand(c *cobra.Command, name string) error {
	hint := "see " + c.CommandPath() + " --help"
	c.SuggestionsMinimumDistance = 2
	if near := c.SuggestionsFor(name); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return usageError(fmt.Errorf("no command %q: %s", name, hint))
}

// takes accepts as many arguments as there are names; it names them otherwise.
func takes(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		want := "no argument"
		if len(names) > 0 {
			want = strings.Join(names, " and ")
		}
		return usageError(fmt.Errorf("%s takes %s, got %s; see %[1]s --help",
			c.CommandPath(), want, given(args)))
	}
}

// given are the arguments that a command got, for an error.
func given(args []string) string {
	if len(args) == 0 {
		return "none"
	}
	return fmt.Sprintf("%s %q", amount(len(args), "arguments"), args)
}
