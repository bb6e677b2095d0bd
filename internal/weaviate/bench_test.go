package weaviate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"avjepa/internal/library"
	"avjepa/internal/weaviate/weaviatetest"
)

// BenchmarkSearch times searches of a real server for the ten best, one after the other, counts how
// many of the ten best of an exact search they find, and says how fast the server took the vectors.
//
//	make weaviate
//	go test ./internal/weaviate -run '^$' -bench Search -benchtime 500x
func BenchmarkSearch(b *testing.B) {
	for _, dims := range []int{64, 128} {
		b.Run(fmt.Sprintf("10000x%d", dims), func(b *testing.B) {
			const clips, k = 10_000, 10
			s, location := opened(b, weaviatetest.New(b, "").URL, Config{Dims: dims})
			all := entries(clips, dims)
			began := time.Now()
			there := filled(b, s, location, dims, all)
			upsert := float64(2*clips-clips/5) / time.Since(began).Seconds()
			here := filled(b, nil, "", dims, all)
			r := rand.New(rand.NewPCG(4, 4))
			var took []time.Duration
			found := 0
			for b.Loop() {
				q := library.Query{Vector: draw(r, dims), From: library.Audio, In: library.Video, K: k}
				began := time.Now()
				got, err := there.Search(b.Context(), q)
				took = append(took, time.Since(began))
				if err != nil || len(got) != k {
					b.Fatalf("%d hits, %v", len(got), err)
				}
				want, err := here.Search(b.Context(), q)
				if err != nil {
					b.Fatal(err)
				}
				for _, h := range got {
					if slices.ContainsFunc(want, func(w library.Hit) bool { return w.ID == h.ID }) {
						found++
					}
				}
			}
			slices.Sort(took)
			ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }
			b.ReportMetric(float64(found)/float64(k*len(took)), "recall@10")
			b.ReportMetric(ms(took[len(took)/2]), "p50-ms")
			b.ReportMetric(ms(took[len(took)*9/10]), "p90-ms")
			b.ReportMetric(ms(took[0]), "least-ms")
			b.ReportMetric(upsert, "vectors/s-taken")
		})
	}
}
