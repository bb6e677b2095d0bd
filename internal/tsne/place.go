package tsne

import (
	"context"
	"fmt"
	"math"
	"runtime"

	"avjepa/internal/kernel"
	"avjepa/internal/tensor"
)

// placeNeighbours are the rows laid out that a row is placed among.
const placeNeighbours = 5

// Place returns places (m, 2) for further rows z (m, D) of a layout: y (n, 2) are the places
// of rows x (n, D), from Embed. A row comes to the mean of the places of its 5 nearest rows of
// x, of which nearer ones weigh more; nothing laid out moves. So maps of more rows than Embed
// lays out in a reasonable time are those of a sample with the others among them. Errors:
// ctx's, shapes that do not fit, a value that is no number.
//
// Source: Poličar, Stražar & Zupan, openTSNE (bioRxiv 731877, 2019), where such places are
// the start of a further descent. Differs: the descent is left out, and nearest rows are exact.
func Place(ctx context.Context, x tensor.Array, y []float64, z tensor.Array) ([]float64, error) {
	n, d := x.Shape.Rows(), x.Shape.Cols()
	m := z.Shape.Rows()
	if n < 1 || len(y) != 2*n || m > 0 && z.Shape.Cols() != d {
		return nil, fmt.Errorf("tsne: %d rows of %d with %d places, and %d rows of %d to place", n, d, len(y)/2,
			m, z.Shape.Cols())
	}
	pool := kernel.NewPool(runtime.GOMAXPROCS(0))
	defer pool.Close()
	t := &placeTask{n: n, d: d, k: min(placeNeighbours, n), y: y, norms: make([]float32, n),
		dots: make([]float32, min(neighbourRows, max(m, 1))*n), out: make([]float64, 2*m)}
	// About the mean of x, where float32 products of far rows lose nothing that matters.
	mean := meanRow(x)
	laid := less(x, mean)
	t.z = less(z, mean)
	for _, rows := range [][]float32{laid, t.z} {
		for i, v := range rows {
			if v-v != 0 {
				return nil, fmt.Errorf("tsne: row %d has a value that is no number", i/d)
			}
		}
	}
	for i := range n {
		for _, v := range laid[i*d : (i+1)*d] {
			t.norms[i] += v * v
		}
	}
	gemm := kernel.NewGemm(pool)
	for lo := 0; lo < m; lo += neighbourRows {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		rows := min(neighbourRows, m-lo)
		gemm.Do(&kernel.GemmArgs{M: rows, N: n, K: d, A: t.z[lo*d:], LDA: d,
			B: laid, LDB: d, TransB: true, C: t.dots, LDC: n})
		t.first = lo
		pool.Run(t, rows)
	}
	return t.out, nil
}

type placeTask struct {
	n, d, k, first int
	z, dots, norms []float32
	y, out         []float64
}

// Run places row first+r.
func (t *placeTask) Run(_, r int) {
	i := t.first + r
	own := 0.0
	for _, v := range t.z[i*t.d : (i+1)*t.d] {
		own += float64(v) * float64(v)
	}
	var near [placeNeighbours]neighbour
	kept := 0
	for j, dot := range t.dots[r*t.n : (r+1)*t.n] {
		dist := max(0, own+float64(t.norms[j])-2*float64(dot))
		if kept == t.k && dist >= near[kept-1].dist {
			continue
		}
		at := min(kept, t.k-1)
		for ; at > 0 && near[at-1].dist > dist; at-- {
			near[at] = near[at-1]
		}
		near[at] = neighbour{int32(j), dist}
		kept = min(kept+1, t.k)
	}
	// The farthest of them sets the scale: it weighs e⁻⁴ of one that is as near as can be.
	scale, sum := near[kept-1].dist, 0.0
	for _, nb := range near[:kept] {
		w := 1.0
		if scale > 0 {
			w = math.Exp(-4 * nb.dist / scale)
		}
		sum += w
		t.out[2*i] += w * t.y[2*nb.at]
		t.out[2*i+1] += w * t.y[2*nb.at+1]
	}
	t.out[2*i] /= sum
	t.out[2*i+1] /= sum
}
