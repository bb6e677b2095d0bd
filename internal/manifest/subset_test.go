package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// goldenList is a list with the keys that the published code drew from it.
type goldenList struct {
	CSV     string   `json:"csv"`
	Seed0   []string `json:"keys_5_per_class_seed0"`
	Seed7   []string `json:"keys_2_per_class_seed7"`
	Classes []string `json:"classes"`
}

func TestBalancedGolden(t *testing.T) {
	text, err := os.ReadFile("../../testdata/golden/metrics.json")
	if err != nil {
		t.Fatal(err)
	}
	var g struct {
		Subset struct{ VGGSound, AudioSet goldenList }
	}
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]goldenList{"test.csv": g.Subset.VGGSound,
		"eval_segments.csv": g.Subset.AudioSet} {
		if len(want.Seed0) == 0 || len(want.Seed7) == 0 {
			t.Fatal("no keys in the file")
		}
		path := filepath.Join(makeFiles(t, map[string]string{name: want.CSV}), name)
		list := read(t, Options{}, path)
		var ids []string
		for _, c := range list.Classes {
			ids = append(ids, c.ID)
		}
		if !slices.Equal(ids, want.Classes) || list.Bad.Count > 0 {
			t.Errorf("%s: classes %v, want %v; %v", name, ids, want.Classes, list.Bad)
		}
		for _, c := range []struct {
			n    int
			seed uint64
			keys []string
		}{{5, 0, want.Seed0}, {2, 7, want.Seed7}} {
			part := read(t, Options{}, path)
			if err := part.Select(Filter{PerClass: c.n, Seed: c.seed}); err != nil {
				t.Fatal(err)
			}
			if got := keys(part.Entries); !slices.Equal(got, c.keys) {
				t.Errorf("%s: %d a class, seed %d:\n%v, want\n%v", name, c.n, c.seed, got, c.keys)
			}
		}
	}
}

// Of equally rare labels the first of the row counts: a has clips 0 and 1, b has 2.
func TestBalancedTies(t *testing.T) {
	clips := [][]string{{"a", "b"}, {"a", "c"}, {"b", "c"}, nil}
	clip := func(i int) (int, []string) { return i, clips[i] }
	// Python: r = random.Random(1); x = [0, 1]; r.shuffle(x) gives [1, 0].
	if got := Balanced(1, 1, len(clips), clip); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("took %v", got)
	}
	if got := Balanced(9, 0, len(clips), clip); !slices.Equal(got, []int{0, 1, 2}) {
		t.Errorf("took %v of all", got)
	}
}

func TestSamplingWeights(t *testing.T) {
	clips := [][]string{{"a", "b"}, {"a"}, nil, {"a", "c", "b"}}
	got := SamplingWeights(len(clips), func(i int) []string { return clips[i] })
	a, b, c := 1000/3.01, 1000/2.01, 1000/1.01
	for i, want := range []float64{a + b, a, 0, a + c + b} {
		if !(math.Abs(got[i]-want) <= 1e-9) {
			t.Errorf("clip %d: weight %v, want %v", i, got[i], want)
		}
	}
}

// vggList makes a list with files for all but every fifth clip.
func vggList(t testing.TB, n int) string {
	files := map[string]string{}
	var b strings.Builder
	for i := range n {
		id := fmt.Sprintf("abcdefgh%03d", i)
		fmt.Fprintf(&b, "%s,%d,label %d,%s\n", id, i%40, i%7, [...]string{"train", "test"}[i%2])
		if i%5 != 0 {
			files[fmt.Sprintf("%s_%06d.mp4", id, i%40)] = ""
		}
	}
	files["vggsound.csv"] = b.String()
	return filepath.Join(makeFiles(t, files), "vggsound.csv")
}

func TestSelect(t *testing.T) {
	path := vggList(t, 140)
	pick := func(f Filter) []string {
		list := read(t, Options{}, path)
		if err := list.Select(f); err != nil {
			t.Fatal(err)
		}
		if len(list.Classes) != 7 {
			t.Errorf("%d classes", len(list.Classes))
		}
		return keys(list.Entries)
	}
	if n := len(pick(Filter{})); n != 140 {
		t.Errorf("%d of all", n)
	}
	if n := len(pick(Filter{Labels: []string{"label 3", "LABEL 5"}, Splits: []string{"test"}})); n != 20 {
		t.Errorf("%d by label and split, want 20", n)
	}
	ten, fifty := pick(Filter{Limit: 10, Seed: 3}), pick(Filter{Limit: 50, Seed: 3})
	if len(ten) != 10 || len(fifty) != 50 || !slices.IsSorted(fifty) {
		t.Errorf("limits gave %v and %d", ten, len(fifty))
	}
	for _, k := range ten {
		if !slices.Contains(fifty, k) {
			t.Errorf("a limit of 50 lacks %s", k)
		}
	}
	if slices.Equal(ten, pick(Filter{Limit: 10, Seed: 4})) {
		t.Error("the seed makes no difference")
	}
	if n := len(pick(Filter{Limit: 1000})); n != 112 {
		t.Errorf("%d have a file, want 112", n)
	}
	// Each clip is as likely as any other: 5 of 112 in 400 draws, 17.9 of each.
	count := map[string]int{}
	list := read(t, Options{}, path)
	for seed := range 400 {
		part := List{Entries: slices.Clone(list.Entries), Classes: list.Classes}
		if err := part.Select(Filter{Limit: 5, Seed: uint64(seed)}); err != nil {
			t.Fatal(err)
		}
		for _, k := range keys(part.Entries) {
			count[k]++
		}
	}
	for k, n := range count {
		if n < 3 || n > 40 {
			t.Errorf("%s drawn %d times", k, n)
		}
	}
	if len(count) != 112 {
		t.Errorf("%d clips were ever drawn", len(count))
	}
}

func TestSelectRefuses(t *testing.T) {
	path := vggList(t, 14)
	for _, c := range []struct {
		f    Filter
		want string
		kind error
	}{
		{Filter{Labels: []string{"labl 3"}}, `did you mean "label 3"`, ErrManifest},
		{Filter{Splits: []string{"val"}}, "the list has test, train", ErrManifest},
		{Filter{Limit: -1}, "negative", ErrManifest},
		{Filter{Labels: []string{"label 0"}, Splits: []string{"train"}, Limit: 1}, "no clip", ErrEmpty},
	} {
		list := read(t, Options{}, path)
		if c.kind == ErrEmpty { // the clips with label 0 in train have no file
			for i := range list.Entries {
				list.Entries[i].Missing = "gone"
			}
		}
		err := list.Select(c.f)
		if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.f, err)
		}
	}
	list := read(t, Options{}, makeFiles(t, map[string]string{"a.mp4": ""}))
	for f, want := range map[*Filter]string{{Labels: []string{"x"}}: "have no labels",
		{Splits: []string{"train"}}: "gives no splits"} {
		if err := list.Select(*f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", f, err)
		}
	}
}
