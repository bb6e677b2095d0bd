package assets

import (
	"bytes"
	"compress/gzip"
	"io/fs"
	"regexp"
	"strings"
	"testing"
)

// read returns every file by name.
func read(t *testing.T) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := fs.WalkDir(Files(), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		files[path], err = fs.ReadFile(Files(), path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestManifest wants every file that a page may ask for to be there, and no other.
func TestManifest(t *testing.T) {
	files := read(t)
	m, err := Manifest()
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{"manifest.json": true, "THIRD_PARTY.txt": true}
	for _, name := range []string{"app", "app.css", "search", "why", "runs", "map"} {
		if m[name].File == "" {
			t.Errorf("the manifest has no %s", name)
		}
	}
	for name, a := range m {
		for _, file := range append(a.Imports, a.File) {
			used[file] = true
			if files[file] == nil {
				t.Errorf("%s needs %s, which is missing: run make web", name, file)
			}
		}
	}
	for file := range files {
		if !used[file] {
			t.Errorf("%s is nobody's: run make web", file)
		}
	}
	for _, name := range []string{"lit", "uplot", "d3-zoom", "kdbush"} {
		if !bytes.Contains(files["THIRD_PARTY.txt"], []byte("== "+name+" ")) {
			t.Errorf("THIRD_PARTY.txt lacks the licence of %s", name)
		}
	}
}

// namespaces are addresses that name a language and are never asked for.
var namespaces = regexp.MustCompile(`http://www\.w3\.org/(2000/svg|1999/xhtml|1999/xlink|2000/xmlns/|XML/1998/namespace)`)

// TestNothingFromElsewhere wants scripts that load nothing from other hosts and build
// no functions from text, which the content policy forbids.
func TestNothingFromElsewhere(t *testing.T) {
	elsewhere := regexp.MustCompile(`https?://|[^\w]//[a-z0-9-]+\.[a-z]`)
	fromText := regexp.MustCompile(`\bnew Function\b|\beval\(|\bFunction\(["'` + "`" + `]|set(Timeout|Interval)\(["'` + "`" + `]`)
	for name, text := range read(t) {
		if !strings.HasSuffix(name, ".js") && !strings.HasSuffix(name, ".css") {
			continue
		}
		rest := namespaces.ReplaceAll(text, nil)
		if at := elsewhere.FindIndex(rest); at != nil {
			t.Errorf("%s: %.80q", name, rest[at[0]:])
		}
		if at := fromText.FindIndex(text); at != nil {
			t.Errorf("%s: %.80q", name, text[at[0]:])
		}
	}
}

// TestBudgets holds what a page loads to a size, compressed: what all share to 15 kB,
// what one adds to its own, all of it to 60.
func TestBudgets(t *testing.T) {
	files := read(t)
	m, err := Manifest()
	if err != nil {
		t.Fatal(err)
	}
	size := func(names ...string) float64 {
		seen := map[string]bool{}
		n := 0
		for _, name := range names {
			for _, file := range append(m[name].Imports, m[name].File) {
				if !seen[file] {
					seen[file] = true
					n += compressed(t, files[file])
				}
			}
		}
		return float64(n) / 1000
	}
	if shared := size("app", "app.css"); shared > 15 {
		t.Errorf("what all pages share has %.1f kB", shared)
	}
	for name, most := range map[string]float64{"search": 30, "why": 30, "runs": 45, "map": 45} {
		if n := size(name); n > most {
			t.Errorf("%s has %.1f kB, at most %.0f", name, n, most)
		}
		if n := size("app", "app.css", name); n > 60 {
			t.Errorf("a page with %s has %.1f kB, at most 60", name, n)
		}
	}
}

func compressed(t *testing.T, text []byte) int {
	t.Helper()
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Len()
}
