package library

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"avjepa/internal/durable"
	"avjepa/internal/neardup"
)

const testDims = 24

func testModel(id string) Model {
	return Model{ID: id, Path: "runs/" + id, Step: 7, Embedding: "projected", Dims: testDims, Windows: 1,
		Geometry: "8 frames of 112 px"}
}

// vector draws a vector of any length, in no special direction.
func vector(r *rand.Rand) []float32 {
	v := make([]float32, testDims)
	for i := range v {
		v[i] = float32(r.NormFloat64()) * 3
	}
	return v
}

// entry is clip i with vectors of its own.
func entry(i int) Entry {
	r := rand.New(rand.NewPCG(uint64(i), 5))
	return Entry{
		Clip: Clip{Key: fmt.Sprintf("/films/clip-%03d.mp4", i), Labels: []string{fmt.Sprintf("label %d", i%3), "x"},
			Split: "train", Seconds: float64(i%7) + 0.5, Width: 64, Height: 48, HasAudio: true, HasVideo: true,
			Bytes: int64(1000 + i), Modified: time.Unix(int64(i)+1, 17)},
		Audio: vector(r), Video: vector(r), Both: vector(r),
	}
}

func entries(n int) []Entry {
	all := make([]Entry, n)
	for i := range all {
		all[i] = entry(i)
	}
	return all
}

// made is a library of n clips, open for writing.
func made(t testing.TB, n int) *Library {
	t.Helper()
	l := empty(t, t.TempDir(), Options{})
	if err := l.UseModel(t.Context(), testModel("m1")); err != nil {
		t.Fatal(err)
	}
	if err := l.Add(t.Context(), entries(n)...); err != nil {
		t.Fatal(err)
	}
	return l
}

func empty(t testing.TB, dir string, o Options) *Library {
	t.Helper()
	l, err := Create(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func reopened(t testing.TB, l *Library, o Options) *Library {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return opened(t, l.Dir(), o)
}

// again yields l, then the same library closed and opened again.
func again(t testing.TB, l *Library) func(func(int, *Library) bool) {
	return func(yield func(int, *Library) bool) {
		if yield(0, l) {
			yield(1, reopened(t, l, Options{}))
		}
	}
}

func opened(t testing.TB, dir string, o Options) *Library {
	t.Helper()
	l, err := Open(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// A library gives back what was put in, after it was closed too.
func TestClipsComeBack(t *testing.T) {
	l := made(t, 5)
	odd := Entry{Clip: Clip{Data: "data/set", Key: "a/b", Seconds: 3, HasAudio: true, Silent: true,
		Hash: "abc", Signature: "01", Split: "val"}, Audio: entry(99).Audio}
	add := []Entry{odd}
	if err := l.Add(t.Context(), add...); err != nil {
		t.Fatal(err)
	}
	odd = add[0]
	for _, l := range again(t, l) {
		got, err := l.Clip(t.Context(), odd.Clip.ID)
		if err != nil {
			t.Fatal(err)
		}
		want := odd.Clip
		if !got.Added.Equal(want.Added) {
			t.Errorf("added %v, want %v", got.Added, want.Added)
		}
		got.Added, want.Added = time.Time{}, time.Time{}
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if want := []string{FlagSilent, FlagNoVideo}; !slices.Equal(got.Flags(), want) {
			t.Errorf("flags %v, want %v", got.Flags(), want)
		}
		m, ok := l.Model()
		if !ok || m != testModel("m1") {
			t.Errorf("model %+v %v", m, ok)
		}
		if _, err := l.Clip(t.Context(), 12345); !errors.Is(err, ErrNoClip) {
			t.Errorf("a clip that is not there: %v", err)
		}
		c, err := l.Find(t.Context(), "", "/films/clip-002.mp4")
		if err != nil || c.ID != 3 || len(c.Labels) != 2 || c.Labels[0] != "label 2" || c.Name() != "clip-002.mp4" {
			t.Errorf("found %+v, %v", c, err)
		}
	}
}

// A clip that is added again keeps its ID and has its new vectors.
func TestAddAgainReplaces(t *testing.T) {
	l := made(t, 5)
	e := entry(2)
	e.Audio, e.Clip.Labels = entry(77).Audio, nil
	replaced := []Entry{e}
	if err := l.Add(t.Context(), replaced...); err != nil {
		t.Fatal(err)
	}
	if replaced[0].Clip.ID != 3 {
		t.Errorf("ID %d, want 3", replaced[0].Clip.ID)
	}
	for _, l := range again(t, l) {
		hits, err := l.Search(t.Context(), Query{Vector: e.Audio, From: Audio, In: Audio, K: 10})
		if err != nil || len(hits) != 5 || hits[0].ID != 3 || !(math.Abs(float64(hits[0].Score)-1) < 1e-5) {
			t.Errorf("%+v, %v", hits, err)
		}
		c, err := l.Clip(t.Context(), 3)
		if err != nil || len(c.Labels) != 0 {
			t.Errorf("labels %v, %v", c.Labels, err)
		}
	}
}

// What is left out is listed, and a clip whose file became useless is gone.
func TestLeftOut(t *testing.T) {
	l := made(t, 3)
	err := l.LeaveOut(t.Context(), LeftOut{Key: "/films/broken.mp4", Outcome: "corrupt", Reason: "no moov", Bytes: 5},
		LeftOut{Key: "/films/clip-001.mp4", Outcome: "empty", Modified: time.Unix(9, 0)})
	if err != nil {
		t.Fatal(err)
	}
	all, err := l.LeftOut(t.Context())
	if err != nil || len(all) != 2 || all[0].Key != "/films/broken.mp4" || all[0].Reason != "no moov" ||
		!all[1].Modified.Equal(time.Unix(9, 0)) {
		t.Errorf("%+v, %v", all, err)
	}
	if _, err := l.Clip(t.Context(), 2); !errors.Is(err, ErrNoClip) {
		t.Errorf("the clip is still there: %v", err)
	}
	hits, err := l.Search(t.Context(), Query{Vector: entry(1).Video, From: Video, In: Video})
	if err != nil || len(hits) != 2 {
		t.Errorf("%d hits, %v", len(hits), err)
	}
	// Repaired, it is no longer left out.
	if err := l.Add(t.Context(), entry(1)); err != nil {
		t.Fatal(err)
	}
	s, err := l.Stats(t.Context())
	if err != nil || s.LeftOut != 1 || s.Clips != 3 || s.Outcomes["corrupt"] != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	if err := l.ForgetLeftOut(t.Context(), "", func(string) bool { return false }); err != nil {
		t.Fatal(err)
	}
	if all, _ := l.LeftOut(t.Context()); len(all) != 0 {
		t.Errorf("still %d", len(all))
	}
}

func TestRemove(t *testing.T) {
	l := made(t, 1200) // more than two blocks
	var ids []int64
	for id := int64(1); id <= 1200; id += 2 {
		ids = append(ids, id)
	}
	if err := l.Remove(t.Context(), append(ids, 99999)...); err != nil {
		t.Fatal(err)
	}
	for _, l := range again(t, l) {
		for _, i := range []int{0, 1, 2, 511, 513, 1023, 1025, 1198, 1199} {
			hits, err := l.Search(t.Context(), Query{Vector: entry(i).Video, From: Video, In: Video, K: 1200})
			if err != nil || len(hits) != 600 {
				t.Fatalf("%d hits, %v", len(hits), err)
			}
			if found := hits[0].ID == int64(i+1) && hits[0].Score > .999; found != (i%2 == 1) {
				t.Errorf("clip %d: %+v", i, hits[0])
			}
		}
	}
}

// Clips with nearly the same signature are flagged by Finish, as long as both are there.
func TestDuplicates(t *testing.T) {
	l := made(t, 5)
	s := neardup.Signature{Pictures: []uint64{0x9c3a51f0e7d2b846, 0x1b7de83c5a09f462, 0xe2947c1bd5a86f03, 0x58f1a2c6394be07d}}
	for i := range uint32(32) {
		s.Marks = append(s.Marks, (i*7919+13)<<8|i*3)
	}
	for i := range 2 {
		e := entry(10 + i)
		e.Clip.Signature = s.String()
		if err := l.Add(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	flagged := func() int {
		list, err := l.Clips(t.Context(), Filter{With: []string{FlagDuplicate}}, Page{})
		if err != nil {
			t.Fatal(err)
		}
		return len(list.Clips)
	}
	if n := flagged(); n != 0 {
		t.Errorf("%d before Finish", n)
	}
	if err := l.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	pairs, err := l.Duplicates(t.Context(), 7)
	if err != nil || len(pairs) != 1 || pairs[0].Clip != 6 || pairs[0].Other != 7 || flagged() != 2 {
		t.Errorf("%+v, %v, %d flagged", pairs, err, flagged())
	}
	if err := errors.Join(l.Remove(t.Context(), 6), l.Finish(t.Context())); err != nil || flagged() != 0 {
		t.Errorf("%v, still %d flagged", err, flagged())
	}
}

// Vectors of several models live side by side.
func TestModels(t *testing.T) {
	l := made(t, 4)
	ctx := t.Context()
	m2 := testModel("m2")
	m2.Step = 9
	if err := l.UseModel(ctx, m2); err != nil {
		t.Fatal(err)
	}
	if hits, err := l.Search(ctx, Query{Vector: entry(0).Audio, From: Audio, In: Audio}); err != nil || len(hits) != 0 {
		t.Errorf("%+v, %v", hits, err)
	}
	e := entry(1)
	e.Audio = entry(50).Audio
	if err := l.Add(ctx, e); err != nil {
		t.Fatal(err)
	}
	l = reopened(t, l, Options{Write: true})
	if m, _ := l.Model(); m.ID != "m2" || m.Step != 9 {
		t.Errorf("the model used last is %+v", m)
	}
	first := opened(t, l.Dir(), Options{Model: "m1"})
	hits, err := first.Search(ctx, Query{Vector: entry(1).Audio, From: Audio, In: Audio})
	if err != nil || len(hits) != 4 || hits[0].ID != 2 {
		t.Errorf("%+v, %v", hits, err)
	}
	if _, err := Open(ctx, l.Dir(), Options{Model: "m3"}); !errors.Is(err, ErrNoModel) {
		t.Errorf("a model that is not there: %v", err)
	}
	// A changed file loses the vectors of models that have not seen it.
	e.Clip.Bytes++
	if err := l.Add(ctx, e); err != nil {
		t.Fatal(err)
	}
	if err := first.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	hits, err = first.Search(ctx, Query{Vector: entry(1).Audio, From: Audio, In: Audio})
	if err != nil || len(hits) != 3 || hits[0].Score > .99 {
		t.Errorf("%+v, %v", hits, err)
	}
	// Other windows are other vectors.
	m2.Windows = 3
	if err := l.UseModel(ctx, m2); err != nil {
		t.Fatal(err)
	}
	if s, err := l.Stats(ctx); err != nil || s.Embedded[Audio] != 0 || s.Clips != 4 {
		t.Errorf("%+v, %v", s, err)
	}
	all, err := l.Models(ctx)
	if err != nil || len(all) != 2 || all[0].ID != "m2" || all[0].Windows != 3 {
		t.Errorf("%+v, %v", all, err)
	}
}

// One process writes; others read what it has written.
func TestOneWriterManyReaders(t *testing.T) {
	l := made(t, 3)
	if _, err := Open(t.Context(), l.Dir(), Options{Write: true}); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("a second writer: %v", err)
	}
	reader := opened(t, l.Dir(), Options{})
	if err := reader.Add(t.Context(), entry(9)); !errors.Is(err, ErrReadOnly) {
		t.Errorf("a reader adds: %v", err)
	}
	if err := l.Add(t.Context(), entry(3)); err != nil {
		t.Fatal(err)
	}
	q := Query{Vector: entry(3).Video, From: Video, In: Video, K: 9}
	if hits, err := reader.Search(t.Context(), q); err != nil || len(hits) != 3 {
		t.Errorf("before: %d hits, %v", len(hits), err)
	}
	if err := reader.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if hits, err := reader.Search(t.Context(), q); err != nil || len(hits) != 4 || hits[0].ID != 4 {
		t.Errorf("after: %+v, %v", hits, err)
	}
	if _, err := Create(t.Context(), l.Dir(), Options{}); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("made anew while open: %v", err)
	}
	l.Close()
	if _, err := Create(t.Context(), l.Dir(), Options{}); !errors.Is(err, ErrExists) {
		t.Errorf("made anew: %v", err)
	}
}

// Nothing of entries is kept when one of them cannot be.
func TestAllOrNothing(t *testing.T) {
	l := made(t, 2)
	nan := entry(8)
	nan.Video = slices.Clone(nan.Video)
	nan.Video[3] = float32(math.NaN())
	short := entry(8)
	short.Audio = short.Audio[1:]
	zero := entry(8)
	zero.Both = make([]float32, testDims)
	nameless := entry(8)
	nameless.Clip.Key = ""
	long := entry(8)
	long.Clip.Seconds = math.Inf(1)
	for i, e := range []Entry{nan, short, zero, nameless, long} {
		if err := l.Add(t.Context(), entry(7), e); err == nil {
			t.Errorf("entry %d was taken", i)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Add(ctx, entry(7)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if s, err := l.Stats(t.Context()); err != nil || s.Clips != 2 || s.Embedded[Video] != 2 {
		t.Errorf("%+v, %v", s, err)
	}
}
