package weaviate

import (
	"errors"
	"slices"
	"testing"
	"time"

	"avjepa/internal/library"
	"avjepa/internal/weaviate/weaviatetest"
)

// A server that is killed while it takes vectors and started again on its data has lost none
// that it took: the clips that were committed are found, and adding the others goes on.
func TestKilledServer(t *testing.T) {
	const clips, dims, part = 3000, 32, 100
	ctx := t.Context()
	at := weaviatetest.New(t, "")
	s, location := opened(t, at.URL, Config{Dims: dims, Retries: -1})
	all := entries(clips, dims)
	l := filled(t, s, location, dims, all[:part])
	killed := make(chan struct{})
	added := part
	var broken error
	for ; added < clips && broken == nil; added += part {
		if added == clips/3 {
			go func() {
				defer close(killed)
				time.Sleep(20 * time.Millisecond)
				at.Kill()
			}()
		}
		if broken = l.Add(ctx, slices.Clone(all[added:added+part])...); broken != nil {
			break
		}
	}
	if !errors.Is(broken, ErrAway) || added < clips/3 {
		t.Fatalf("after %d clips: %v", added, broken)
	}
	<-killed
	if st, err := l.Stats(ctx); err != nil || st.Clips != added {
		t.Fatalf("%d clips, %d were added: %v", st.Clips, added, err)
	}
	if _, err := l.Search(ctx, library.Query{Vector: all[0].Video, From: library.Video, In: library.Video}); !errors.Is(
		err, ErrAway) {
		t.Errorf("a search meanwhile: %v", err)
	}
	at.Start()
	if again, err := Open(ctx, location, Config{Dims: dims}); err != nil || again.Made() {
		t.Fatalf("the collections: %v", err)
	}
	for ; added < clips; added += part {
		if err := l.Add(ctx, slices.Clone(all[added:added+part])...); err != nil {
			t.Fatal(err)
		}
	}
	any := func(int64) bool { return true }
	for _, m := range []library.Modality{library.Audio, library.Video} {
		want := clips
		if m == library.Audio {
			want = clips * 4 / 5
		}
		if ids, _, _, err := l.Vectors(ctx, m, any); err != nil || len(ids) != want {
			t.Errorf("%v: the server has %d vectors of %d: %v", m, len(ids), want, err)
		}
	}
	recall := agreement(t, l, filled(t, nil, "", dims, all), dims, 50, 10)
	t.Logf("recall@10 after the kill: %.4f", recall)
	if !(recall >= .95) {
		t.Errorf("recall@10 after the kill: %.4f", recall)
	}
}

// A server that is killed may no longer find what it took last, though it has it (1.23 and 1.35 do so).
// Mend has all found again; what the server has lost altogether counts as not embedded.
func TestMend(t *testing.T) {
	const dims = 8
	ctx := t.Context()
	at := weaviatetest.New(t, "")
	s, location := opened(t, at.URL, Config{Dims: dims})
	all := entries(20, dims)
	l := filled(t, s, location, dims, all[:6])
	check := func(clips int) {
		t.Helper()
		for _, m := range []library.Modality{library.Audio, library.Video} {
			st, err := l.Stats(ctx)
			if err != nil {
				t.Fatal(err)
			}
			hits, err := l.Search(ctx, library.Query{Vector: all[0].Video, From: library.Video, In: m, K: 50})
			if err != nil || len(hits) != st.Embedded[m] {
				t.Errorf("%v of %d clips: %d hits, want %d: %v", m, clips, len(hits), st.Embedded[m], err)
			}
		}
	}
	for next := 6; next < 14; next += 2 {
		if err := l.Remove(ctx, int64(next-5)); err != nil {
			t.Fatal(err)
		}
		if err := l.Add(ctx, slices.Clone(all[next:next+1])...); err != nil {
			t.Fatal(err)
		}
		check(next)
		at.Kill()
		at.Start()
		n, err := l.Mend(ctx)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d clips mended", n)
		check(next)
	}
	if n, err := l.Mend(ctx); n != 0 || err != nil {
		t.Errorf("%d clips are mended again: %v", n, err)
	}
	if err := s.Delete(ctx, []int64{4, 6}); err != nil {
		t.Fatal(err)
	}
	before, _ := l.Known(ctx)
	if n, err := l.Mend(ctx); n < 2 || err != nil {
		t.Errorf("%d clips whose vectors are lost, want at least 2: %v", n, err)
	}
	after, _ := l.Known(ctx)
	for source, k := range before {
		if want := k.Embedded && k.ID != 4 && k.ID != 6; after[source].Embedded != want {
			t.Errorf("clip %d: embedded is %v", k.ID, !want)
		}
	}
	check(14)
}
