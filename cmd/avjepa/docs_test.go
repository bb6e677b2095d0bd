package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "write the flag tables of docs/commands.md anew")

const commandsPage = "../../docs/commands.md"

// flagTable is the table of a command's flags as docs/commands.md has it.
func flagTable(c *cobra.Command) string {
	var b strings.Builder
	b.WriteString("| flag | default | what |\n|---|---|---|\n")
	c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		def := f.DefValue
		if f.Value.Type() == "bool" || def == "[]" || def == "" || f.Name == "help" {
			def = ""
		} else {
			def = "`" + def + "`"
		}
		if f.Name != "help" {
			fmt.Fprintf(&b, "| `--%s` | %s | %s |\n", f.Name, def, f.Usage)
		}
	})
	return b.String()
}

// commands returns all visible commands that do something.
func commands(c *cobra.Command) []*cobra.Command {
	if !c.HasSubCommands() {
		return []*cobra.Command{c}
	}
	var all []*cobra.Command
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "help" && sub.Name() != "completion" {
			all = append(all, commands(sub)...)
		}
	}
	return all
}

// The page has a section for every command, with its flags as --help has them,
// and an example of each command in its help.
func TestDocsHaveEveryCommandAndFlag(t *testing.T) {
	page, err := os.ReadFile(commandsPage)
	if err != nil {
		t.Fatal(err)
	}
	was := page
	for _, c := range commands(newRootCommand()) {
		if c.Example == "" {
			t.Errorf("%s has no example", c.CommandPath())
		}
		section := regexp.MustCompile("(?s)\n## " + regexp.QuoteMeta(c.CommandPath()) + "\\b.*?(\n## |$)").Find(page)
		if section == nil {
			t.Errorf("no section of %s", c.CommandPath())
			continue
		}
		want := flagTable(c)
		if !strings.Contains(want, "`--") || bytes.Contains(section, []byte(want)) {
			continue
		}
		if !*update {
			t.Errorf("flags of %s are not as in its help: go test ./cmd/avjepa -run Docs -update",
				c.CommandPath())
			continue
		}
		old := regexp.MustCompile(`(?s)\| flag \|.*?\n\n`)
		fresh := old.ReplaceAllLiteral(append(bytes.TrimRight(section, "\n# "), "\n\n"...), []byte(want+"\n"))
		page = bytes.Replace(page, bytes.TrimRight(section, "\n# "), bytes.TrimRight(fresh, "\n"), 1)
	}
	if *update && !bytes.Equal(was, page) {
		if err := os.WriteFile(commandsPage, page, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDocsHaveTheExitCodes(t *testing.T) {
	page, err := os.ReadFile(commandsPage)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^\| (\d+) \|`).FindAllSubmatch(page, -1)
	var got []string
	for _, m := range found {
		got = append(got, string(m[1]))
	}
	want := fmt.Sprint([]int{0, exitError, exitUsage, exitPartial, exitEngine, exitConfig, exitNoFFmpeg,
		exitCheckpoint, exitLost, exitInterrupted})
	if fmt.Sprint(got) != want {
		t.Errorf("exit codes %v, want %v", got, want)
	}
}
