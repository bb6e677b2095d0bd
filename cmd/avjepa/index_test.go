package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"avjepa/internal/library"
)

// Each model of a library has collections of its own on a server, and the same ones again.
func TestCollectionsOfModels(t *testing.T) {
	ctx := t.Context()
	dir := filepath.Join(t.TempDir(), "lib")
	l, err := library.Create(ctx, dir, library.Options{})
	if err != nil {
		t.Fatal(err)
	}
	first := library.Model{ID: "one", Path: "runs/one", Embedding: "cls", Dims: 8, Windows: 1,
		Remote: "http://h:80/AvjepaX"}
	second := library.Model{ID: "two", Path: "runs/two", Embedding: "cls", Dims: 8, Windows: 1}
	longer := first
	longer.Dims = 16
	for _, m := range []library.Model{first, second} { // the second was used last
		if err := l.UseModel(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	l.Close()
	for _, c := range []struct {
		remote string
		model  library.Model
		want   string // empty: a new name
	}{
		{"http://h:80", first, "http://h:80/AvjepaX"},
		{"http://h:80/", first, "http://h:80/AvjepaX"},
		{"http://h:80/AvjepaX", first, "http://h:80/AvjepaX"},
		{"http://h:80/Clips", second, "http://h:80/Clips"},
		{"http://h:80", second, ""},
		{"http://h:80", longer, ""},
		{"http://other:80", first, ""},
	} {
		o := &indexOptions{library: dir, remote: c.remote}
		at, err := o.collections(ctx, &c.model)
		if err != nil || c.want != "" && at != c.want || c.want == "" && (at == first.Remote ||
			!strings.HasPrefix(at, strings.TrimRight(c.remote, "/")+"/Avjepa")) {
			t.Errorf("%s for %s with %d numbers: %s, %v", c.remote, c.model.ID, c.model.Dims, at, err)
		}
	}
	o := &indexOptions{library: dir, remote: first.Remote}
	if at, err := o.collections(ctx, &second); !errors.Is(err, errUsage) || !strings.Contains(err.Error(), "runs/one") {
		t.Errorf("collections of another model: %s, %v", at, err)
	}
}
