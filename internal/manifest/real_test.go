package manifest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// realLists returns the folder of lists as their authors publish them.
func realLists(t testing.TB) string {
	t.Helper()
	dir, err := filepath.Abs("../../../shared/labels")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		for _, r := range strings.Split(os.Getenv("AVJEPA_REQUIRE"), ",") {
			if r == "shared" {
				t.Fatalf("AVJEPA_REQUIRE has shared: %v", err)
			}
		}
		t.Skip("no published lists at " + dir)
	}
	return dir
}

func TestRealVGGSound(t *testing.T) {
	dir := realLists(t)
	list := read(t, Options{Media: []string{t.TempDir()}}, filepath.Join(dir, "vggsound_test.csv"))
	if len(list.Entries) != 15446 || len(list.Classes) != 309 || list.Bad.Count != 0 || list.Leaks.Count != 0 {
		t.Fatalf("%d entries, %d classes, bad %v", len(list.Entries), len(list.Classes), list.Bad)
	}
	groups, families, splits := map[string]bool{}, map[string]int{}, map[string]int{}
	for i := range list.Entries {
		e := &list.Entries[i]
		groups[e.Group] = true
		splits[e.Split]++
		if len(e.Group) != 11 || e.Key != e.Group+e.Key[11:] || len(e.Key) != 18 {
			t.Fatalf("%+v", e)
		}
	}
	for _, c := range list.Classes {
		families[c.Family]++
	}
	if len(groups) != 14851 || splits["test"] != 15446 || len(families) != 9 || families[""] != 0 {
		t.Errorf("%d videos, splits %v, families %v", len(groups), splits, families)
	}
	// The row is the place in the file.
	text, err := os.ReadFile(filepath.Join(dir, "vggsound_test.csv"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for _, e := range []Entry{list.Entries[0], list.Entries[7777], list.Entries[15445]} {
		if !strings.HasPrefix(lines[e.Row], e.Key+".mp4,") {
			t.Errorf("row %d is %s, not %s", e.Row, lines[e.Row], e.Key)
		}
	}
	// The published evaluation's subset: 5 clips of each of 309 classes.
	if err := list.Select(Filter{PerClass: 5}); err != nil || len(list.Entries) != 1545 {
		t.Errorf("%d clips (%v)", len(list.Entries), err)
	}
}

func TestRealAudioSet(t *testing.T) {
	dir := realLists(t)
	media := t.TempDir()
	list := read(t, Options{Media: []string{media}}, filepath.Join(dir, "audioset_eval_segments.csv"))
	if len(list.Entries) != 20371 || len(list.Classes) != 527 || list.Bad.Count != 0 ||
		list.Missing() != 20371 {
		t.Fatalf("%d entries, %d classes, bad %v", len(list.Entries), len(list.Classes), list.Bad)
	}
	labels := 0
	for _, e := range list.Entries {
		labels += len(e.Labels)
		if e.Split != "test" {
			t.Fatalf("%+v", e)
		}
	}
	if labels != 51804 { // as the list's own second line says
		t.Errorf("%d labels", labels)
	}
	if c := list.Classes[0]; c != (Class{"/m/09x0r", "Speech", "Human sounds"}) {
		t.Errorf("class 0 is %+v", c)
	}
	families := map[string]int{}
	for _, c := range list.Classes {
		families[c.Family]++
	}
	if len(families) != 7 || families[""] != 0 {
		t.Errorf("families %v", families)
	}
	if err := list.Select(Filter{Labels: []string{"Speech", "/m/04rlf"}}); err != nil {
		t.Error(err)
	}
	// Without class list and ontology the classes are the sorted mids.
	copied := filepath.Join(media, "balanced_train_segments.csv")
	text, err := os.ReadFile(filepath.Join(dir, "audioset_eval_segments.csv"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, copied, string(text))
	list = read(t, Options{}, copied)
	sorted := slices.IsSortedFunc(list.Classes, func(a, b Class) int { return strings.Compare(a.ID, b.ID) })
	if len(list.Classes) != 527 || !sorted || list.Entries[0].Split != "train" || list.Classes[0].Name != "" {
		t.Errorf("%d classes, sorted %v: %+v", len(list.Classes), sorted, list.Classes[0])
	}
}

// realTree makes empty files for four of five clips, in folders of a thousand.
func realTree(b *testing.B, list List) string {
	dir := b.TempDir()
	for i := range list.Entries {
		if i%5 == 0 {
			continue
		}
		folder := filepath.Join(dir, fmt.Sprint(i/1000))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			b.Fatal(err)
		}
		write(b, filepath.Join(folder, list.Entries[i].Key+".mp4"), "")
	}
	return dir
}

func BenchmarkRealLists(b *testing.B) {
	dir := realLists(b)
	for _, name := range []string{"vggsound_test.csv", "audioset_eval_segments.csv"} {
		path := filepath.Join(dir, name)
		media := realTree(b, read(b, Options{Media: []string{b.TempDir()}}, path))
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				list := read(b, Options{Media: []string{media}}, path)
				if n, want := list.Missing(), (len(list.Entries)+4)/5; n != want {
					b.Fatalf("%d missing, want %d", n, want)
				}
			}
		})
	}
}
