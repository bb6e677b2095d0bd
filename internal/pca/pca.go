// Package pca finds the directions in which rows of numbers vary most.
//
//	b, err := pca.Fit(tokens, 3)
//	y := b.Project(tokens) // (n, 3)
package pca

import (
	"fmt"
	"math"
	"runtime"

	"gonum.org/v1/gonum/mat"

	"avjepa/internal/kernel"
	"avjepa/internal/tensor"
)

// Basis are the first principal components of rows of D features. Signs are fixed:
// the largest entry of a component, the first of equal ones, is positive.
type Basis struct {
	Mean       []float64 // (D)
	Components []float64 // (K, D) of unit length
	Variance   []float64 // (K) along each component, descending
	Total      float64   // variance over all D directions
}

// blockRows of a product are summed in float32, blocks in float64.
const blockRows = 1024

// Fit returns the first k components of the rows of x (n, D). It needs 2 rows and
// k ≤ D; a value that is no number is an error. Work grows with n·D² and D³.
func Fit(x tensor.Array, k int) (*Basis, error) {
	n, d := x.Shape.Rows(), x.Shape.Cols()
	if n < 2 || k < 1 || k > d {
		return nil, fmt.Errorf("pca: %d components of %d rows of %d features: needs 2 rows, and as many "+
			"features as components", k, n, d)
	}
	b := &Basis{Mean: make([]float64, d)}
	for i, v := range x.Data {
		if v-v != 0 {
			return nil, fmt.Errorf("pca: row %d, feature %d is %v", i/d, i%d, v)
		}
		b.Mean[i%d] += float64(v) / float64(n)
	}
	cov := covariance(x.Data, b.Mean, n, d)
	for i := range d {
		b.Total += cov.At(i, i)
	}
	var eigen mat.EigenSym
	if !eigen.Factorize(cov, true) {
		return nil, fmt.Errorf("pca: the covariance of %d rows of %d features has no eigenvectors", n, d)
	}
	var vectors mat.Dense
	eigen.VectorsTo(&vectors)
	values := eigen.Values(nil)
	for i := range k {
		col := d - 1 - i // ascending
		b.Variance = append(b.Variance, math.Max(0, values[col]))
		c := mat.Col(nil, col, &vectors)
		b.Components = append(b.Components, positive(c)...)
	}
	return b, nil
}

// positive returns c or −c: whose largest entry is above 0. Entries that differ by
// rounding alone count as equal.
func positive(c []float64) []float64 {
	top := 0.0
	for _, v := range c {
		top = math.Max(top, math.Abs(v))
	}
	for _, v := range c {
		if math.Abs(v) >= top*(1-1e-6) {
			if v < 0 {
				for j := range c {
					c[j] = -c[j]
				}
			}
			break
		}
	}
	return c
}

// covariance returns that of the rows of x (n, d) about mean.
func covariance(x []float32, mean []float64, n, d int) *mat.SymDense {
	pool := kernel.NewPool(runtime.GOMAXPROCS(0))
	defer pool.Close()
	gemm := kernel.NewGemm(pool)
	sum, part := make([]float64, d*d), make([]float32, d*d)
	block := make([]float32, blockRows*d)
	for lo := 0; lo < n; lo += blockRows {
		rows := min(blockRows, n-lo)
		for i := range rows * d {
			block[i] = float32(float64(x[lo*d+i]) - mean[i%d])
		}
		gemm.Do(&kernel.GemmArgs{M: d, N: d, K: rows, A: block, LDA: d, TransA: true,
			B: block, LDB: d, C: part, LDC: d})
		for i, v := range part {
			sum[i] += float64(v) / float64(n)
		}
	}
	for i := range d { // equal to rounding
		for j := range i {
			m := (sum[i*d+j] + sum[j*d+i]) / 2
			sum[i*d+j], sum[j*d+i] = m, m
		}
	}
	return mat.NewSymDense(d, sum)
}

// Project returns the coordinates (n, K) of the rows of x (n, D).
func (b *Basis) Project(x tensor.Array) []float64 {
	n, d, k := x.Shape.Rows(), len(b.Mean), len(b.Variance)
	if x.Shape.Cols() != d {
		panic(fmt.Sprintf("pca: rows of %d features, the basis has %d", x.Shape.Cols(), d))
	}
	y := make([]float64, n*k)
	for i := range n {
		for j := range k {
			c, s := b.Components[j*d:(j+1)*d], 0.0
			for l, v := range x.Data[i*d : (i+1)*d] {
				s += (float64(v) - b.Mean[l]) * c[l]
			}
			y[i*k+j] = s
		}
	}
	return y
}
