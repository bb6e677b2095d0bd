package manifest

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func keys(entries []Entry) []string {
	var out []string
	for _, e := range entries {
		out = append(out, e.Key)
	}
	return out
}

func TestReadTree(t *testing.T) {
	dir := makeFiles(t, map[string]string{
		"dog/a.mp4": "", "dog/deep/b.WEBM": "", "cat/c": "", "loose.mov": "", ".hidden.mp4": "",
		"notes.txt": "", "cat/cover.JPG": "", ".git/x.mp4": "", "list.csv": "not a manifest",
		"cat/two words.mp4": "",
	})
	entries := sources(t, dir)
	words := withHash("cat/two_words", "cat/two words")
	want := []Entry{
		{Key: "cat/c", Path: filepath.Join(dir, "cat/c"), Labels: []string{"cat"}},
		{Key: words, Path: filepath.Join(dir, "cat/two words.mp4"), Labels: []string{"cat"}},
		{Key: "dog/a", Path: filepath.Join(dir, "dog/a.mp4"), Labels: []string{"dog"}},
		{Key: "dog/deep/b", Path: filepath.Join(dir, "dog/deep/b.WEBM"), Labels: []string{"dog"}},
		{Key: "loose", Path: filepath.Join(dir, "loose.mov")},
	}
	if !reflect.DeepEqual(entries, want) {
		t.Errorf("got  %+v\nwant %+v", entries, want)
	}
	// The same files again, and one of them by name, change nothing.
	if again := sources(t, dir, dir); !reflect.DeepEqual(again, want) {
		t.Errorf("twice: %+v", again)
	}
}

func TestKeysAreStableAndApart(t *testing.T) {
	dir := makeFiles(t, map[string]string{"a.mp4": "", "a.wav": "", "A.mkv": "", "b.c.mp4": "",
		"b_c.mp4": "", "é.mp4": "", "ü.mp4": "", strings.Repeat("x", 200) + ".mp4": ""})
	entries := sources(t, dir)
	if len(entries) != 8 {
		t.Fatalf("%d entries", len(entries))
	}
	seen := make(map[string]bool)
	for _, e := range entries {
		if err := CheckKey(e.Key); err != nil || len(e.Key) > MaxBaseBytes {
			t.Errorf("%d bytes: %v", len(e.Key), err)
		}
		if low := strings.ToLower(e.Key); seen[low] {
			t.Errorf("key %s twice", e.Key)
		} else {
			seen[low] = true
		}
	}
	if !slices.Contains(keys(entries), "b_c") {
		t.Errorf("b_c.mp4 lost its plain key: %v", keys(entries))
	}
	// Keys do not depend on the order of the arguments.
	one, two := filepath.Join(dir, "a.mp4"), filepath.Join(dir, "a.wav")
	if x, y := keys(sources(t, one, two)), keys(sources(t, two, one)); !slices.Equal(x, y) {
		t.Errorf("%v, then %v", x, y)
	}
}

func TestLinksStayInside(t *testing.T) {
	outside := makeFiles(t, map[string]string{"secret.mp4": ""})
	dir := makeFiles(t, map[string]string{"dog/a.mp4": "", "list.csv": "path\nout.mp4\n"})
	link := func(target, name string) {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Skipf("no symbolic links here: %v", err)
		}
	}
	link("..", "dog/up") // a cycle
	link("dog/a.mp4", "same.mp4")
	if got := keys(sources(t, dir)); !slices.Equal(got, []string{"dog/a", "same"}) {
		t.Errorf("links inside: %v", got)
	}
	link(filepath.Join(outside, "secret.mp4"), "out.mp4")
	for _, arg := range []string{dir, filepath.Join(dir, "list.csv")} {
		if _, err := Read([]string{arg}, Options{}); !errors.Is(err, ErrManifest) {
			t.Errorf("%s: %v", arg, err)
		}
		if _, err := Read([]string{arg}, Options{AllowOutside: true}); err != nil {
			t.Errorf("%s, allowed: %v", arg, err)
		}
	}
	link(outside, "folder")
	write(t, filepath.Join(dir, "list.csv"), "path\nfolder/secret.mp4\n")
	for _, row := range []string{"folder/secret.mp4", "folder/absent.mp4"} {
		write(t, filepath.Join(dir, "list.csv"), "path\n"+row+"\n")
		_, err := Read([]string{filepath.Join(dir, "list.csv")}, Options{})
		if !errors.Is(err, ErrManifest) {
			t.Errorf("%s: %v", row, err)
		}
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestSourceErrors(t *testing.T) {
	dir := makeFiles(t, map[string]string{"text/readme.txt": "", "empty.csv": "path,label\n"})
	for _, c := range []struct {
		args []string
		want error
	}{
		{nil, ErrEmpty},
		{[]string{filepath.Join(dir, "absent")}, ErrNoSource},
		{[]string{filepath.Join(dir, "text")}, ErrEmpty},
		{[]string{filepath.Join(dir, "empty.csv")}, ErrEmpty},
	} {
		if _, err := Read(c.args, Options{}); !errors.Is(err, c.want) {
			t.Errorf("%v: %v, want %v", c.args, err, c.want)
		}
	}
}

func TestReadCSV(t *testing.T) {
	dir := t.TempDir()
	list := filepath.Join(dir, "list.csv")
	write(t, list, "\xEF\xBB\xBFPath, label,split,start,end,key\r\n"+
		"v/a.mp4,\"dog, barking\",train,,,\r\n"+
		"\r\n"+
		"v/b.mp4,say \u201chi\u201d,val,1.5,4,\r\n"+
		"v/b.mp4,\"a \"\"b\"\"\",val,4,,\r\n"+
		"v/c.mp4,,,,,my/key")
	entries := sources(t, list)
	p := func(name string) string { return filepath.Join(dir, name) }
	want := []Entry{
		{Key: "my/key", Path: p("v/c.mp4")},
		{Key: "v/a", Path: p("v/a.mp4"), Labels: []string{"dog, barking"}, Split: "train"},
		{Key: "v/b_00001500", Path: p("v/b.mp4"), Labels: []string{"say “hi”"}, Split: "val",
			Start: 1.5, End: 4},
		{Key: "v/b_00004000", Path: p("v/b.mp4"), Labels: []string{`a "b"`}, Split: "val", Start: 4},
	}
	if !reflect.DeepEqual(entries, want) {
		t.Errorf("got  %+v\nwant %+v", entries, want)
	}
}

// Every wrong manifest is refused with its file, the line and the column.
func TestReadCSVRefuses(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"empty":            {"", "line 1: empty file: expected a first line such as path,label"},
		"no header":        {"v/a.mp4,dog\n", `line 1, column 1: unknown column "v/a.mp4"`},
		"semicolons":       {"path;label\na;b\n", "separated by commas"},
		"tabs":             {"path\tlabel\n", "separated by commas"},
		"no path":          {"label,split\n", "line 1: no column path"},
		"column twice":     {"path,label,path\n", `line 1, column 3: column "path" for the second`},
		"unknown column":   {"path,label,fold\n", `line 1, column 3: unknown column "fold"`},
		"too few fields":   {"path,label\na.mp4\n", "line 2: 1 fields, the first line names 2"},
		"too many fields":  {"path,label\na.mp4,x,y\n", "line 2: 3 fields"},
		"empty path":       {"path,label\n,dog\n", "line 2, column path: empty path"},
		"absolute path":    {"path\n/etc/passwd\n", "line 2, column path: \"/etc/passwd\" leaves"},
		"path up":          {"path\nok.mp4\na/../../b.mp4\n", "line 3, column path"},
		"start":            {"path,start\na.mp4,soon\n", `line 2, column start: "soon" is not a number`},
		"NaN":              {"path,start\na.mp4,NaN\n", "line 2, column start"},
		"infinite end":     {"path,end\na.mp4,Inf\n", "line 2, column end"},
		"negative start":   {"path,start\na.mp4,-1\n", "column start: -1 s is outside [0, 99999]"},
		"end before start": {"path,start,end\na.mp4,5,3\n", "column end: end 3 s is not after start 5 s"},
		"split":            {"path,split\na.mp4,../x\n", "line 2, column split"},
		"key with a dot":   {"path,key\na.mp4,a.b\n", "line 2, column key"},
		"key up":           {"path,key\na.mp4,a/../b\n", "line 2, column key"},
		"long key":         {"path,key\na.mp4," + strings.Repeat("k", 82) + "\n", "column key"},
		"control":          {"path,label\na.mp4,a\x07b\n", "line 2, column label"},
		"open quote":       {"path,label\na.mp4,\"dog\nb.mp4,cat\n", "line 2: byte"},
		"stray quote":      {"path,label\na.mp4,d\"og\n", "line 2: byte"},
		"latin-1":          {"path,label\na.mp4,caf\xe9\n", "line 2: not UTF-8"},
		"utf-16":           {"\xff\xfep\x00a\x00", "line 1: UTF-16"},
		"zero byte":        {"path,label\na.mp4,\x00\n", "line 2: contains a zero byte"},
		"long line":        {"path\n" + strings.Repeat("x", 70_000), "line 2: longer than 65536 bytes"},
		"long field":       {"path\n" + strings.Repeat("x", 5000) + "\n", "line 2, column path: path of"},
		"two labels":       {"path,label\na.mp4,x\na.mp4,y\n", "list.csv:3"},
		"two splits": {"path,split,start\na.mp4,train,1\na.mp4,val,2\n",
			"all clips of one source belong in one split"},
		"key twice": {"path,key\na.mp4,k\nb.mp4,K\n", `key "K" is also that of`},
	} {
		list := filepath.Join(t.TempDir(), "list.csv")
		write(t, list, c.text)
		_, err := Read([]string{list}, Options{})
		if !errors.Is(err, ErrManifest) || !strings.Contains(err.Error(), c.want) ||
			!strings.Contains(err.Error(), "list.csv") {
			t.Errorf("%s:\n got %v\nwant …%s…", name, err, c.want)
		}
	}
}

// makeFiles writes files with the given contents below a new folder.
func makeFiles(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, path, text)
	}
	return dir
}

// sources returns the entries of a list, with Row taken off.
func sources(t testing.TB, args ...string) []Entry {
	t.Helper()
	list, err := Read(args, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range list.Entries {
		list.Entries[i].Row = 0
	}
	return list.Entries
}
