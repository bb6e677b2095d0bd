package library

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// BenchmarkSearch times exact searches for the ten best, in vectors of 64 and 128 numbers.
//
//	go test ./internal/library -run '^$' -bench Search -benchtime 30x
func BenchmarkSearch(b *testing.B) {
	for _, c := range []struct{ clips, dims int }{{10_000, 64}, {10_000, 128}, {1_000_000, 64}, {1_000_000, 128}} {
		b.Run(fmt.Sprintf("%dx%d", c.clips, c.dims), func(b *testing.B) {
			l := &Library{number: 1, model: Model{Dims: c.dims}, rows: rows{ids: make([]int64, c.clips)}}
			m := &l.rows.parts[Video]
			m.dims = c.dims
			r := rand.New(rand.NewPCG(1, 1))
			v := make([]float32, c.dims)
			for i := range c.clips {
				for j := range v {
					v[j] = float32(r.NormFloat64())
				}
				normalise(v)
				m.push(v)
				l.rows.ids[i] = int64(i + 1)
			}
			var took []time.Duration
			for b.Loop() {
				v[0]++
				began := time.Now()
				hits, err := l.Search(b.Context(), Query{Vector: v, From: Audio, In: Video, K: 10})
				if err != nil || len(hits) != 10 {
					b.Fatal(err)
				}
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }
			b.ReportMetric(ms(took[len(took)/2]), "p50-ms")
			b.ReportMetric(ms(took[len(took)*9/10]), "p90-ms")
			b.ReportMetric(ms(took[0]), "least-ms")
		})
	}
}
