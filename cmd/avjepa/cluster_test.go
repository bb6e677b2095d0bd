package main

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"avjepa/internal/config"
)

const clusterExamples = "../../examples/cluster"

// The examples are valid to the shell and to YAML, and their commands have the flags
// and settings they name.
func TestClusterExamples(t *testing.T) {
	files, err := filepath.Glob(clusterExamples + "/*")
	if err != nil || len(files) < 4 {
		t.Fatalf("examples %v, %v", files, err)
	}
	for _, path := range append(files, "../../docs/cluster.md") {
		text := readFile(t, path)
		switch filepath.Ext(path) {
		case ".sh", ".sbatch":
			if out, err := exec.Command("bash", "-n", path).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", path, err, out)
			}
		case ".yaml":
			checkYAML(t, path)
		}
		checkCommands(t, path, string(text))
	}
}

// checkYAML parses a file where a Python with a parser is at hand.
func checkYAML(t *testing.T, path string) {
	t.Helper()
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(python, "-c", "import yaml").Run() != nil {
			continue
		}
		out, err := exec.Command(python, "-c",
			"import sys, yaml; print(yaml.safe_load(open(sys.argv[1]))['kind'])", path).CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != "PyTorchJob" {
			t.Errorf("%s: %v\n%s", path, err, out)
		}
		return
	}
	t.Logf("%s: no Python with a YAML parser", path)
}

// checkCommands looks up the flags of launch and pretrain, and the keys of --set, in
// what follows "avjepa launch" or "avjepa pretrain" up to the end of the command.
func checkCommands(t *testing.T, path, text string) {
	t.Helper()
	text = regexp.MustCompile(`\\\n\s*|\n {10,}`).ReplaceAllString(text, " ")
	root := newRootCommand()
	found := 0
	for _, line := range strings.Split(text, "\n") {
		m := regexp.MustCompile(`\bavjepa (launch|pretrain)\b(.*)`).FindStringSubmatch(line)
		if m == nil || strings.HasPrefix(line, "#") {
			continue
		}
		name, rest := m[1], m[2]
		for _, part := range strings.SplitN(rest, " -- ", 2) {
			c, _, err := root.Find([]string{name})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range regexp.MustCompile(`(?:^|\s)--([a-z][a-z-]*)`).FindAllStringSubmatch(part, -1) {
				if c.Flags().Lookup(f[1]) == nil {
					t.Errorf("%s: %s has no flag --%s", path, name, f[1])
				}
				found++
			}
			name = "pretrain" // behind launch's --
		}
		for _, kv := range regexp.MustCompile(`--set (\S+)=(\S+)`).FindAllStringSubmatch(rest, -1) {
			if err := config.New().Set(kv[1], kv[2], path); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	if found < 3 {
		t.Errorf("%s: only %d flags were found", path, found)
	}
}
