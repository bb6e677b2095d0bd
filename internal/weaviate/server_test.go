package weaviate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"avjepa/internal/library"
	"avjepa/internal/weaviate/weaviatetest"
)

// opened are new collections on a server.
func opened(t testing.TB, url string, cfg Config) (*Server, string) {
	t.Helper()
	location, err := NewLocation(url)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), location, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s, location
}

func draw(r *rand.Rand, dims int) []float32 {
	v := make([]float32, dims)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return v
}

// entries draws clips; every fifth has no sound. Sound and picture of one have something in
// common, as those that an encoder embeds have.
func entries(n, dims int) []library.Entry {
	r := rand.New(rand.NewPCG(1, 2))
	all := make([]library.Entry, n)
	for i := range all {
		video := draw(r, dims)
		audio := draw(r, dims)
		for j := range audio {
			audio[j] += video[j]
		}
		all[i] = library.Entry{Clip: library.Clip{Key: fmt.Sprint("clip ", i), HasVideo: true, HasAudio: i%5 != 4},
			Video: video}
		if i%5 != 4 {
			all[i].Audio = audio
		}
	}
	return all
}

// filled is a library of clips, whose vectors a server has if there is one.
func filled(t testing.TB, s *Server, location string, dims int, all []library.Entry) *library.Library {
	t.Helper()
	o := library.Options{}
	if s != nil {
		o.Remote = s
	}
	l, err := library.Create(t.Context(), t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	m := library.Model{ID: "m", Embedding: "cls", Dims: dims, Windows: 1, Remote: location}
	if err := l.UseModel(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if err := l.Add(t.Context(), slices.Clone(all)...); err != nil {
		t.Fatal(err)
	}
	return l
}

// agreement searches in both libraries and returns the share of the k best that the first also
// found, over n queries. Scores of the same clip must be the same.
func agreement(t testing.TB, there, here *library.Library, dims, n, k int) float64 {
	t.Helper()
	r := rand.New(rand.NewPCG(3, 3))
	found := 0
	for i := range n {
		q := library.Query{Vector: draw(r, dims), From: library.Audio, In: library.Video, K: k}
		if i%2 == 1 {
			q.From, q.In = library.Video, library.Audio
		}
		got, err := there.Search(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		want, err := here.Search(t.Context(), q)
		if err != nil || len(want) != k || len(got) != k {
			t.Fatalf("%d hits, %d here, want %d: %v", len(got), len(want), k, err)
		}
		scores := map[int64]float32{}
		for _, h := range want {
			scores[h.ID] = h.Score
		}
		for _, h := range got {
			if s, ok := scores[h.ID]; ok {
				found++
				if !(math.Abs(float64(s-h.Score)) < 1e-5) {
					t.Errorf("clip %d scores %v, want %v", h.ID, h.Score, s)
				}
			}
		}
	}
	return float64(found) / float64(n*k)
}

// A library with its vectors on a server finds what one without does, in both directions, with
// and without a selection.
func TestLibraryOnAServer(t *testing.T) {
	t.Run("stand-in", func(t *testing.T) { libraryOnAServer(t, weaviatetest.NewStandIn(t).URL) })
	t.Run("weaviate", func(t *testing.T) { libraryOnAServer(t, weaviatetest.New(t, "").URL) })
}

func libraryOnAServer(t *testing.T, url string) {
	const clips, dims = 2500, 64
	ctx := t.Context()
	s, location := opened(t, url, Config{Dims: dims})
	if !s.Made() {
		t.Error("no collection was made")
	}
	all := entries(clips, dims)
	there, here := filled(t, s, location, dims, all), filled(t, nil, "", dims, all)
	recall := agreement(t, there, here, dims, 100, 10)
	t.Logf("recall@10 of %d vectors of %d numbers: %.4f", clips, dims, recall)
	if !(recall >= .95) {
		t.Errorf("recall@10 %.4f", recall)
	}
	for _, l := range []*library.Library{there, here} {
		if err := l.Finish(ctx); err != nil {
			t.Fatal(err)
		}
		if st, err := l.Stats(ctx); err != nil || st.Embedded != [4]int{0, clips * 4 / 5, clips, 0} {
			t.Errorf("%+v, %v", st, err)
		}
	}
	if st, _ := there.Stats(ctx); st.Memory != 0 {
		t.Errorf("%d bytes of vectors in memory", st.Memory)
	}
	// The chance lines are of 2 000 clips there, of all here.
	if a, b := there.Null(library.Audio, library.Video), here.Null(library.Audio, library.Video); a == nil ||
		!(math.Abs(float64(a.Chance()-b.Chance())) < .02) {
		t.Errorf("chance lines: %v, %v", a, b)
	}
	q := library.Query{Vector: all[6].Audio, From: library.Audio, In: library.Video, K: 300, Exclude: []int64{3},
		Keep: func(id int64) bool { return id%20 == 3 }}
	got, err := there.Search(ctx, q)
	want, _ := here.Search(ctx, q)
	if err != nil || len(got) != clips/20-1 || len(got) != len(want) {
		t.Fatalf("%d hits of a selection, want %d: %v", len(got), len(want), err)
	}
	for i := range got {
		if got[i].ID != want[i].ID || !(math.Abs(float64(got[i].Score-want[i].Score)) < 1e-5) {
			t.Errorf("hit %d: %+v, want %+v", i, got[i], want[i])
		}
	}
	few := func(id int64) bool { return id <= 700 }
	gotIDs, gotData, n, err := there.Vectors(ctx, library.Audio, few)
	wantIDs, wantData, _, _ := here.Vectors(ctx, library.Audio, few)
	if err != nil || n != dims || !slices.Equal(gotIDs, wantIDs) || len(gotData) != len(wantData) {
		t.Fatalf("%d vectors of %d numbers, want %d: %v", len(gotIDs), n, len(wantIDs), err)
	}
	for i := range gotData {
		if !(math.Abs(float64(gotData[i]-wantData[i])) < 1e-6) {
			t.Fatalf("number %d is %v, want %v", i, gotData[i], wantData[i])
		}
	}
}

// Vectors are set, set again, fetched and removed; collections come and go.
func TestVectorsComeAndGo(t *testing.T) {
	const clips, dims = 600, 16
	ctx := t.Context()
	at := weaviatetest.New(t, "")
	s, location := opened(t, at.URL, Config{Dims: dims})
	all := entries(clips, dims)
	l := filled(t, s, location, dims, all)
	if err := l.Remove(ctx, 5, 6, 599); err != nil {
		t.Fatal(err)
	}
	changed := all[7]
	changed.Clip.Hash, changed.Audio, changed.Clip.HasAudio = "new", nil, false
	changed.Video = all[9].Video
	if err := l.Add(ctx, changed); err != nil {
		t.Fatal(err)
	}
	v, err := s.Fetch(ctx, library.Video, []int64{5, 6, 7, 8, 599, 600, 601})
	if err != nil || len(v) != 3 || len(v[7]) != dims || len(v[600]) != dims || v[6] != nil {
		t.Errorf("%d vectors, %v", len(v), err)
	}
	hits, err := l.Neighbours(ctx, 8, library.Video, library.Video, 3)
	if err != nil || len(hits) != 3 || hits[0].ID != 10 || !(hits[0].Score > .9999) {
		t.Errorf("a changed clip: %+v, %v", hits, err)
	}
	// The sound that clip 8 had is still on the server: it is nobody's.
	hits, err = l.Search(ctx, library.Query{Vector: all[7].Audio, From: library.Audio, In: library.Audio, K: 5})
	if err != nil || len(hits) != 5 || slices.ContainsFunc(hits, func(h library.Hit) bool { return h.ID == 8 }) {
		t.Errorf("the sound that a clip no longer has: %+v, %v", hits, err)
	}
	if _, err := l.Vector(ctx, 8, library.Audio); !errors.Is(err, library.ErrNoClip) {
		t.Errorf("its vector: %v", err)
	}
	hits, err = l.Search(ctx, library.Query{Vector: all[0].Video, From: library.Video, In: library.Video, K: 1000})
	if err != nil || len(hits) != clips-3 {
		t.Errorf("all: %d hits, %v", len(hits), err)
	}

	again, err := Open(ctx, location, Config{Dims: dims})
	if err != nil || again.Made() {
		t.Errorf("collections that are there were made again: %v", err)
	}
	long := []library.RemoteVector{{Clip: 1, Modality: library.Video, Vector: draw(rand.New(rand.NewPCG(1, 1)),
		dims+1)}}
	if err := s.Upsert(ctx, long); !errors.Is(err, ErrServer) {
		t.Errorf("a vector that is too long: %v", err)
	}
	if v, err := s.Fetch(ctx, library.Video, []int64{1}); err != nil || len(v[1]) != dims {
		t.Errorf("after it: %d numbers, %v", len(v[1]), err)
	}
	// The server itself says so where the length is not known here, and if it took the vector
	// all the same, that is found when it is fetched.
	blind, err := New(location, Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := blind.Upsert(ctx, long); !errors.Is(err, ErrServer) || errors.Is(err, ErrAway) {
		t.Errorf("a vector that is too long for the server: %v", err)
	}
	if v, err := l.Vector(ctx, 1, library.Video); err == nil && len(v) != dims {
		t.Errorf("a vector of %d numbers came back", len(v))
	}
	if _, err := s.Search(ctx, library.Video, make([]float32, dims+1), 3); !errors.Is(err, ErrServer) {
		t.Errorf("a query that is too long: %v", err)
	}
	for range 2 {
		if err := s.Drop(ctx); err != nil {
			t.Error(err)
		}
	}
	if _, err := l.Neighbours(ctx, 9, library.Video, library.Video, 3); !errors.Is(err, ErrNoCollection) ||
		!strings.Contains(err.Error(), "Video") {
		t.Errorf("neighbours without the collection: %v", err)
	}
	if _, err := s.Search(ctx, library.Video, draw(rand.New(rand.NewPCG(1, 1)), dims), 3); !errors.Is(err, ErrNoCollection) {
		t.Errorf("a search without the collection: %v", err)
	}
	if err := s.Delete(ctx, []int64{1}); err != nil {
		t.Errorf("a removal without the collection: %v", err)
	}
	// One by another distance is refused.
	if err := s.call(ctx, http.MethodPost, "/v1/schema", map[string]any{"class": s.class(library.Audio),
		"vectorizer": "none", "vectorIndexConfig": map[string]any{"distance": "l2-squared"}}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(ctx, location, Config{Dims: dims}); !errors.Is(err, ErrServer) ||
		!strings.Contains(err.Error(), "l2-squared") {
		t.Errorf("a collection by another distance: %v", err)
	}
}

// With a key the server is used, without or with another it says what is wrong.
func TestKeys(t *testing.T) {
	ctx := t.Context()
	at := weaviatetest.New(t, "test-key")
	s, location := opened(t, at.URL, Config{Dims: 4, Key: at.Key})
	v := []library.RemoteVector{{Clip: 1, Modality: library.Audio, Vector: []float32{1, 0, 0, 0}}}
	if err := s.Upsert(ctx, v); err != nil {
		t.Fatal(err)
	}
	if hits, err := s.Search(ctx, library.Audio, v[0].Vector, 1); err != nil || len(hits) != 1 {
		t.Errorf("%v, %v", hits, err)
	}
	for _, key := range []string{"", "wrong"} {
		s, err := New(location, Config{Key: key})
		if err != nil {
			t.Fatal(err)
		}
		_, search := s.Search(ctx, library.Audio, v[0].Vector, 1)
		_, fetch := s.Fetch(ctx, library.Audio, []int64{1})
		_, open := Open(ctx, location, Config{Dims: 4, Key: key})
		for what, err := range map[string]error{"search": search, "fetch": fetch, "open": open,
			"upsert": s.Upsert(ctx, v), "delete": s.Delete(ctx, []int64{1})} {
			if !errors.Is(err, ErrKey) {
				t.Errorf("%s with key %q: %v", what, key, err)
			}
		}
	}
	if hits, err := s.Search(ctx, library.Audio, v[0].Vector, 1); err != nil || len(hits) != 1 {
		t.Errorf("in the end: %v, %v", hits, err)
	}
}

// Nobody listens: the error says so, names the server, and comes soon.
func TestServerNotThere(t *testing.T) {
	began := time.Now()
	for _, at := range []string{"http://127.0.0.1:1/Clips", "http://127.0.0.1:1"} {
		_, err := Open(context.Background(), at, Config{Dims: 4, Wait: time.Millisecond})
		if at, ok := strings.CutSuffix(at, "/Clips"); ok && (!errors.Is(err, ErrAway) || !strings.Contains(err.Error(), at)) ||
			!ok && !errors.Is(err, ErrLocation) {
			t.Errorf("%s: %v", at, err)
		}
	}
	if d := time.Since(began); d > 20*time.Second {
		t.Errorf("it took %v", d)
	}
}
