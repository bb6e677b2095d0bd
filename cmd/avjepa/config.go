package main

import (
	"encoding/json"
	"fmt"
	"io"
	"sort"

	"github.com/spf13/cobra"

	"avjepa/internal/config"
)

func newConfigCommand(g *globals) *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Show settings and where each comes from"}
	s := &settings{}
	var asTOML bool
	show := &cobra.Command{
		Use:   "show",
		Short: "Every key with its value, its origin and what it means",
		Example: `  avjepa config show --preset demo
  avjepa config show --preset demo --set train.lr=1e-3 --toml > mine.toml`,
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.resolve()
			if err != nil {
				return err
			}
			if err := showConfig(cmd.OutOrStdout(), c, g.json, asTOML); err != nil {
				return err
			}
			return validate(c)
		},
	}
	s.addFlags(show)
	show.Flags().BoolVar(&asTOML, "toml", false, "as a file that --config reads")
	presets := &cobra.Command{
		Use: "presets", Short: "The presets, a line each", Args: takes(),
		Example: "  avjepa config presets",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return showPresets(cmd.OutOrStdout(), g.json)
		},
	}
	c.AddCommand(show, presets)
	group(c)
	return c
}

func showConfig(out io.Writer, c *config.Config, asJSON, asTOML bool) error {
	if asTOML {
		_, err := io.WriteString(out, c.TOML())
		return err
	}
	if asJSON {
		return writeJSON(out, c.Settings())
	}
	rows := [][]string{{"key", "value", "origin", "meaning"}}
	for _, s := range c.Settings() {
		rows = append(rows, []string{s.Key, fmt.Sprint(s.Value), s.Origin, s.Doc})
	}
	table(out, "llll", rows)
	return nil
}

func showPresets(out io.Writer, asJSON bool) error {
	all := config.Presets()
	if asJSON {
		return writeJSON(out, all)
	}
	var rows [][]string
	for name, doc := range all {
		rows = append(rows, []string{name, doc})
	}
	sort.Slice(rows, func(i, j int) bool { return rows[i][0] < rows[j][0] })
	table(out, "ll", rows)
	return nil
}

// writeJSON writes one value as indented JSON.
func writeJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
