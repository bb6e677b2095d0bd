package tsne

import (
	"context"
	"math"
	"runtime"

	"avjepa/internal/kernel"
	"avjepa/internal/tensor"
)

// Kept returns the share of the k nearest rows of x (n, D) that are among the k nearest
// in the plane y (n, 2), the mean over rows: how far the picture can be trusted. Places
// drawn at random keep k/(n−1). Errors are ctx's.
func Kept(ctx context.Context, x tensor.Array, y []float64, k int) (float64, error) {
	n := x.Shape.Rows()
	k = min(k, n-1)
	if k < 1 {
		return 1, nil
	}
	pool := kernel.NewPool(runtime.GOMAXPROCS(0))
	defer pool.Close()
	plane := make([]float32, len(y))
	for i, v := range y {
		plane[i] = float32(v)
	}
	inData, err := nearest(ctx, pool, x, k)
	if err != nil {
		return 0, err
	}
	inPlane, err := nearest(ctx, pool, tensor.From(plane, n, 2), k)
	if err != nil {
		return 0, err
	}
	kept, in := 0, map[int32]bool{}
	for i := range n {
		clear(in)
		for _, nb := range inData[i*k : (i+1)*k] {
			in[nb.at] = true
		}
		for _, nb := range inPlane[i*k : (i+1)*k] {
			if in[nb.at] {
				kept++
			}
		}
	}
	return float64(kept) / float64(n*k), nil
}

// divergence returns Σ pᵢⱼ log(pᵢⱼ/qᵢⱼ), what the layout minimises, exactly.
func divergence(p *sparse, y []float64) float64 {
	n, z, kl := len(y)/2, 0.0, 0.0
	weight := func(i, j int) float64 {
		a, b := y[2*i]-y[2*j], y[2*i+1]-y[2*j+1]
		return 1 / (1 + a*a + b*b)
	}
	for i := range n {
		for j := range n {
			if i != j {
				z += weight(i, j)
			}
		}
	}
	for i := range n {
		for e := p.from[i]; e < p.from[i+1]; e++ {
			if v := p.value[e]; v > 0 {
				kl += v * math.Log(v*z/weight(i, int(p.at[e])))
			}
		}
	}
	return kl
}
