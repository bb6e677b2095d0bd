package indexing

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"avjepa/internal/encoder"
	"avjepa/internal/encoder/encodertest"
	"avjepa/internal/library"
)

// folder has two films, one of them silent, a copy of the first, and two files that are of no use.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	os.MkdirAll(filepath.Join(dir, "drum"), 0o755)
	encodertest.Film(t, filepath.Join(dir, "drum", "a.mp4"), 3, true)
	encodertest.Film(t, filepath.Join(dir, "mute.mp4"), 3, false)
	data, err := os.ReadFile(filepath.Join(dir, "drum", "a.mp4"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"copy.mp4": data, "broken.mp4": []byte("no film"), "half.mp4": data[:300]} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func config(t *testing.T, dir string) Config {
	t.Helper()
	x := encodertest.Open(t, encoder.Options{})
	l, err := library.Create(t.Context(), filepath.Join(t.TempDir(), "library"), library.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	c := Config{Library: l, Embedding: Embedding{Encoder: x, Tools: encodertest.Tools(t), Name: "projected"}}
	if err := l.UseModel(t.Context(), c.Embedding.ModelOf()); err != nil {
		t.Fatal(err)
	}
	c.Items = list(t, dir)
	return c
}

func list(t *testing.T, dir string) []Item {
	t.Helper()
	items, err := Files([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	return items
}

func run(t *testing.T, c Config) Summary {
	t.Helper()
	sum, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// Files are indexed once; what has changed, and nothing else, is again.
func TestRun(t *testing.T) {
	encodertest.Tools(t)
	dir := folder(t)
	c := config(t, dir)
	ctx := t.Context()
	if s := run(t, c); s.Added != 3 || s.LeftOut != 2 || s.Unchanged != 0 {
		t.Fatalf("%+v", s)
	}
	a, err := c.Library.Find(ctx, "", filepath.Join(dir, "drum", "a.mp4"))
	if err != nil || !slices.Equal(a.Labels, []string{"drum"}) || !a.HasAudio || !a.HasVideo || a.Seconds < 2.5 ||
		len(a.Hash) != 64 || a.Width == 0 {
		t.Errorf("%+v, %v", a, err)
	}
	mute, err := c.Library.Find(ctx, "", filepath.Join(dir, "mute.mp4"))
	if err != nil || mute.HasAudio {
		t.Errorf("%+v, %v", mute, err)
	}
	if s, _ := c.Library.Stats(ctx); s.Embedded[library.Audio] != 2 || s.Embedded[library.Video] != 3 || s.Stale {
		t.Errorf("%+v", s)
	}
	hits, err := c.Library.Neighbours(ctx, a.ID, library.Video, library.Video, 1)
	if err != nil || len(hits) != 1 || !(hits[0].Score > .9999) {
		t.Errorf("the copy is not the nearest: %+v, %v", hits, err)
	}

	if s := run(t, c); s.Added != 0 || s.Unchanged != 3 || s.LeftOut != 2 {
		t.Errorf("again: %+v", s)
	}
	c.Retry = true
	if s := run(t, c); s.Added != 0 || s.LeftOut != 2 || len(s.Why) != 2 {
		t.Errorf("left out, again: %+v", s)
	}
	c.Retry = false

	// Another time alone is no change; another content is; a file that is gone is pruned.
	later := time.Now().Add(time.Hour)
	os.Chtimes(filepath.Join(dir, "copy.mp4"), later, later)
	encodertest.Film(t, filepath.Join(dir, "broken.mp4"), 2, true)
	os.Remove(filepath.Join(dir, "mute.mp4"))
	os.Remove(filepath.Join(dir, "half.mp4"))
	c.Items, c.Prune = list(t, dir), true
	if s := run(t, c); s.Added != 1 || s.Unchanged != 2 || s.LeftOut != 0 || s.Removed != 1 {
		t.Errorf("changed: %+v", s)
	}
	if left, _ := c.Library.LeftOut(ctx); len(left) != 0 {
		t.Errorf("%+v", left)
	}
}

// An indexing that is interrupted ends soon, and another one goes on.
func TestInterrupted(t *testing.T) {
	encodertest.Tools(t)
	c := config(t, folder(t))
	ctx, cancel := context.WithCancel(t.Context())
	c.Progress = func(Progress) { cancel() }
	if _, err := Run(ctx, c); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	c.Progress = nil
	if s := run(t, c); s.Added+s.Unchanged != 3 {
		t.Errorf("%+v", s)
	}
}

// Items from a multiple of Batch on give the same bits as when all are embedded, and windows
// that are more than the encoder takes at once are all there.
func TestEachGoesOn(t *testing.T) {
	encodertest.Tools(t)
	dir := folder(t)
	x := encodertest.Open(t, encoder.Options{Views: 3})
	var items []Item
	for range 8 {
		items = append(items, list(t, dir)...)
	}
	e := Embedding{Encoder: x, Tools: encodertest.Tools(t), Name: "cls", Workers: 3,
		Modalities: []encoder.Modality{encoder.Video, encoder.Both},
		Read:       encoder.ReadOptions{Stride: 500 * time.Millisecond}}
	all := func(from int) (out []Result) {
		err := e.Each(t.Context(), items, from, func(at int, r []Result) error {
			if at != from+len(out) || len(r) > Batch {
				t.Errorf("%d results at %d", len(r), at)
			}
			out = append(out, r...)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	whole, rest := all(0), all(Batch)
	if len(whole) != 40 || len(rest) != 40-Batch {
		t.Fatalf("%d and %d results", len(whole), len(rest))
	}
	for i, r := range rest {
		w := whole[Batch+i]
		if (r.Err == nil) != (w.Err == nil) {
			t.Fatalf("item %d: %v, then %v", i, w.Err, r.Err)
		}
		if r.Err != nil {
			continue
		}
		if n := len(r.Starts); n < 3 || len(r.Vectors[encoder.Video]) != n || r.Starts[1] != 500*time.Millisecond {
			t.Fatalf("%s: windows at %v, %d vectors", r.Item.Name, r.Starts, len(r.Vectors[encoder.Video]))
		}
		if r.Vectors[encoder.Audio] != nil || (r.Vectors[encoder.Both] != nil) != r.HasAudio {
			t.Errorf("%s has vectors of what it lacks, or none of what it has", r.Item.Name)
		}
		for m := range r.Vectors {
			for k := range r.Vectors[m] {
				if !slices.Equal(r.Vectors[m][k], w.Vectors[m][k]) {
					t.Fatalf("%s, window %d: other bits", r.Item.Name, k)
				}
			}
		}
	}
	stop := errors.New("enough")
	if err := e.Each(t.Context(), items, 0, func(int, []Result) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
}
