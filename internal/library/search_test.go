package library

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

// cosine is the definition, in float64.
func cosine(a, b, meanA, meanB []float64) float64 {
	unit := func(v, mean []float64) []float64 {
		out, n := slices.Clone(v), 0.
		for _, x := range v {
			n += x * x
		}
		for i := range out {
			out[i] /= math.Sqrt(n)
			if mean != nil {
				out[i] -= mean[i]
			}
		}
		n = 0
		for _, x := range out {
			n += x * x
		}
		for i := range out {
			out[i] /= math.Sqrt(n)
		}
		return out
	}
	a, b = unit(a, meanA), unit(b, meanB)
	s := 0.
	for i := range a {
		s += a[i] * b[i]
	}
	return s
}

func wide(v []float32) []float64 {
	w := make([]float64, len(v))
	for i, x := range v {
		w[i] = float64(x)
	}
	return w
}

// A search finds what the definition says, in its order, with every number of clips around
// the blocks, in every direction, with and without the means subtracted.
func TestSearchIsExact(t *testing.T) {
	for _, n := range []int{1, 2, 511, 512, 513, 1500, 9000} {
		for _, center := range []bool{false, true} {
			if center && (n == 1 || n == 9000) { // one clip less its mean is nothing
				continue
			}
			l := empty(t, t.TempDir(), Options{})
			m := testModel("m")
			m.Center = center
			if err := l.UseModel(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			all := entries(n)
			for i := range all { // a few have no sound
				if i%5 == 4 {
					all[i].Audio = nil
				}
			}
			if err := l.Add(t.Context(), all...); err != nil {
				t.Fatal(err)
			}
			if err := l.Finish(t.Context()); err != nil {
				t.Fatal(err)
			}
			var means [4][]float64
			if center {
				means = meansOf(all)
			}
			for _, l := range again(t, l) {
				for _, d := range []direction{{Audio, Video}, {Video, Audio}, {Both, Both}, {Audio, Audio}} {
					checkSearch(t, l, all, d, means)
				}
			}
		}
	}
}

func meansOf(all []Entry) (means [4][]float64) {
	for _, m := range Modalities {
		mean, count := make([]float64, testDims), 0.
		for i := range all {
			if v := all[i].vectors()[m]; v != nil {
				n := math.Sqrt(cosineNorm(v))
				for j, x := range v {
					mean[j] += float64(x) / n
				}
				count++
			}
		}
		for j := range mean {
			mean[j] /= count
		}
		means[m] = mean
	}
	return means
}

func cosineNorm(v []float32) (s float64) {
	for _, x := range v {
		s += float64(x) * float64(x)
	}
	return s
}

func checkSearch(t *testing.T, l *Library, all []Entry, d direction, means [4][]float64) {
	t.Helper()
	type scored struct {
		id    int64
		score float64
	}
	q := vector(rand.New(rand.NewPCG(1, uint64(d.from))))
	var want []scored
	for i := range all {
		if v := all[i].vectors()[d.in]; v != nil && i != 3 {
			want = append(want, scored{int64(i + 1), cosine(wide(q), wide(v), means[d.from], means[d.in])})
		}
	}
	slices.SortFunc(want, func(a, b scored) int { return cmp.Compare(b.score, a.score) })
	const k = 25
	hits, err := l.Search(t.Context(), Query{Vector: q, From: d.from, In: d.in, K: k, Exclude: []int64{4}})
	if err != nil {
		t.Fatal(err)
	}
	if len(hits) != min(k, len(want)) {
		t.Fatalf("%d clips, %v: %d hits", len(all), d, len(hits))
	}
	for i, h := range hits {
		if !(math.Abs(float64(h.Score)-want[i].score) <= 2e-6) {
			t.Errorf("%d clips, %v: hit %d is %+v, want %+v", len(all), d, i, h, want[i])
		}
		if h.ID != want[i].id && !(math.Abs(want[i].score-want[min(i+1, len(want)-1)].score) < 1e-6) {
			t.Errorf("%d clips, %v: hit %d is clip %d, want %d", len(all), d, i, h.ID, want[i].id)
		}
	}
}

// Equal scores come in the order of the clips, whatever goroutine found them.
func TestEqualScoresKeepTheirOrder(t *testing.T) {
	l := made(t, 0)
	var all []Entry
	for i := range 9000 {
		e := entry(i)
		e.Audio, e.Video, e.Both = nil, entry(0).Video, nil
		all = append(all, e)
	}
	if err := l.Add(t.Context(), all...); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		hits, err := l.Search(t.Context(), Query{Vector: entry(1).Audio, From: Audio, In: Video, K: 100})
		if err != nil {
			t.Fatal(err)
		}
		for i, h := range hits {
			if h.ID != int64(i+1) {
				t.Fatalf("hit %d is clip %d", i, h.ID)
			}
		}
	}
}

func TestNeighboursLeaveTheClipOut(t *testing.T) {
	l := made(t, 50)
	hits, err := l.Neighbours(t.Context(), 7, Video, Video, 50)
	if err != nil || len(hits) != 49 {
		t.Fatalf("%d hits, %v", len(hits), err)
	}
	for _, h := range hits {
		if h.ID == 7 {
			t.Error("the clip is its own neighbour")
		}
	}
	if _, err := l.Neighbours(t.Context(), 777, Video, Video, 5); err == nil {
		t.Error("neighbours of no clip")
	}
	odd, err := l.Search(t.Context(), Query{Vector: entry(6).Video, From: Video, In: Video, K: 50,
		Keep: func(id int64) bool { return id%2 == 1 }})
	if err != nil || len(odd) != 25 || odd[0].ID != 7 {
		t.Errorf("%d hits, %v", len(odd), err)
	}
}

// The percentile of a score is the share of random pairs below it, and the chance line where
// one in twenty is above.
func TestNullDistribution(t *testing.T) {
	l := made(t, 400)
	if hits, err := l.Search(t.Context(), Query{Vector: entry(0).Audio, From: Audio, In: Video}); err != nil ||
		hits[0].Percentile != -1 {
		t.Errorf("before Finish: %+v, %v", hits, err)
	}
	if s, _ := l.Stats(t.Context()); !s.Stale {
		t.Error("not stale before Finish")
	}
	if err := l.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := entries(400)
	var scores []float64
	for i := range all {
		for j := range all {
			if i != j {
				scores = append(scores, cosine(wide(all[i].Audio), wide(all[j].Video), nil, nil))
			}
		}
	}
	slices.Sort(scores)
	for _, l := range again(t, l) {
		n := l.Null(Audio, Video)
		if n == nil || n.Pairs != nullPairs {
			t.Fatalf("%+v", n)
		}
		line := scores[len(scores)*95/100]
		// 10 000 draws: the 95 % quantile is off by 0.2 % of the pairs, one sigma.
		if got := float64(n.Chance()); !(math.Abs(got-line) < .02) {
			t.Errorf("chance line %v, want %v", got, line)
		}
		for _, s := range []float64{-.9, -.2, 0, .1, .3, .5} {
			at, _ := slices.BinarySearch(scores, s)
			want := 100 * float64(at) / float64(len(scores))
			if got := n.Percentile(float32(s)); !(math.Abs(got-want) < 2) {
				t.Errorf("percentile of %v is %v, want %v", s, got, want)
			}
		}
		hits, err := l.Search(t.Context(), Query{Vector: all[3].Audio, From: Audio, In: Video, K: 400})
		if err != nil || !(hits[0].Percentile > 99) || hits[0].Chance || !hits[399].Chance || hits[399].Percentile > 1 {
			t.Errorf("%+v … %+v, %v", hits[0], hits[399], err)
		}
		if s, _ := l.Stats(t.Context()); s.Stale {
			t.Error("stale after Finish")
		}
	}
}

// Searches go on while clips come and go.
func TestConcurrentUse(t *testing.T) {
	l := made(t, 600)
	ctx := t.Context()
	stop := make(chan struct{})
	var readers, writers sync.WaitGroup
	for w := range 3 {
		readers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				// Clips 1 to 100 stay.
				at := (i*7 + w) % 100
				hits, err := l.Search(ctx, Query{Vector: entry(at).Video, From: Video, In: Video, K: 3})
				if err != nil || hits[0].ID != int64(at+1) {
					t.Errorf("clip %d: %+v, %v", at, hits, err)
					return
				}
				if _, err := l.Clips(ctx, Filter{Label: "x"}, Page{Limit: 5}); err != nil {
					t.Error(err)
				}
				if _, _, _, err := l.Vectors(ctx, Audio, func(id int64) bool { return id < 10 }); err != nil {
					t.Error(err)
				}
				l.Null(Audio, Video)
				l.Model()
				if _, err := l.Stats(ctx); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Go(func() {
		for i := range 20 {
			if err := l.Add(ctx, entry(1000+i), entry(2000+i)); err != nil {
				t.Error(err)
			}
			if err := l.Remove(ctx, int64(200+i), int64(300+i)); err != nil {
				t.Error(err)
			}
		}
	})
	writers.Go(func() {
		for range 3 {
			if err := l.Finish(ctx); err != nil {
				t.Error(err)
			}
			if err := l.UseModel(ctx, testModel("m1")); err != nil {
				t.Error(err)
			}
		}
	})
	writers.Wait()
	close(stop)
	readers.Wait()
	if s, err := l.Stats(ctx); err != nil || s.Embedded[Video] != 600 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestVectorsAreThoseCompared(t *testing.T) {
	l := made(t, 600)
	ids, data, d, err := l.Vectors(t.Context(), Audio, func(id int64) bool { return id%2 == 0 })
	if err != nil || len(ids) != 300 || d != testDims || len(data) != 300*testDims {
		t.Fatalf("%d ids, %d numbers, %v", len(ids), len(data), err)
	}
	for i, id := range ids {
		want, err := l.Vector(t.Context(), id, Audio)
		if err != nil || !slices.Equal(want, data[i*d:][:d]) {
			t.Fatalf("clip %d: %v", id, err)
		}
	}
}

func TestQueryIsChecked(t *testing.T) {
	l := made(t, 3)
	ok := Query{Vector: entry(0).Audio, From: Audio, In: Video}
	for _, change := range []func(q *Query){
		func(q *Query) { q.From = 0 }, func(q *Query) { q.In = 4 }, func(q *Query) { q.K = -1 },
		func(q *Query) { q.K = MaxK + 1 }, func(q *Query) { q.Vector = q.Vector[1:] },
		func(q *Query) { q.Vector = make([]float32, testDims) },
		func(q *Query) { q.Vector = slices.Clone(q.Vector); q.Vector[0] = float32(math.Inf(1)) },
	} {
		q := ok
		change(&q)
		if _, err := l.Search(t.Context(), q); err == nil {
			t.Errorf("%+v was taken", q)
		}
	}
}
