package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestManPages writes a page for every command, twice the same, with its examples.
func TestManPages(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "man", "man1")
	var first map[string][]byte
	for range 2 {
		root := newRootCommand()
		root.SetArgs([]string{"man", dir})
		root.SetOut(new(bytes.Buffer))
		if err := root.Execute(); err != nil {
			t.Fatal(err)
		}
		pages := map[string][]byte{}
		for _, c := range commands(root) {
			name := strings.ReplaceAll(c.CommandPath(), " ", "-") + ".1"
			text, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Error(err)
				continue
			}
			if !bytes.Contains(text, []byte(".SH EXAMPLE")) {
				t.Errorf("%s has no example", name)
			}
			pages[name] = text
		}
		for name, text := range first {
			if !bytes.Equal(text, pages[name]) {
				t.Errorf("%s differs the second time", name)
			}
		}
		first = pages
	}
	root := newRootCommand()
	root.SetArgs([]string{"man", filepath.Join(dir, "avjepa.1")})
	if err := root.Execute(); exitCode(err) != exitUsage {
		t.Errorf("a file for a folder: %v", err)
	}
}

// TestCompletion asks what a shell would.
func TestCompletion(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.MkdirAll(filepath.Join(dir, "runs", "mine"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"pretrain", "--preset", "demo,lambda-1"}, "demo,lambda-1\t"},
		{[]string{"pretrain", "--set", "train.l"}, "train.lr=\t"},
		{[]string{"pretrain", "--engine", ""}, "torch\n"},
		{[]string{"retrieve", "--embedding", ""}, "patches\n"},
		{[]string{"retrieve", "ru"}, "runs/mine\n"},
		{[]string{"retrieve", "runs/mine", ""}, ":0\n"}, // nothing of ours, files
		{[]string{"report", "other/"}, ":0\n"},
		{[]string{"da"}, "data\t"},
	} {
		root := newRootCommand()
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetErr(new(bytes.Buffer))
		root.SetArgs(append([]string{"__complete"}, c.args...))
		if err := root.Execute(); err != nil {
			t.Errorf("%q: %v", c.args, err)
		}
		if !strings.Contains(out.String(), c.want) {
			t.Errorf("%q offers %q, without %q", c.args, out.String(), c.want)
		}
	}
}
