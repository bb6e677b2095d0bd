package tsne

import (
	"cmp"
	"context"
	"math"
	"slices"

	"avjepa/internal/kernel"
	"avjepa/internal/tensor"
)

// neighbour is another row and its squared distance.
type neighbour struct {
	at   int32
	dist float64
}

// neighbourRows are compared with all others at once.
const neighbourRows = 256

// nearest returns the k nearest other rows of every row of x (n, D), nearest first:
// row i's are [i·k, (i+1)·k). Candidates are found with a float32 product about the
// mean, the distances of those kept are computed in float64. Equally near ones are in
// the order of rows. Errors are ctx's.
func nearest(ctx context.Context, pool *kernel.Pool, x tensor.Array, k int) ([]neighbour, error) {
	n, d := x.Shape.Rows(), x.Shape.Cols()
	t := &nearestTask{n: n, d: d, k: k, x: centered(x), dots: make([]float32, neighbourRows*n),
		norms: make([]float32, n), out: make([]neighbour, n*k), room: make([][]neighbour, pool.Threads())}
	for i := range n {
		for _, v := range t.x[i*d : (i+1)*d] {
			t.norms[i] += v * v
		}
	}
	gemm := kernel.NewGemm(pool)
	for lo := 0; lo < n; lo += neighbourRows {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		rows := min(neighbourRows, n-lo)
		gemm.Do(&kernel.GemmArgs{M: rows, N: n, K: d, A: t.x[lo*d:], LDA: d,
			B: t.x, LDB: d, TransB: true, C: t.dots, LDC: n})
		t.first = lo
		pool.Run(t, rows)
	}
	return t.out, nil
}

// centered returns x less its mean row.
func centered(x tensor.Array) []float32 { return less(x, meanRow(x)) }

func meanRow(x tensor.Array) []float64 {
	n, d := x.Shape.Rows(), x.Shape.Cols()
	mean := make([]float64, d)
	for i, v := range x.Data {
		mean[i%d] += float64(v) / float64(n)
	}
	return mean
}

// less returns x with a row subtracted from each of its own.
func less(x tensor.Array, row []float64) []float32 {
	y := make([]float32, len(x.Data))
	for i, v := range x.Data {
		y[i] = float32(float64(v) - row[i%len(row)])
	}
	return y
}

type nearestTask struct {
	n, d, k, first int
	x, dots, norms []float32
	out            []neighbour
	room           [][]neighbour // of workers
}

// Run finds the neighbours of row first+r: it keeps the nearest so far and sorts them
// whenever twice as many have come together.
func (t *nearestTask) Run(worker, r int) {
	i := t.first + r
	near, limit := t.room[worker][:0], math.Inf(1)
	// Beyond k, some whose float32 distances are wrong in the last place.
	keep := min(t.k+8, t.n-1)
	dots := t.dots[r*t.n : (r+1)*t.n]
	for j, dot := range dots {
		dist := float64(t.norms[j] - 2*dot) // and the row's own norm, the same for all
		if j == i || dist >= limit {
			continue
		}
		near = append(near, neighbour{int32(j), dist})
		if len(near) >= 2*keep+64 {
			slices.SortFunc(near, byDistance)
			near = near[:keep]
			limit = near[keep-1].dist
		}
	}
	slices.SortFunc(near, byDistance)
	near = near[:keep]
	a := t.x[i*t.d : (i+1)*t.d]
	for c := range near {
		sum := 0.0
		for l, v := range t.x[int(near[c].at)*t.d:][:t.d] {
			diff := float64(v) - float64(a[l])
			sum += diff * diff
		}
		near[c].dist = sum
	}
	slices.SortFunc(near, byDistance)
	copy(t.out[i*t.k:(i+1)*t.k], near)
	t.room[worker] = near
}

func byDistance(a, b neighbour) int { return cmp.Or(cmp.Compare(a.dist, b.dist), int(a.at-b.at)) }

// sparse is a symmetric matrix of probabilities that sum to 1: row i holds entries
// from[i] … from[i+1]−1, in the order of columns.
type sparse struct {
	from  []int32
	at    []int32
	value []float64
}

// similarities returns the joint probabilities p: for each row a normal distribution
// over its 3·perplexity nearest, as wide as to give the perplexity, then (pᵢⱼ + pⱼᵢ)/2n.
func similarities(ctx context.Context, pool *kernel.Pool, x tensor.Array, perplexity float64) (
	*sparse, error) {
	n := x.Shape.Rows()
	k := min(n-1, max(3, int(3*perplexity)))
	near, err := nearest(ctx, pool, x, k)
	if err != nil {
		return nil, err
	}
	type entry struct {
		row, col int32
		value    float64
	}
	all := make([]entry, 0, 2*n*k)
	p := make([]float64, k)
	for i := range n {
		row := near[i*k : (i+1)*k]
		conditional(p, row, perplexity)
		for j, nb := range row {
			half := p[j] / float64(2*n)
			all = append(all, entry{int32(i), nb.at, half}, entry{nb.at, int32(i), half})
		}
	}
	slices.SortFunc(all, func(a, b entry) int { return cmp.Or(int(a.row-b.row), int(a.col-b.col)) })
	s := &sparse{from: make([]int32, n+1)}
	for i, e := range all {
		if i > 0 && all[i-1].row == e.row && all[i-1].col == e.col {
			s.value[len(s.value)-1] += e.value
			continue
		}
		s.at, s.value = append(s.at, e.col), append(s.value, e.value)
		s.from[e.row+1]++
	}
	for i := range n {
		s.from[i+1] += s.from[i]
	}
	return s, nil
}

// conditional sets p to softmax(−β·distance) of the neighbours, with the β whose entropy
// is log(perplexity).
func conditional(p []float64, row []neighbour, perplexity float64) {
	lo, hi, want := 0.0, math.Inf(1), math.Log(perplexity)
	beta, scale := 1.0, row[len(row)-1].dist-row[0].dist
	if scale > 0 {
		beta = 1 / scale
	}
	for range 200 {
		sum, weighted := 0.0, 0.0
		for j, nb := range row {
			e := nb.dist - row[0].dist
			p[j] = math.Exp(-beta * e)
			sum += p[j]
			weighted += p[j] * e
		}
		entropy := math.Log(sum) + beta*weighted/sum
		for j := range p {
			p[j] /= sum
		}
		switch diff := entropy - want; {
		case math.Abs(diff) < 1e-6:
			return
		case diff > 0:
			lo = beta
			if math.IsInf(hi, 1) {
				beta *= 2
			} else {
				beta = (lo + hi) / 2
			}
		default:
			hi = beta
			beta = (lo + hi) / 2
		}
		if beta > 1e300 { // equal distances: no width gives the perplexity
			return
		}
	}
}
