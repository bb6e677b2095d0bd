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

// The rows of the excerpts are those of the published lists.
const (
	vggExcerpt = "---g-f_I2yQ,1,people marching,test\n" +
		"--0PQM4-hqg,30,waterfall burbling,train\n" +
		"--56QUhyDQM,185,\"playing tennis, indoors\",train\n" +
		"--56QUhyDQM,20,playing tennis,test\n"
	vggTestExcerpt = "glLQrEijrKg_000300.mp4,playing hammond organ\r\n" +
		"eec--ff1_11_000326.mp4,\"bird chirping, tweeting\"\r\n"
	audioSetExcerpt = "# Segments csv created Sun Mar  5 10:54:25 2017\n" +
		"# num_ytids=20371, num_segs=20371, num_unique_labels=527, num_positive_labels=51804\n" +
		"# YTID, start_seconds, end_seconds, positive_labels\n" +
		"--4gqARaEJE, 0.000, 10.000, \"/m/068hy,/m/07q6cd_,/m/0bt9lr,/m/0jbk\"\n" +
		"--i-y1v8Hy8, 0.000, 9.000, \"/m/04rlf,/m/09x0r,/t/dd00004,/t/dd00005\"\n" +
		"-0BIyqJj9ZU, 30.000, 40.000, \"/m/07rgt08,/m/07sq110\"\n" +
		"Y0000000001, 12.345, 22.345, \"/m/09x0r\"\n"
	cavmaeExcerpt = `{"data": [
 {"video_id": "--4gqARaEJE", "wav": "/data/sls/audioset/eval/--4gqARaEJE.flac",
  "video_path": "/data/sls/audioset/eval_video/--4gqARaEJE.mp4", "labels": "/m/068hy,/m/07q6cd_"},
 {"video_id": "glLQrEijrKg_000300", "wav": "/x/other.wav", "video_path": "/y/frames/", "labels": "/m/09x0r"},
 {"video_id": "-0BIyqJj9ZU", "wav": "", "video_path": "/etc/passwd.mp4", "labels": ""}
]}`
)

func read(t testing.TB, opt Options, args ...string) List {
	t.Helper()
	list, err := Read(args, opt)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// show is an entry in one line: key, file relative to dir, times, split, group, labels.
func show(dir string, e *Entry) string {
	rel, err := filepath.Rel(dir, e.Path)
	if err != nil {
		rel = e.Path
	}
	if e.Missing != "" {
		rel = "(" + rel + ")"
	}
	s := e.Key + " " + rel
	if !e.Whole() {
		s += " " + SegmentKey("", e.Start) + SegmentKey("", e.End)
	}
	return s + " " + e.Split + " " + e.Group + " " + strings.Join(e.Labels, "|")
}

func compare(t *testing.T, dir string, entries []Entry, want ...string) {
	t.Helper()
	slices.Sort(want)
	var got []string
	for i := range entries {
		got = append(got, show(dir, &entries[i]))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestVGGSound(t *testing.T) {
	dir := makeFiles(t, map[string]string{
		"vggsound.csv": vggExcerpt, "train/--0PQM4-hqg_000030.webm": "", "--0PQM4-hqg_000030.wav": "",
		"video/test/---g-f_I2yQ_1.mkv": "", "video/---g-f_I2yQ.mp4": "", "--56QUhyDQM.mp4": "",
		"stat.csv": "waterfall burbling,600,nature\npeople marching,900,people\n",
	})
	list := read(t, Options{}, filepath.Join(dir, "vggsound.csv"))
	// A file with the name of the video alone is neither of two clips.
	compare(t, dir, list.Entries,
		"---g-f_I2yQ_000001 video/test/---g-f_I2yQ_1.mkv test ---g-f_I2yQ people marching",
		"--0PQM4-hqg_000030 train/--0PQM4-hqg_000030.webm train --0PQM4-hqg waterfall burbling",
		"--56QUhyDQM_000020 (--56QUhyDQM_000020.mp4) test --56QUhyDQM playing tennis",
		"--56QUhyDQM_000185 (--56QUhyDQM_000185.mp4) train --56QUhyDQM playing tennis, indoors")
	if m := list.Entries[2].Missing; !strings.Contains(m, "whole video") || list.Missing() != 2 {
		t.Errorf("%d missing: %s", list.Missing(), m)
	}
	want := []Class{{ID: "people marching", Family: "people"}, {ID: "playing tennis"},
		{ID: "playing tennis, indoors"}, {ID: "waterfall burbling", Family: "nature"}}
	if !slices.Equal(list.Classes, want) {
		t.Errorf("classes %+v", list.Classes)
	}
	if list.Leaks.Count != 1 || !strings.Contains(list.Leaks.Examples[0], "vggsound.csv:4") {
		t.Errorf("leaks %+v", list.Leaks)
	}
	rows := []int{list.Entries[0].Row, list.Entries[1].Row, list.Entries[2].Row, list.Entries[3].Row}
	if !slices.Equal(rows, []int{0, 1, 3, 2}) {
		t.Errorf("rows %v", rows)
	}
	// As whole videos both are cut from it, 10 seconds from their start.
	list = read(t, Options{WholeVideos: true}, filepath.Join(dir, "vggsound.csv"))
	compare(t, dir, list.Entries,
		"---g-f_I2yQ_000001 video/test/---g-f_I2yQ_1.mkv test ---g-f_I2yQ people marching",
		"--0PQM4-hqg_000030 train/--0PQM4-hqg_000030.webm train --0PQM4-hqg waterfall burbling",
		"--56QUhyDQM_000020 --56QUhyDQM.mp4 _00020000_00030000 test --56QUhyDQM playing tennis",
		"--56QUhyDQM_000185 --56QUhyDQM.mp4 _00185000_00195000 train --56QUhyDQM playing tennis, indoors")
}

func TestVGGSoundOfTwoColumns(t *testing.T) {
	media := makeFiles(t, map[string]string{"a/glLQrEijrKg_000300.mp4": "", "b/glLQrEijrKg_000300.mp4": ""})
	dir := makeFiles(t, map[string]string{"vggsound_test.csv": vggTestExcerpt, "list.csv": vggTestExcerpt})
	want := "(eec--ff1_11_000326.mp4) test eec--ff1_11 bird chirping, tweeting"
	for name, split := range map[string]string{"vggsound_test.csv": "test", "list.csv": "other"} {
		list := read(t, Options{Media: []string{media}, Split: "other"}, filepath.Join(dir, name))
		compare(t, media, list.Entries,
			"glLQrEijrKg_000300 a/glLQrEijrKg_000300.mp4 "+split+" glLQrEijrKg playing hammond organ",
			"eec--ff1_11_000326 "+strings.Replace(want, "test", split, 1))
	}
}

func TestAudioSet(t *testing.T) {
	files := map[string]string{"eval_segments.csv": audioSetExcerpt,
		"--4gqARaEJE_0_10000.m4a": "", "--4gqARaEJE_0_10000.mp4": "",
		"x/Y--i-y1v8Hy8.mp4": "", "-0BIyqJj9ZU_30.webm": "", "Y0000000001_12_22.mkv": ""}
	dir := makeFiles(t, files)
	path := filepath.Join(dir, "eval_segments.csv")
	list := read(t, Options{}, path)
	compare(t, dir, list.Entries,
		"--4gqARaEJE_0_10000 --4gqARaEJE_0_10000.mp4 test --4gqARaEJE /m/068hy|/m/07q6cd_|/m/0bt9lr|/m/0jbk",
		"--i-y1v8Hy8_0_9000 x/Y--i-y1v8Hy8.mp4 test --i-y1v8Hy8 /m/04rlf|/m/09x0r|/t/dd00004|/t/dd00005",
		"-0BIyqJj9ZU_30000_40000 -0BIyqJj9ZU_30.webm test -0BIyqJj9ZU /m/07rgt08|/m/07sq110",
		"Y0000000001_12345_22345 Y0000000001_12_22.mkv test Y0000000001 /m/09x0r")
	if got := list.Classes; len(got) != 10 || got[0] != (Class{ID: "/m/04rlf"}) {
		t.Errorf("classes without a class list: %+v", got)
	}
	// A part from 0 on is a part.
	whole := read(t, Options{WholeVideos: true}, path)
	if e := whole.Entries[1]; e.Start != 0 || e.End != 9 || e.Whole() {
		t.Errorf("of a whole video: %+v", e)
	}
	// With a class list its order counts, and rows with other labels are bad.
	write(t, filepath.Join(dir, "class_labels_indices.csv"), "index,mid,display_name\n"+
		"0,/m/09x0r,\"Speech\"\n1,/m/07sq110,\"Belly laugh\"\n2,/m/07rgt08,\"Chuckle, chortle\"\n"+
		"3,/m/0zzz,Rare\n4,/m/068hy,Pets\n5,/m/07q6cd_,Squeak\n6,/m/0bt9lr,Dog\n7,/m/0jbk,Animal\n")
	write(t, filepath.Join(dir, "ontology.json"), `[{"id":"/m/r2","name":"Animal things","child_ids":
		["/m/068hy","/m/mid"]},{"id":"/m/r1","name":"Human sounds","child_ids":["/m/deep"]},
		{"id":"/m/deep","name":"d","child_ids":["/m/07rgt08","/m/mid"]},
		{"id":"/m/mid","name":"m","child_ids":["/m/07rgt08","/m/09x0r","/m/unknown"]},
		{"id":"/m/09x0r","name":"Speech","child_ids":[]},{"id":"/m/068hy","name":"Pets","child_ids":[]},
		{"id":"/m/07rgt08","name":"x","child_ids":["/m/07rgt08"]}]`)
	list = read(t, Options{}, path)
	want := []Class{{"/m/09x0r", "Speech", "Animal things"}, {"/m/07sq110", "Belly laugh", ""},
		{"/m/07rgt08", "Chuckle, chortle", "Animal things"}, {"/m/0zzz", "Rare", ""},
		{"/m/068hy", "Pets", "Animal things"}, {"/m/07q6cd_", "Squeak", ""}, {"/m/0bt9lr", "Dog", ""},
		{"/m/0jbk", "Animal", ""}}
	if !slices.Equal(list.Classes, want) {
		t.Errorf("classes\n%+v, want\n%+v", list.Classes, want)
	}
	if list.Bad.Count != 1 || !strings.Contains(list.Bad.Examples[0],
		`eval_segments.csv:5, positive_labels: label "/m/04rlf" is not among the classes`) {
		t.Errorf("bad %+v", list.Bad)
	}
}

func TestCAVMAE(t *testing.T) {
	dir := makeFiles(t, map[string]string{"train.json": cavmaeExcerpt,
		"other.wav": "", "eval_video/--4gqARaEJE.mp4": "", "0/--4gqARaEJE.mp4": ""})
	list := read(t, Options{}, filepath.Join(dir, "train.json"))
	compare(t, dir, list.Entries,
		"--4gqARaEJE 0/--4gqARaEJE.mp4 train --4gqARaEJE /m/068hy|/m/07q6cd_",
		"glLQrEijrKg_000300 other.wav train glLQrEijrKg /m/09x0r",
		"-0BIyqJj9ZU (-0BIyqJj9ZU.mp4) train -0BIyqJj9ZU ")
	// The very path of the list goes first.
	there := strings.ReplaceAll(cavmaeExcerpt, "/data/sls/audioset", dir)
	write(t, filepath.Join(dir, "train.json"), there)
	list = read(t, Options{}, filepath.Join(dir, "train.json"))
	if rel, _ := filepath.Rel(dir, list.Entries[0].Path); rel != "eval_video/--4gqARaEJE.mp4" {
		t.Errorf("took %s", rel)
	}
	// Outside the media folders only when that is allowed.
	away := makeFiles(t, map[string]string{"--4gqARaEJE.mp4": ""})
	write(t, filepath.Join(dir, "train.json"), strings.ReplaceAll(cavmaeExcerpt,
		"/data/sls/audioset/eval_video", away))
	for allowed, want := range map[bool]string{false: filepath.Join(dir, "0"), true: away} {
		list = read(t, Options{AllowOutside: allowed}, filepath.Join(dir, "train.json"))
		if got := filepath.Dir(list.Entries[0].Path); got != want {
			t.Errorf("outside allowed %v: %s", allowed, got)
		}
	}
}

func TestJSONL(t *testing.T) {
	dir := makeFiles(t, map[string]string{"v/a.mp4": "", "list.jsonl": "\xEF\xBB\xBF" +
		`{"path": "v/a.mp4", "labels": ["dog; big", "animal"], "split": "val", "group": "g"}` + "\r\n\n" +
		`{"start": 1.5, "end": 4e0, "label": "caf\u00e9", "path": "v/b.mp4", "key": "k"}`})
	list := read(t, Options{}, filepath.Join(dir, "list.jsonl"))
	compare(t, dir, list.Entries, "v/a v/a.mp4 val g dog; big|animal",
		"k v/b.mp4 _00001500_00004000   café")
	write(t, filepath.Join(dir, "list.csv"), "labels,path,group,split\n\" dog ; animal;\",v/a.mp4,g,val\n")
	list = read(t, Options{}, filepath.Join(dir, "list.csv"))
	compare(t, dir, list.Entries, "v/a v/a.mp4 val g dog|animal")
}

func TestUnlabelled(t *testing.T) {
	dir := makeFiles(t, map[string]string{"2024/a.mp4": "", "2025/b.mp4": ""})
	list := read(t, Options{Unlabelled: true, Split: "all"}, dir)
	compare(t, dir, list.Entries, "2024/a 2024/a.mp4 all  ", "2025/b 2025/b.mp4 all  ")
	if len(list.Classes) != 0 {
		t.Errorf("classes %v", list.Classes)
	}
}

// One file cannot be two clips: the one listed first has it.
func TestOneFileOneClip(t *testing.T) {
	dir := makeFiles(t, map[string]string{"a_train.csv": "abcdefghijk,30,dog,train\nabcdefghijk,30,cat,train\n" +
		"abcdefghijk,30,dog,train\n", "b_segments.csv": "#\nabcdefghijk, 30, 40, \"/m/a\"\nother, 0, 10, /m/b\n",
		"abcdefghijk_000030.mp4": "", "other.mp4": ""})
	list := read(t, Options{}, filepath.Join(dir, "a_train.csv"), filepath.Join(dir, "b_segments.csv"))
	compare(t, dir, list.Entries, "abcdefghijk_000030 abcdefghijk_000030.mp4 train abcdefghijk dog",
		"other_0_10000 other.mp4  other /m/b")
	if list.Bad.Count != 2 || !strings.Contains(list.Bad.Examples[0], "a_train.csv:2") ||
		!strings.Contains(list.Bad.Examples[1], "b_segments.csv:2") {
		t.Errorf("%+v", list.Bad)
	}
}

func TestFormatsAreSeen(t *testing.T) {
	for want, texts := range map[Format][]string{
		CSV:      {"path,label\na.mp4,x\n", "", "\xEF\xBB\xBFlabel, Path\n", "a,b,c\n"},
		JSONL:    {`{"path": "data"}` + "\n" + `{"data": []}`, `{"data": 1}`, "{", `[{"path": "a"}]`},
		VGGSound: {vggExcerpt, vggTestExcerpt, "broken \" row\n,\n" + vggTestExcerpt},
		AudioSet: {audioSetExcerpt, "-0BIyqJj9ZU, 30.000, 40.000, \"/m/07rgt08\"\n"},
		CAVMAE:   {cavmaeExcerpt, `{"version": {"data": 1}, "data":[`},
	} {
		for _, text := range texts {
			if got := detectHead([]byte(text), true); got != want {
				t.Errorf("%.40q is taken for %s, not %s", text, got, want)
			}
		}
	}
	dir := makeFiles(t, map[string]string{"l.txt": audioSetExcerpt, "-0BIyqJj9ZU.mp4": ""})
	if l := read(t, Options{Format: AudioSet}, filepath.Join(dir, "l.txt")); len(l.Entries) != 4 {
		t.Errorf("%d entries of a forced format", len(l.Entries))
	}
	_, err := Read([]string{dir}, Options{Format: "parquet"})
	if !errors.Is(err, ErrManifest) || !strings.Contains(err.Error(), "csv, jsonl, vggsound") {
		t.Error(err)
	}
}

// A folder of files is taken deterministically, whatever the order of its names.
func TestWhichFileIsTaken(t *testing.T) {
	a := makeFiles(t, map[string]string{"deep/er/x.mp4": "", "deep/er/and/y.mp4": "", "zz/y.mp4": "", "x.txt": "", "x.mp4.part": "", ".x.mp4": ""})
	b := makeFiles(t, map[string]string{"z/x.mp4": "", "y/x.mp4": "", "x.ogg": "", "x.xyz": "", "q/x.WEBM": ""})
	for _, c := range []struct {
		folders []string
		want    string
	}{
		{[]string{a, b}, a + "/deep/er/x.mp4"}, {[]string{b, a}, b + "/y/x.mp4"},
		{[]string{b + "/q"}, b + "/q/x.WEBM"},
	} {
		m, err := indexMedia(c.folders, false)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.path(m.find([]byte("x"), ""), []byte("x")); got != c.want {
			t.Errorf("took %s, want %s", got, c.want)
		}
	}
	if m, err := indexMedia([]string{a}, false); err != nil ||
		m.path(m.find([]byte("y"), ""), []byte("y")) != a+"/zz/y.mp4" {
		t.Errorf("took the deeper file (%v)", err)
	}
	if err := os.Remove(filepath.Join(b, "q", "x.WEBM")); err != nil {
		t.Fatal(err)
	}
	m, err := indexMedia([]string{b + "/q", a + "/.x.mp4/.."}, false)
	if err == nil && m.find([]byte("nothing"), "") >= 0 {
		t.Error("found nothing")
	}
}

func TestMediaLinksStayInside(t *testing.T) {
	outside := makeFiles(t, map[string]string{"abcdefghijk_000030.mp4": "", "far/bbcdefghijk_000030.mp4": ""})
	dir := makeFiles(t, map[string]string{"test.csv": "abcdefghijk_000030.mp4,dog\nbbcdefghijk_000030.mp4,dog\n" +
		"cbcdefghijk_000030.mp4,dog\n", "store/c.mp4": ""})
	for to, name := range map[string]string{outside + "/abcdefghijk_000030.mp4": "abcdefghijk_000030.mp4",
		outside + "/far": "far", dir + "/store/c.mp4": "cbcdefghijk_000030.mp4", dir: "store/loop"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Skipf("no symbolic links here: %v", err)
		}
	}
	list := read(t, Options{}, filepath.Join(dir, "test.csv"))
	if list.Missing() != 2 || list.Entries[2].Missing != "" ||
		!strings.Contains(list.Entries[0].Missing, "leads to "+outside) {
		t.Errorf("%+v", list.Entries)
	}
	if list = read(t, Options{AllowOutside: true}, filepath.Join(dir, "test.csv")); list.Missing() != 0 {
		t.Errorf("allowed: %+v", list.Entries)
	}
}

func TestMergedLists(t *testing.T) {
	dir := makeFiles(t, map[string]string{"dog/a.mp4": "", "list.csv": "path,label\nb.mp4,cat\ndog/a.mp4,dog\n"})
	list := read(t, Options{}, dir, filepath.Join(dir, "list.csv"))
	if got := keys(list.Entries); !reflect.DeepEqual(got, []string{"b", "dog/a"}) {
		t.Error(got)
	}
}
