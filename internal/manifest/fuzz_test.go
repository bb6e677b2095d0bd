package manifest

import (
	"bytes"
	"errors"
	"io"
	"math"
	"path/filepath"
	"strings"
	"testing"
)

// checkCandidate fails unless a clip obeys the bounds that later code relies on.
func checkCandidate(t *testing.T, c *candidate) {
	t.Helper()
	if c.Path == "" || len(c.Path) > maxPathBytes+MaxKeyBytes || strings.Contains(c.Path, "\x00") {
		t.Errorf("path %q", c.Path)
	}
	if CheckLabels(c.Labels) != nil || CheckSplit(c.Split) != nil || CheckLabel(c.Group) != nil {
		t.Errorf("labels %q, split %q, group %q", c.Labels, c.Split, c.Group)
	}
	if !(c.Start >= 0 && c.Start <= MaxSeconds) || c.End != 0 && !(c.End > c.Start) ||
		math.IsInf(c.End, 0) {
		t.Errorf("from %v to %v", c.Start, c.End)
	}
	key := c.Key
	if key == "" {
		key = autoKey(c, true)
	}
	if err := CheckKey(key); err != nil || c.Key != "" && len(key) > MaxBaseBytes {
		t.Errorf("key %q: %v", key, err)
	}
}

func fuzzOwn(f *testing.F, parse func(io.Reader) ([]candidate, error), seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		rows, err := parse(bytes.NewReader(text))
		if err != nil {
			return
		}
		for i := range rows {
			checkCandidate(t, &rows[i])
		}
	})
}

func FuzzCSV(f *testing.F) {
	fuzzOwn(f, readCSV, "", "path\n", "path,label\na.mp4,dog\n", "\xEF\xBB\xBFpath,label\r\na,\"b,c\"\r\n",
		"path,start,end,key,split,label\na,1,2,k,train,l\n", "path\n\"\n", "path,label\na\n",
		"path,start\na,1e309\na,-0\na,0x1p-2\n", "label,path\n\xff,a\n", "path,key\na,b/../c\n",
		"path,labels,group\na,x; y,g\n")
}

func FuzzJSONL(f *testing.F) {
	fuzzOwn(f, readJSONL, "", `{"path": "a", "labels": ["x", "y"], "start": 1.5, "end": 2}`,
		`{"path": "a", "label": "x", "split": "val", "key": "k", "group": "g"}`+"\n{}", `{"path": "a", "path": 1}`)
}

// fuzzPublished holds a published list to the same bounds, and to end in entries that
// are sorted and differ in their keys.
func fuzzPublished(f *testing.F, format Format, seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	m := newMediaIndex(false)
	m.roots, m.real = []string{"/media"}, []string{"/media"}
	for _, name := range []string{"a.mp4", "a_1.mp4", "good0000000.mkv", "YdEk3gzIjUg8.wav"} {
		if err := m.add("/media", "", name, false); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte, whole bool) {
		r := &reader{opt: Options{WholeVideos: whole}}
		l := &listFile{path: "/lists/train.csv", lenient: true, media: m, split: splitOfName("/lists/train.csv")}
		r.lists = append(r.lists, l)
		parse := map[Format]func(*listFile, io.Reader) error{VGGSound: r.readVGGSound,
			AudioSet: r.readAudioSet, CAVMAE: r.readCAVMAE}[format]
		if err := parse(l, bytes.NewReader(text)); err != nil {
			if !errors.Is(err, ErrManifest) {
				t.Error(err)
			}
			return
		}
		for i := range r.all.len() {
			checkCandidate(t, r.all.at(i))
		}
		list, err := r.list()
		if err != nil && !errors.Is(err, ErrEmpty) {
			t.Error(err)
		}
		for i := 1; i < len(list.Entries); i++ {
			if list.Entries[i-1].Key >= list.Entries[i].Key {
				t.Errorf("key %q before %q", list.Entries[i-1].Key, list.Entries[i].Key)
			}
		}
		for _, e := range list.Entries {
			if !filepath.IsAbs(e.Path) || !strings.HasPrefix(e.Path, "/media/") {
				t.Errorf("path %q", e.Path)
			}
		}
		if err := CheckClasses(list.Classes); err != nil {
			t.Error(err)
		}
	})
}

func FuzzVGGSound(f *testing.F) {
	fuzzPublished(f, VGGSound, vggExcerpt, vggTestExcerpt, "a,1,\"b \"\"c\"\"\",test\n", "a_000001.mp4,x\n,\n")
}

func FuzzAudioSet(f *testing.F) {
	fuzzPublished(f, AudioSet, audioSetExcerpt, "good0000000, 1, 2.0005, \"/m/a\"\n", "#\n#\n#\n\"")
}

func FuzzCAVMAE(f *testing.F) {
	fuzzPublished(f, CAVMAE, cavmaeExcerpt, `{"data":[`+goodRow+`,{"video_id":1}],"x":{}}`, `{"x":[],"data":[]}`)
}

// FuzzClassFiles: what the files about classes say can be the classes of a list.
func FuzzClassFiles(f *testing.F) {
	f.Add([]byte("index,mid,display_name\n0,/m/09x0r,\"Speech\"\n"))
	f.Add([]byte("dog,1,\"animals, small\"\n"))
	f.Add([]byte(`[{"id":"a","name":"A","child_ids":["b","a"]},{"id":"b"}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if classes, err := readClassFile(bytes.NewReader(text)); err == nil {
			if err := CheckClasses(classes); err != nil {
				t.Error(err)
			}
		}
		if families, err := readFamilies(bytes.NewReader(text)); err == nil {
			for l, f := range families {
				if CheckLabel(l) != nil || CheckLabel(f) != nil {
					t.Errorf("%q is of %q", l, f)
				}
			}
		}
		if known, err := readOntology(bytes.NewReader(text)); err == nil {
			for id, c := range known {
				if err := CheckClasses([]Class{c}); err != nil || c.ID != id {
					t.Errorf("%+v: %v", c, err)
				}
			}
		}
		detectHead(text, true)
		detectHead(text, false)
	})
}
