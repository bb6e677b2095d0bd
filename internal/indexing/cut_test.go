package indexing

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"

	"avjepa/internal/encoder"
	"avjepa/internal/encoder/encodertest"
	"avjepa/internal/library"
)

func cut(t *testing.T, items []Item, seconds float64) []Item {
	t.Helper()
	told := 0
	parts, err := Cut(t.Context(), encodertest.Tools(t), items, seconds, 2, func(n int) { told = max(told, n) })
	if err != nil {
		t.Fatal(err)
	}
	if told != len(items) {
		t.Errorf("told of %d files of %d", told, len(items))
	}
	return parts
}

// A long file becomes parts, which are clips with contents and hashes of their own; short
// ones, and those that cannot be probed, stay whole.
func TestCut(t *testing.T) {
	encodertest.Tools(t)
	dir := t.TempDir()
	long := filepath.Join(dir, "long.mp4")
	encodertest.Film(t, long, 7, true)
	encodertest.Film(t, filepath.Join(dir, "short.mp4"), 2.5, true)
	os.WriteFile(filepath.Join(dir, "broken.mp4"), []byte("no film"), 0o644)
	c := config(t, dir)
	ctx := t.Context()
	c.Embedding.Read.MaxSeconds, c.Embedding.Read.Limits.MaxSeconds = 4, 4
	if s := run(t, c); s.Added != 1 || s.LeftOut != 2 {
		t.Fatalf("whole: %+v", s)
	}
	whole := c.Items
	c.Items = cut(t, whole, 2)
	if len(c.Items) != 6 {
		t.Fatalf("%d items, want a broken one, a short one and 4 parts", len(c.Items))
	}
	if s := run(t, c); s.Added != 4 || s.Unchanged != 1 || s.LeftOut != 1 {
		t.Fatalf("cut: %+v", s)
	}
	if left, _ := c.Library.LeftOut(ctx); len(left) != 1 {
		t.Errorf("the file that is cut now is still left out: %+v", left)
	}
	hashes := map[string]bool{}
	for k, want := range [][2]float64{{0, 2}, {2, 4}, {4, 6}, {6, 7}} {
		p := c.Items[1+k]
		if p.Start != want[0] || !(math.Abs(p.End-want[1]) <= .2) || p.Path() != long {
			t.Fatalf("part %d of %s is from %v to %v", k, p.Path(), p.Start, p.End)
		}
		clip, err := c.Library.Find(ctx, "", p.Key)
		if err != nil || !(math.Abs(clip.Seconds-(want[1]-want[0])) <= .2) {
			t.Errorf("%s: %v s, %v", p.Key, clip.Seconds, err)
		}
		hashes[clip.Hash] = true
	}
	if len(hashes) != 4 {
		t.Errorf("4 parts have %d hashes", len(hashes))
	}
	// A part is what is decoded from the file there, not from its start.
	r, err := c.Embedding.Encoder.ReadFile(ctx, encodertest.Tools(t), long, encoder.ReadOptions{Part: c.Items[3].part()})
	if err != nil {
		t.Fatal(err)
	}
	all, err := c.Embedding.Encoder.ReadFile(ctx, encodertest.Tools(t), long, encoder.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Samples[100] != all.Samples[4*16000+100] || r.Samples[16000] != all.Samples[5*16000] {
		t.Error("the part from 4 s has other samples than the file there")
	}
	if s := run(t, c); s.Unchanged != 5 || s.Added != 0 {
		t.Errorf("again: %+v", s)
	}
	c.Items, c.Prune = cut(t, whole, 3), true
	if s := run(t, c); s.Removed != 4 || s.Added != 2 {
		t.Errorf("parts of another length: %+v", s)
	}
	os.Remove(long)
	c.Items = list(t, filepath.Join(dir, "short.mp4"))
	if s := run(t, c); s.Removed != 2 {
		t.Errorf("the file is gone: %+v", s)
	}
}

func TestCutRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, library.PartKey("a.mp4", 1, 2))
	os.WriteFile(path, []byte("x"), 0o644)
	if _, err := Files([]string{path}); !errors.Is(err, errPartName) {
		t.Errorf("a file with the name of a part: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Cut(ctx, encodertest.Tools(t), make([]Item, 3), 2, 2, func(int) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
