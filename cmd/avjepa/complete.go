package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"avjepa/internal/config"
	"avjepa/internal/explain"
)

// completers say what a shell offers for the value of a flag, by the flag's name.
var completers = map[string]func(typed string) ([]string, cobra.ShellCompDirective){
	"preset":    completePresets,
	"engine":    offer(config.EngineCPU, config.EngineTorch),
	"device":    offer("cpu", "cuda", "auto"),
	"embedding": offer("projected", "cls", "patches"),
	"from":      offer(string(explain.FromOther), string(explain.FromCLS)),
	"precision": offer(precisionFloat, precisionBF16, precisionInt8),
	"set":       completeSettings,
	"data":      folders,
	"runs":      folders,
	"work":      folders,
	"library":   folders,
}

// complete gives every command's flags their completion, and arguments called RUN or
// MODEL the folders of runs.
func complete(c *cobra.Command) {
	c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		if offers, ok := completers[f.Name]; ok {
			// It fails for a flag that has one already, which then stays.
			_ = c.RegisterFlagCompletionFunc(f.Name, func(_ *cobra.Command, _ []string, typed string) (
				[]string, cobra.ShellCompDirective) {
				return offers(typed)
			})
		}
	})
	if words := strings.Fields(c.Use); len(words) > 1 && c.ValidArgsFunction == nil &&
		(words[1] == "RUN" || words[1] == "MODEL") {
		c.ValidArgsFunction = func(_ *cobra.Command, args []string, typed string) (
			[]string, cobra.ShellCompDirective) {
			if len(args) > 0 || strings.Contains(typed, string(filepath.Separator)) {
				return nil, cobra.ShellCompDirectiveDefault
			}
			return completeRuns(typed)
		}
	}
	for _, sub := range c.Commands() {
		complete(sub)
	}
}

// completeRuns offers what lies in runs.
func completeRuns(typed string) ([]string, cobra.ShellCompDirective) {
	entries, err := os.ReadDir("runs")
	if err != nil {
		return nil, cobra.ShellCompDirectiveDefault
	}
	var all []string
	for _, e := range entries {
		if path := "runs/" + e.Name(); strings.HasPrefix(path, typed) {
			all = append(all, path)
		}
	}
	if len(all) == 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return all, cobra.ShellCompDirectiveNoFileComp
}

// completePresets offers presets, also behind a comma.
func completePresets(typed string) ([]string, cobra.ShellCompDirective) {
	before, last := "", typed
	if i := strings.LastIndexByte(typed, ','); i >= 0 {
		before, last = typed[:i+1], typed[i+1:]
	}
	var all []string
	about := config.Presets()
	for _, name := range slices.Sorted(maps.Keys(about)) {
		if strings.HasPrefix(name, last) {
			all = append(all, before+name+"\t"+about[name])
		}
	}
	return all, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// completeSettings offers keys with an equals sign.
func completeSettings(typed string) ([]string, cobra.ShellCompDirective) {
	var all []string
	for _, s := range config.New().Settings() {
		if strings.HasPrefix(s.Key, typed) {
			all = append(all, s.Key+"=\t"+s.Doc)
		}
	}
	return all, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

func folders(string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

func offer(values ...string) func(string) ([]string, cobra.ShellCompDirective) {
	return func(string) ([]string, cobra.ShellCompDirective) {
		return values, cobra.ShellCompDirectiveNoFileComp
	}
}
