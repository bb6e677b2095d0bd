package library

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

// Pages follow each other without gap or overlap in every order, also when clips come and go
// between them.
func TestPages(t *testing.T) {
	l := made(t, 47)
	for _, sort := range []Sort{ByAdded, ByName, ByLabel, BySeconds} {
		for _, down := range []bool{false, true} {
			var ids []int64
			p := Page{Sort: sort, Descending: down, Limit: 10}
			for {
				list, err := l.Clips(t.Context(), Filter{}, p)
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range list.Clips {
					ids = append(ids, c.ID)
					if len(c.Labels) != 2 {
						t.Fatalf("labels %q", c.Labels)
					}
				}
				if p.Cursor = list.Next; p.Cursor == "" {
					break
				}
			}
			sorted := slices.Clone(ids)
			slices.Sort(sorted)
			if len(ids) != 47 || len(slices.Compact(sorted)) != 47 {
				t.Errorf("%q, %v: %d clips", sort, down, len(ids))
			}
		}
	}
	first, err := l.Clips(t.Context(), Filter{}, Page{Sort: BySeconds, Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Remove(t.Context(), first.Clips[9].ID); err != nil { // that the cursor is about
		t.Fatal(err)
	}
	second, err := l.Clips(t.Context(), Filter{}, Page{Sort: BySeconds, Limit: 10, Cursor: first.Next})
	if err != nil || len(second.Clips) != 10 || second.Clips[0].Seconds < first.Clips[9].Seconds {
		t.Errorf("%+v, %v", second, err)
	}
	for _, p := range []Page{{Cursor: "x"}, {Cursor: first.Next}, {Sort: BySeconds, Descending: true, Cursor: first.Next},
		{Sort: ByName, Cursor: first.Next}} {
		if _, err := l.Clips(t.Context(), Filter{}, p); !errors.Is(err, ErrCursor) {
			t.Errorf("%+v: %v", p, err)
		}
	}
	if _, err := l.Clips(t.Context(), Filter{}, Page{Sort: "id; DROP TABLE clip"}); err == nil {
		t.Error("an order that is none was taken")
	}
}

func TestFilters(t *testing.T) {
	l := made(t, 9)
	odd := entry(20)
	odd.Clip.Key, odd.Clip.Labels, odd.Clip.Split = "/x/100%_Bell.wav", []string{"Glocke"}, "val"
	odd.Clip.HasVideo, odd.Clip.Silent = false, true
	if err := l.Add(t.Context(), odd); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		f    Filter
		want int
	}{
		{Filter{}, 10}, {Filter{Text: "CLIP-00"}, 9}, {Filter{Text: "%"}, 1}, {Filter{Text: "_b"}, 1},
		{Filter{Text: "gloc"}, 1}, {Filter{Label: "label 1"}, 3}, {Filter{Label: "label"}, 0}, {Filter{Split: "val"}, 1},
		{Filter{With: []string{FlagNoVideo, FlagSilent}}, 1}, {Filter{Without: []string{FlagNoVideo}}, 9},
		{Filter{Without: []string{FlagStill}}, 10}, {Filter{Text: "'; DROP TABLE clip; --"}, 0}, {Filter{Data: "d"}, 0},
	} {
		list, err := l.Clips(t.Context(), c.f, Page{})
		if err != nil || len(list.Clips) != c.want {
			t.Errorf("%+v: %d clips, want %d, %v", c.f, len(list.Clips), c.want, err)
		}
	}
	if _, err := l.Clips(t.Context(), Filter{With: []string{"loud"}}, Page{}); err == nil {
		t.Error("a flag that is none was taken")
	}
	labels, err := l.Labels(t.Context())
	if err != nil || fmt.Sprint(labels[:2]) != "[{x 9} {label 0 3}]" {
		t.Errorf("%v, %v", labels, err)
	}
	splits, err := l.Splits(t.Context())
	if err != nil || fmt.Sprint(splits) != "[{train 9} {val 1}]" {
		t.Errorf("%v, %v", splits, err)
	}
}

// The first labels of many clips at once are those of each.
func TestFirstLabels(t *testing.T) {
	l := made(t, 23)
	list, err := l.Clips(t.Context(), Filter{}, Page{Limit: 50})
	if err != nil {
		t.Fatal(err)
	}
	ids := []int64{1 << 40}
	for _, c := range list.Clips {
		ids = append(ids, c.ID)
	}
	got, err := l.FirstLabels(t.Context(), ids)
	if err != nil || len(got) != 23 {
		t.Fatalf("%d of 23 clips: %v", len(got), err)
	}
	for _, c := range list.Clips {
		if got[c.ID] != c.Labels[0] {
			t.Errorf("clip %d: %q, want %q", c.ID, got[c.ID], c.Labels[0])
		}
	}
}
