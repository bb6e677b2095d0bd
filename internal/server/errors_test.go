package server_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"avjepa/internal/media"
	"avjepa/internal/server"
)

// codesInSource returns the codes of the problems that the source makes.
func codesInSource(t *testing.T) map[string]bool {
	t.Helper()
	codes := map[string]bool{}
	made := regexp.MustCompile(`(?:problem\([\w.]+,\s*|NewProblem\([\w.]+,\s*|Code:\s*)"([a-z0-9-]+)"`)
	for _, pattern := range []string{"*.go", "pages/*.go", "../../cmd/avjepa/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range made.FindAllSubmatch(text, -1) {
				codes[string(m[1])] = true
			}
		}
	}
	// The outcome of a file is a code, where there is nothing to embed.
	for _, o := range []media.Outcome{media.Empty, media.Unsupported, media.TooLarge, media.Timeout, media.Corrupt,
		media.TooShort, media.NoAudio, media.NoVideo} {
		codes[strings.ReplaceAll(string(o), " ", "-")] = true
	}
	return codes
}

// TestErrorDocs compares the table of codes with those in the source, and with
// docs/serve.md.
func TestErrorDocs(t *testing.T) {
	source := codesInSource(t)
	if len(source) < 40 {
		t.Fatalf("only %d codes are found", len(source))
	}
	page, err := os.ReadFile("../../docs/serve.md")
	if err != nil {
		t.Fatal(err)
	}
	table := string(page)[strings.Index(string(page), "| status | codes |"):]
	table = table[:strings.Index(table, "\n\n")]
	var known []string
	for _, d := range server.ErrorDocs() {
		if slices.Contains(known, d.Code) {
			t.Errorf("%s is there twice", d.Code)
		}
		known = append(known, d.Code)
		if !source[d.Code] {
			t.Errorf("%s is explained, but nothing makes it", d.Code)
		}
		if d.Means == "" || d.Do == "" || d.Status < 400 || d.Status > 599 {
			t.Errorf("%s is not explained", d.Code)
		}
		if d.Status != 499 && !strings.Contains(table, "`"+d.Code+"`") {
			t.Errorf("%s is not in docs/serve.md", d.Code)
		}
	}
	for code := range source {
		if !slices.Contains(known, code) {
			t.Errorf("%s is made, but not explained", code)
		}
	}
	for _, m := range regexp.MustCompile("`([a-z-]+)`").FindAllStringSubmatch(table, -1) {
		if !slices.Contains(known, m[1]) && m[1] != "errors" {
			t.Errorf("docs/serve.md has %s, which nothing makes", m[1])
		}
	}
}
