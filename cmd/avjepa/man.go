package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"avjepa/internal/durable"
)

func newManCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write manual pages",
		Long: `Writes a manual page for every command into DIR, which is made when it is not there.
make install puts them where man looks.`,
		Example: `  avjepa man ~/.local/share/man/man1
  man avjepa-pretrain`,
		Args: takes("DIR"),
		RunE: func(c *cobra.Command, args []string) error {
			pages, err := manPages(c.Root())
			if err != nil {
				return err
			}
			return writePages(args[0], pages, c.OutOrStdout(), g)
		},
	}
}

// page is a file to be written.
type page struct {
	name string
	text []byte
}

// manPages returns the pages of a command and of those below it.
func manPages(c *cobra.Command) ([]page, error) {
	if !c.IsAvailableCommand() || c.Name() == "help" {
		return nil, nil
	}
	// The date is left out: the same program gives the same pages.
	head := &doc.GenManHeader{Title: strings.ToUpper(strings.ReplaceAll(c.CommandPath(), " ", "-")),
		Section: "1", Date: &time.Time{}, Source: "avjepa " + version, Manual: "avjepa"}
	c.DisableAutoGenTag = true
	var b bytes.Buffer
	if err := doc.GenMan(c, head, &b); err != nil {
		return nil, fmt.Errorf("manual page of %s: %w", c.CommandPath(), err)
	}
	text := bytes.Replace(b.Bytes(), []byte(`"Jan 0001"`), []byte(`""`), 1)
	all := []page{{strings.ReplaceAll(c.CommandPath(), " ", "-") + ".1", text}}
	for _, sub := range c.Commands() {
		below, err := manPages(sub)
		if err != nil {
			return nil, err
		}
		all = append(all, below...)
	}
	return all, nil
}

func writePages(dir string, pages []page, out io.Writer, g *globals) error {
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return usageError(errors.New(dir + " is a file: give a folder"))
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, p := range pages {
		err := durable.WriteFile(filepath.Join(dir, p.name), func(w io.Writer) error {
			_, err := w.Write(p.text)
			return err
		})
		if err != nil {
			return err
		}
	}
	if g.json {
		return writeJSON(out, map[string]any{"pages": len(pages), "folder": dir})
	}
	fmt.Fprintf(out, "manual pages in %s: %d\n", dir, len(pages))
	return nil
}
