// Package retrieval measures how well the sound of a clip finds its picture
// among many, and the picture its sound.
//
//	m := retrieval.Measure(audio, video, 200, 64)
//	fmt.Println(m.A2V.R1, m.V2A.Median)
package retrieval

import (
	"fmt"
	"math"
	"sort"
)

// Direction is one direction's figures. Recalls are shares in [0, 1].
type Direction struct {
	R1     float64 `json:"r1"`
	R5     float64 `json:"r5"`
	R10    float64 `json:"r10"`
	Median float64 `json:"median"` // of the ranks; the mean of the middle two for an even n
	Mean   float64 `json:"mean"`

	CI *Intervals `json:"ci,omitempty"` // from Bootstrap; nil for none
}

// Metrics is the retrieval of n clips both ways.
type Metrics struct {
	N   int       `json:"n"`
	A2V Direction `json:"a2v"` // audio queries, video gallery
	V2A Direction `json:"v2a"`
}

// Normalise scales every row of x (n, d) to unit length; a row of zeros stays.
func Normalise(x []float32, n, d int) {
	checkSize("x", x, n, d)
	for i := 0; i < n; i++ {
		row := x[i*d : (i+1)*d]
		var sq float64
		for _, v := range row {
			sq += float64(v) * float64(v)
		}
		// The bound is that of torch.nn.functional.normalize.
		inv := 1 / math.Max(math.Sqrt(sq), 1e-12)
		for j := range row {
			row[j] = float32(float64(row[j]) * inv)
		}
	}
}

// Center subtracts the column means of x (n, d): removes a modality's offset.
func Center(x []float32, n, d int) {
	checkSize("x", x, n, d)
	for j := 0; j < d; j++ {
		var sum float64
		for i := 0; i < n; i++ {
			sum += float64(x[i*d+j])
		}
		mean := float32(sum / float64(n))
		for i := 0; i < n; i++ {
			x[i*d+j] -= mean
		}
	}
}

// Similarities returns the (n, n) matrix of dot products of rows of unit length.
func Similarities(query, gallery []float32, n, d int) []float32 {
	checkSize("query", query, n, d)
	checkSize("gallery", gallery, n, d)
	sim := make([]float32, n*n)
	for i := 0; i < n; i++ {
		q := query[i*d : (i+1)*d]
		for j := 0; j < n; j++ {
			g := gallery[j*d : (j+1)*d]
			var dot float32
			for k, v := range q {
				dot += v * g[k]
			}
			sim[i*n+j] = dot
		}
	}
	return sim
}

// Ranks returns for each row i of sim (n, n) 1 + the number of candidates that
// are strictly more similar than candidate i. NaN in a row gives rank n: an
// undefined similarity must not look like a hit.
func Ranks(sim []float32, n int) []int {
	ranks := make([]int, n)
	for i := range ranks {
		row := sim[i*n : (i+1)*n]
		pair := row[i]
		rank := 1
		for _, v := range row {
			if v > pair {
				rank++
			}
			if v != v {
				rank = n
				break
			}
		}
		ranks[i] = min(rank, n)
	}
	return ranks
}

// Summarise turns ranks into recalls, median and mean.
func Summarise(ranks []int) Direction {
	n := len(ranks)
	sorted := append([]int(nil), ranks...)
	sort.Ints(sorted)
	var d Direction
	for _, r := range sorted {
		if r <= 1 {
			d.R1++
		}
		if r <= 5 {
			d.R5++
		}
		if r <= 10 {
			d.R10++
		}
		d.Mean += float64(r)
	}
	d.R1 /= float64(n)
	d.R5 /= float64(n)
	d.R10 /= float64(n)
	d.Mean /= float64(n)
	d.Median = float64(sorted[(n-1)/2]+sorted[n/2]) / 2
	return d
}

// Measure returns both directions for paired rows of audio and video (n, d).
// It normalises both in place.
//
// Source: paper, §3.3.
func Measure(audio, video []float32, n, d int) Metrics {
	Normalise(audio, n, d)
	Normalise(video, n, d)
	return Metrics{
		N:   n,
		A2V: Summarise(Ranks(Similarities(audio, video, n, d), n)),
		V2A: Summarise(Ranks(Similarities(video, audio, n, d), n)),
	}
}

// Chance returns what a random ranking of n candidates would score.
func Chance(n int) Direction {
	f := float64(n)
	return Direction{
		R1: 1 / f, R5: math.Min(5, f) / f, R10: math.Min(10, f) / f,
		Median: (f + 1) / 2, Mean: (f + 1) / 2,
	}
}

// Nearest returns the k candidates most similar to query i, best first; ties
// keep the order of the gallery.
func Nearest(sim []float32, n, i, k int) []int {
	row := sim[i*n : (i+1)*n]
	order := make([]int, n)
	for j := range order {
		order[j] = j
	}
	sort.SliceStable(order, func(a, b int) bool { return row[order[a]] > row[order[b]] })
	return order[:min(k, n)]
}

func checkSize(name string, x []float32, n, d int) {
	if len(x) != n*d || n < 1 {
		panic(fmt.Sprintf("retrieval: %s has %d values, want %d×%d", name, len(x), n, d))
	}
}
