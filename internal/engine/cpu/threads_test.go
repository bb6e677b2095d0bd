package cpu

import (
	"math"
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/rng"
	"avjepa/internal/tensor"
)

// sums runs every operation that adds over rows or blocks, on sizes of several
// parts, and returns all outputs.
func sums(t *testing.T, threads int) []float32 {
	e := open(t, threads)
	defer e.Close()
	r := rng.New(1, "threads")
	var outs []engine.Tensor
	in := func(dims ...int) engine.Tensor {
		s := tensor.Of(dims...)
		buf, err := e.NewBuffer(engine.F32, s.Elems())
		if err != nil {
			t.Fatal(err)
		}
		x := engine.NewTensor(buf, 0, s)
		r.FillNormal(vec(x), 1)
		return x
	}
	out := func(dims ...int) engine.Tensor {
		x := in(dims...)
		outs = append(outs, x)
		return x
	}
	const rows, d = 3000, 296
	e.LayerNormBackward(engine.LayerNormBackwardArgs{DX: out(rows, d), DGain: out(d),
		DBias: out(d), DY: in(rows, d), X: in(rows, d), Mean: in(rows), RStd: in(rows),
		Gain: in(d)})
	e.LinearWeight(engine.LinearWeightArgs{DW: in(d, 8), DBias: out(d), DY: in(rows, d),
		X: in(rows, 8)})
	e.SquaredNorm(out(1), in(100_000))
	e.ColumnStats(out(d), out(d), in(rows, d))
	e.BatchNormBackward(engine.BatchNormBackwardArgs{DX: out(rows, d), DGain: out(d),
		DBias: out(d), DY: in(rows, d), X: in(rows, d), Mean: in(d), RStd: in(d), Gain: in(d)})
	k := engine.Knots{Max: 5, Count: 17}
	p, ecf := in(2, 24, 200), out(2, 200, 17, 2)
	e.ECF(engine.ECFArgs{E: ecf, P: p, Knots: k})
	de := out(2, 200, 17, 2)
	e.SIGReg(engine.SIGRegArgs{Loss: out(2), DE: de, E: ecf, Knots: k, N: 24, Weight: 1})
	e.ECFBackward(engine.ECFBackwardArgs{DP: out(2, 24, 200), P: p, DE: de, Knots: k})
	e.PredictionLoss(engine.PredictionLossArgs{Loss: out(1), DZ: out(5, 24, d), Z: in(5, 24, d),
		C: in(24, d), G: 2, Weight: 1})
	labels := in(rows)
	e.Fill(labels, 3)
	e.CrossEntropy(engine.CrossEntropyArgs{Loss: out(1), DLogits: out(rows, d),
		Logits: in(rows, d), Labels: labels, Smoothing: 0.1, Weight: 1})
	e.AssembleTokensBackward(engine.AssembleBackwardArgs{DY: in(3, 1+24+10, d), DCLS: out(d),
		DVideo: out(3*24, d), DVideoBias: out(d), DVideoType: out(d), DVideoTime: out(4, d),
		DVideoSpace: out(6, d), DAudio: out(3*10, d), DAudioBias: out(d), DAudioType: out(d),
		DAudioFreq: out(2, d), DAudioTime: out(5, d)})
	var all []float32
	for _, x := range outs {
		v := make([]float32, x.Elems())
		e.Download(v, x)
		all = append(all, v...)
	}
	return all
}

// TestThreadsKeepBits: sums do not depend on the number of threads.
func TestThreadsKeepBits(t *testing.T) {
	want := sums(t, 1)
	for _, threads := range []int{2, 3, 7} {
		for i, v := range sums(t, threads) {
			if math.Float32bits(v) != math.Float32bits(want[i]) {
				t.Fatalf("%d threads: value %d is %v, with one thread %v", threads, i, v, want[i])
			}
		}
	}
}
