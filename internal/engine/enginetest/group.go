package enginetest

import (
	"fmt"
	"math"
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/engine/grouptest"
	"avjepa/internal/engine/ref"
	"avjepa/internal/rng"
	"avjepa/internal/tensor"
)

// testGroup holds a BatchNorm over the rows of several processes, forward and
// backward, to that of one process with all rows on the reference: every row, the
// moments, and the parameters' gradients summed over processes.
func testGroup(t *testing.T, open func(t *testing.T) engine.Engine) {
	const processes = 3
	for _, rows := range []int{1, 2, 9} {
		for _, c := range []int{1, 7, 64, 130} {
			t.Run(fmt.Sprintf("%dx%d", rows, c), func(t *testing.T) {
				want := runNorm(t, ref.New(), nil, 0, processes*rows, c)
				var got [processes]normResult
				grouptest.Run(t, processes, func(p *grouptest.Process) {
					e := open(t)
					defer e.Close()
					got[p.Rank] = runNorm(t, e, p.Group(e), p.Rank*rows, rows, c)
				})
				for r, g := range got {
					at := r * rows * c
					near(t, "Y", g.y, want.y[at:])
					near(t, "DX", g.dx, want.dx[at:])
					near(t, "Mean", g.mean, want.mean)
					near(t, "RStd", g.rstd, want.rstd)
					near(t, "RunMean", g.runMean, want.runMean)
					near(t, "RunVar", g.runVar, want.runVar)
					if r > 0 {
						for j := range c {
							got[0].dgain[j] += g.dgain[j]
							got[0].dbias[j] += g.dbias[j]
						}
					}
				}
				near(t, "ΣDGain", got[0].dgain, want.dgain)
				near(t, "ΣDBias", got[0].dbias, want.dbias)
			})
		}
	}
}

type normResult struct{ y, mean, rstd, runMean, runVar, dx, dgain, dbias []float32 }

// runNorm normalises rows first … first+rows−1 of fixed numbers and goes back.
func runNorm(t *testing.T, e engine.Engine, g engine.Group, first, rows, c int) normResult {
	numbers := func(name string, skip, n int) []float32 {
		v := make([]float32, skip+n)
		rng.New(1, "group", name).FillNormal(v, 1)
		return v[skip:]
	}
	place := func(values []float32, dims ...int) engine.Tensor {
		buf, err := e.NewBuffer(engine.F32, len(values))
		if err != nil {
			t.Error(err)
			panic(err)
		}
		x := engine.NewTensor(buf, 0, tensor.Of(dims...))
		e.Upload(x, values)
		return x
	}
	in := func(name string) engine.Tensor {
		return place(numbers(name, first*c, rows*c), rows, c)
	}
	vector := func(name string) engine.Tensor { return place(numbers(name, 0, c), c) }
	zeros := func(dims ...int) engine.Tensor {
		return place(make([]float32, tensor.Of(dims...).Elems()), dims...)
	}
	a := engine.BatchNormArgs{X: in("x"), Y: zeros(rows, c), Mean: zeros(c), RStd: zeros(c),
		Gain: vector("gain"), Bias: vector("bias"), RunMean: vector("mean"), RunVar: vector("var"),
		Group: g, Eps: 1e-5, Momentum: .1, Train: true, GELU: true}
	e.BatchNorm(a)
	b := engine.BatchNormBackwardArgs{DY: in("dy"), DX: zeros(rows, c), X: a.X, Mean: a.Mean,
		RStd: a.RStd, Gain: a.Gain, DGain: zeros(c), DBias: zeros(c), Group: g}
	if g != nil {
		b.Means = zeros(2, c)
	}
	e.BatchNormBackward(b)
	read := func(x engine.Tensor) []float32 {
		v := make([]float32, x.Elems())
		e.Download(v, x)
		return v
	}
	return normResult{read(a.Y), read(a.Mean), read(a.RStd), read(a.RunMean), read(a.RunVar),
		read(b.DX), read(b.DGain), read(b.DBias)}
}

// near requires got to be the first elements of want, to some roundings of float32.
func near(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i, g := range got {
		if d := math.Abs(float64(g - want[i])); !(d <= 3e-5*(1+math.Abs(float64(want[i])))) {
			t.Errorf("%s: element %d is %v, want %v", what, i, g, want[i])
			return
		}
	}
}
