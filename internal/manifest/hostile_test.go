package manifest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"
)

func utf16le(s string) string {
	b := []byte{0xFF, 0xFE}
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return string(b)
}

// Published lists that are something else are refused, and name file, place and
// remedy.
func TestPublishedListsRefused(t *testing.T) {
	deep := strings.Repeat("[", 1_000_000)
	for name, c := range map[string]struct {
		format     Format
		text, want string
	}{
		"utf-16":         {AudioSet, utf16le(audioSetExcerpt), "UTF-16: save it as UTF-8"},
		"utf-16 no mark": {AudioSet, utf16le(audioSetExcerpt)[2:], "zero byte"},
		"other format":   {AudioSet, vggTestExcerpt, "2 of 2 rows cannot be used, the first: 1: 2 fields"},
		"binary":         {VGGSound, "\x7fELF\x00\x01\n\xff\xfe\x00", "cannot be used"},
		"no rows":        {AudioSet, "# a\n# b\n\n", "no clips in it"},
		"nested":         {CAVMAE, `{"data": [` + deep, "row 1: not JSON"},
		"nested before":  {CAVMAE, `{"x": ` + deep, "not JSON"},
		"cut off":        {CAVMAE, cavmaeExcerpt[:len(cavmaeExcerpt)-60], "row 3: not JSON: it ends inside"},
		"cut at a row":   {CAVMAE, `{"data": [` + goodRow + `,`, "row 2: not JSON: it ends inside"},
		"data twice":     {CAVMAE, `{"data": [` + goodRow + `], "x": 1, "data": []}`, "second time"},
		"unclosed":       {CAVMAE, `{"data": [` + goodRow + `]`, "it ends inside"},
		"no data":        {CAVMAE, `{"video": []}`, `no field "data"`},
		"data is one":    {CAVMAE, `{"data": {"a": []}}`, "not an array"},
		"array":          {CAVMAE, `[` + goodRow + `]`, "not an object such as"},
		"long value":     {CAVMAE, `{"data": [{"wav": "` + strings.Repeat("x", 2<<20) + `"}]}`, "more than 1048576 bytes"},
		"no objects":     {CAVMAE, `{"data": [1, "2", null]}`, "3 of 3 rows"},
	} {
		path := filepath.Join(makeFiles(t, map[string]string{"list.json": c.text}), "list.json")
		_, err := Read([]string{path}, Options{Format: c.format})
		if err == nil || !(errors.Is(err, ErrManifest) || errors.Is(err, ErrEmpty)) ||
			!strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "list.json") {
			t.Errorf("%s:\n got %v\nwant …%s…", name, err, c.want)
		}
	}
}

const goodRow = `{"video_id": "good", "wav": "", "video_path": "", "labels": "/m/x"}`

// A wrong row of a published list is passed over with file, line, column and reason,
// and the rows beside it stay.
func TestWrongRowsPassedOver(t *testing.T) {
	for _, f := range []struct {
		format           Format
		good, after      string
		rows             []string
		reasons          []string
		before, name, at string
	}{
		{format: VGGSound, good: "good0000000,%d,dog,train\n", at: ":2", rows: []string{
			"a,1,dog", "a,1,dog,train,x", "a/b,1,dog,train", "../x,1,dog,train", ",1,dog,train",
			strings.Repeat("i", 49) + ",1,dog,train", "a,-1,dog,train", "a,1.5,dog,train",
			"a,99999999999999999999,dog,train", "a,100000,dog,train", "a,1,,train", "a,1,d\x07g,train",
			"a,1,dog,no/split", "a,1,\"dog,train", "a,1,d\"og,train", "a,1,caf\xe9,train", "a,1,d\x00g,train",
			"a,1," + strings.Repeat("x", 1_000_000) + ",train", "a,1," + strings.Repeat("x", 5000) + ",train"},
			reasons: []string{"3 fields", "5 fields", "column 1: the name of the video", "is not allowed",
				"0 bytes", "49 bytes", "start: \"-1\"", "whole number", "whole number", "up to 99999",
				"label: empty", "not plain", "split: split", "not closed", "quote inside", "not UTF-8",
				"zero byte", "longer than 65536", "label of 5000"}},
		{format: VGGSound, good: "good_%06d.mp4,dog\n", at: ":2", rows: []string{
			"a_1.mp4,dog", "a.mp4,dog", "a_00001x.mp4,dog", "_000001.mp4,dog", "x/a_000001.mp4,dog",
			"http://x/a_000001.mp4,dog", "a_000001.mp4", "a_9999999999999999999999.mp4,dog"},
			reasons: []string{"not a name such as", "not a name such as", "whole number", "0 bytes",
				"not allowed", "not allowed", "1 fields", "whole number"}},
		{format: AudioSet, good: "good, %d, 99, \"/m/a\"\n", at: ":2", rows: []string{
			"a, 0, 10", "a, 0, 10, /m/a, /m/b", "a, x, 10, /m/a", "a, 1e309, 10, /m/a", "a, NaN, 10, /m/a",
			"a, 10, 5, /m/a", "a, 0, , /m/a", "a, 0, 1e300, /m/a", "a, 0, 10, \"/m/a,,/m/b\"", "a, 0, 10, ",
			"a b, 0, 10, /m/a", "a, 0, 10, \"/m/\x1b[31m\"", "a, 0, 10, \"" + strings.Repeat("/m/a,", 200_000) + "\"",
			"a, 0, 10, \"" + manyLabels(1001) + "\""},
			reasons: []string{"3 fields", "5 fields", "start_seconds", "start_seconds", "start_seconds",
				"not after", "no time", "outside", "positive_labels: an empty label", "an empty label",
				"YTID", "not plain", "longer than", "1001 labels"}},
		{format: CAVMAE, before: `{"data": [`, after: `{}]}`, at: ":2",
			good: `{"video_id": "good_%d", "wav": "", "video_path": "", "labels": "/m/x"},`, rows: []string{
				`{"video_id": 7}`, `{"video_id": ""}`, `{"video_id": "a/../b"}`, `[]`, `{"video_id": "a", "labels": ","}`,
				`{"video_id": "a", "wav": "file:///etc/passwd"}`, `{"video_id": "a", "video_path": "http://x/a.mp4"}`,
				`{"video_id": "a", "video_path": "\u0000.mp4"}`, `{"video_id": "a", "labels": ["/m/x"]}`},
			reasons: []string{"video_id: a number", "0 bytes", "not allowed", "array", "empty label",
				"wav: ", "video_path: ", "video_path: ", "labels: a array"}},
	} {
		for i, row := range f.rows {
			sep := "\n"
			if f.format == CAVMAE {
				sep = ","
			}
			text := f.before + fmt.Sprintf(f.good, 1) + row + sep + fmt.Sprintf(f.good, 2) +
				fmt.Sprintf(f.good, 3) + f.after
			want := 1
			if f.after != "" {
				want++ // the empty object at its end
			}
			path := filepath.Join(makeFiles(t, map[string]string{"list.csv": text}), "list.csv")
			list, err := Read([]string{path}, Options{Format: f.format})
			if err != nil {
				t.Errorf("%.60q: %v", row, err)
				continue
			}
			if len(list.Entries) != 3 || list.Bad.Count != want ||
				!strings.HasPrefix(list.Bad.Examples[0], path+f.at) ||
				!strings.Contains(list.Bad.Examples[0], f.reasons[i]) {
				t.Errorf("%.60q: %d entries, want …%s…, bad: %.200v", row, len(list.Entries), f.reasons[i], list.Bad)
			}
			for _, e := range list.Bad.Examples {
				if len(e) > 500+len(path) {
					t.Errorf("%.60q: an example of %d bytes", row, len(e))
				}
			}
		}
	}
}

func manyLabels(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "/m/%d,", i)
	}
	return strings.TrimSuffix(b.String(), ",")
}

// Many wrong rows cost no memory.
func TestExamplesAreFew(t *testing.T) {
	text := strings.Repeat("broken\n", 900) + strings.Repeat("good, 0, 10, /m/a\n", 1000)
	path := filepath.Join(makeFiles(t, map[string]string{"list.csv": text}), "list.csv")
	list := read(t, Options{Format: AudioSet}, path)
	if list.Bad.Count != 900 || len(list.Bad.Examples) != maxExamples || len(list.Entries) != 1 {
		t.Errorf("%d entries, %d bad, %d shown", len(list.Entries), list.Bad.Count, len(list.Bad.Examples))
	}
}

func TestTallyShowsFew(t *testing.T) {
	var y Tally
	for range 100 {
		y.add("text")
	}
	if y.Count != 100 || len(y.Examples) != maxExamples {
		t.Errorf("%d counted, %d kept", y.Count, len(y.Examples))
	}
}

func TestOwnListsRefused(t *testing.T) {
	for name, c := range map[string]struct{ file, text, want string }{
		"address":       {"l.csv", "path\nhttp://host/a.mp4\n", "line 2, column path: \"http://host/a.mp4\" is an address"},
		"file address":  {"l.csv", "path\nfile:/etc/passwd\n", "is an address"},
		"both labels":   {"l.csv", "path,label,labels\n", "line 1: label and labels at once"},
		"label twice":   {"l.csv", "path,labels\na,x;x\n", `column labels: label "x" for the second time`},
		"group splits":  {"l.csv", "path,group,split\na,g,train\nb,g,test\n", "g is in split train at "},
		"group differs": {"l.csv", "path,group,start\na,g,1\na,h,2\n", "l.csv:3"},
		"group":         {"l.csv", "path,group\na,\x07\n", "line 2, column group"},
		"not an object": {"l.jsonl", "[1]\n", "line 1: not an object"},
		"unknown field": {"l.jsonl", `{"path": "a", "fold": 1}`, `line 1, field "fold": unknown field`},
		"field twice":   {"l.jsonl", `{"path": "a", "path": "b"}`, `line 1, field "path": for the second time`},
		"no path":       {"l.jsonl", "\n" + `{"label": "b"}`, "line 2: no field path"},
		"number":        {"l.jsonl", `{"path": 1}`, `field "path": 1 is not a text`},
		"text as time":  {"l.jsonl", `{"path": "a", "start": "1"}`, `field "start": 1 is not a number`},
		"huge":          {"l.jsonl", `{"path": "a", "start": 1e999}`, `field "start"`},
		"label array":   {"l.jsonl", `{"path": "a", "label": ["x"]}`, `field "label"`},
		"labels text":   {"l.jsonl", `{"path": "a", "labels": "x"}`, `field "labels"`},
		"labels number": {"l.jsonl", `{"path": "a", "labels": [1]}`, `field "labels": 1 is not a text`},
		"labels nested": {"l.jsonl", `{"path": "a", "labels": [` + strings.Repeat("[", 60_000), `field "labels"`},
		"nested":        {"l.jsonl", strings.Repeat(`{"path":`, 1_000_000), "longer than"},
		"two objects":   {"l.jsonl", `{"path": "a"} {"path": "b"}`, "more than one object"},
		"cut off":       {"l.jsonl", `{"path": "a", "labels": ["x"`, "it ends inside"},
		"zero in path":  {"l.jsonl", `{"path": "a\u0000b"}`, "not plain text"},
		"no class":      {"l.csv", "path,label\na,zebra\n", `label "zebra" is not among the classes`},
		"end":           {"l.jsonl", `{"path": "a", "start": 3, "end": 2}`, `field end: end 2 s is not after`},
	} {
		dir := makeFiles(t, map[string]string{c.file: c.text, "classes.csv": "0,x,X\n1,y,Y\n"})
		_, err := Read([]string{filepath.Join(dir, c.file)}, Options{Classes: filepath.Join(dir, "classes.csv")})
		if !errors.Is(err, ErrManifest) || !strings.Contains(err.Error(), c.want) ||
			!strings.Contains(err.Error(), c.file) {
			t.Errorf("%s:\n got %v\nwant …%s…", name, err, c.want)
		}
	}
}

func TestClassFilesRefused(t *testing.T) {
	for name, c := range map[string]struct{ classes, ontology, families, want string }{
		"order":       {classes: "0,a,A\n2,b,B\n", want: `line 2, column index: "2", expected 1`},
		"class twice": {classes: "0,a,A\n1,a,B\n", want: `"a" for the second time`},
		"columns":     {classes: "index,mid\n", want: "line 1: 2 fields, expected index,mid,display_name"},
		"no classes":  {classes: "index,mid,display_name\n", want: "no classes in it"},
		"empty id":    {classes: "0,,A\n", want: "empty id"},
		"node twice":  {ontology: `[{"id":"a"},{"id":"a"}]`, want: `node 1: "a" for the second time`},
		"no array":    {ontology: `{"id":"a"}`, want: "expected [{"},
		"nested":      {ontology: strings.Repeat("[", 1_000_000), want: "expected [{"},
		"control":     {ontology: `[{"id":"a\u0007"}]`, want: "not plain"},
		"family":      {families: "a,1,x\na,1,y\n", want: `line 2: "a" is of the family "y", and of "x" before`},
		"absent":      {families: "-", want: "no file of that name"},
	} {
		dir := makeFiles(t, map[string]string{"c.csv": c.classes, "o.json": c.ontology, "f.csv": c.families, "a.mp4": ""})
		var opt Options
		for _, f := range []struct {
			at         *string
			name, text string
		}{{&opt.Classes, "c.csv", c.classes}, {&opt.Ontology, "o.json", c.ontology}, {&opt.Families, "f.csv", c.families}} {
			if f.text != "" {
				*f.at = filepath.Join(dir, f.name)
			}
		}
		if c.families == "-" {
			if err := os.Remove(filepath.Join(dir, "f.csv")); err != nil {
				t.Fatal(err)
			}
		}
		_, err := Read([]string{dir}, opt)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s:\n got %v\nwant …%s…", name, err, c.want)
		}
	}
}

func TestOntologyWithCycles(t *testing.T) {
	known, err := readOntology(strings.NewReader(`[{"id":"top","name":"Top","child_ids":["a"]},
		{"id":"a","child_ids":["b"]},{"id":"b","child_ids":["a","c"]},{"id":"c","child_ids":["c"]},
		{"id":"x","child_ids":["y"]},{"id":"y","child_ids":["x"]}]`))
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{"top": "Top", "a": "Top", "b": "Top", "c": "Top", "x": "", "y": ""} {
		if got := known[id].Family; got != want {
			t.Errorf("%s is of %q, want %q", id, got, want)
		}
	}
}

// Links that lead into each other in ever more ways end.
func TestLinkBomb(t *testing.T) {
	dir := t.TempDir()
	for i := range 40 {
		d := filepath.Join(dir, fmt.Sprint(i))
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, l := range []string{"a", "b"} {
			if err := os.Symlink(filepath.Join(dir, fmt.Sprint(i+1)), filepath.Join(d, l)); err != nil {
				t.Skipf("no symbolic links here: %v", err)
			}
		}
	}
	if _, err := Read([]string{filepath.Join(dir)}, Options{}); !errors.Is(err, ErrManifest) {
		t.Error(err)
	}
}
