package enginetest

import (
	"fmt"
	"math"

	"avjepa/internal/engine"
)

func normCases() (cases []testCase) {
	for i, rows := range rowCounts {
		for j, d := range []int{1, 7, 48, 64, 192} {
			name := fmt.Sprintf("%dx%d", rows, d)
			add(&cases, "LayerNorm", name, func(m *memory) func() {
				a := engine.LayerNormArgs{Gain: m.in("Gain", d), Bias: m.in("Bias", d), Eps: 1e-5}
				switch (i + j) % 3 {
				case 0:
					a.X, a.Y = m.in("X", rows, d), m.out("Y", d, rows, d)
				case 1:
					a.X, a.Y = m.wideIn("X", rows, d), m.wideOut("Y", d, rows, d)
				case 2:
					a.X = m.acc("X", d, rows, d)
					a.Y = a.X
				}
				if (i+j)%2 == 0 {
					a.Mean, a.RStd = m.out("Mean", d, rows), m.out("RStd", d, rows)
				}
				return func() { m.e.LayerNorm(a) }
			})
			add(&cases, "LayerNormBackward", name, func(m *memory) func() {
				a := layerNormBackward(m, rows, d)
				switch (i + j) % 3 {
				case 0:
					a.DY, a.DX = m.in("DY", rows, d), m.out("DX", d, rows, d)
				case 1:
					a.DY, a.DX, a.Mode = m.in("DY", rows, d), m.acc("DX", d, rows, d), engine.Add
				case 2:
					a.DX = m.acc("DY", d, rows, d)
					a.DY = a.DX
				}
				return func() { m.e.LayerNormBackward(a) }
			})
		}
	}
	for _, c := range []float32{0, 1, -3.7, 1e4} {
		add(&cases, "LayerNorm", fmt.Sprintf("constant rows of %v", c), func(m *memory) func() {
			v := make([]float32, 5*48)
			for i := range v {
				v[i] = c
			}
			a := engine.LayerNormArgs{X: m.inOf("X", v, 5, 48), Gain: m.in("Gain", 48),
				Bias: m.in("Bias", 48), Y: m.out("Y", 48, 5, 48), Eps: 1e-6}
			return func() { m.e.LayerNorm(a) }
		})
	}
	for _, rows := range rowCounts[1:] {
		for j, c := range []int{1, 7, 48, 64, 130} {
			for variant := range 2 {
				name := fmt.Sprintf("%dx%d/%d", rows, c, variant)
				for _, train := range []bool{true, false} {
					add(&cases, "BatchNorm", fmt.Sprintf("%s/train %v", name, train),
						func(m *memory) func() { return batchNorm(m, rows, c, variant+j%2, train) })
				}
				add(&cases, "BatchNormBackward", name, func(m *memory) func() {
					return batchNormBackward(m, rows, c, variant == 0)
				})
			}
		}
	}
	return cases
}

// layerNormBackward makes the operands but DX and DY; the statistics are those
// of X.
func layerNormBackward(m *memory, rows, d int) engine.LayerNormBackwardArgs {
	mean, rstd := moments(m.normal("X", []int{rows, d}), rows, d, d, 1, 1e-5)
	return engine.LayerNormBackwardArgs{X: m.in("X", rows, d), Gain: m.in("Gain", d),
		Mean: m.inOf("Mean", mean, rows), RStd: m.inOf("RStd", rstd, rows),
		DGain: m.acc("DGain", rows, d), DBias: m.acc("DBias", rows, d)}
}

// moments returns mean and 1/√(var + eps) of n groups of k elements of x;
// groups start group apart, their elements are step apart.
func moments(x []float32, n, k, group, step int, eps float64) (mean, rstd []float32) {
	for g := range n {
		sum, squares := 0.0, 0.0
		for i := range k {
			sum += float64(x[g*group+i*step]) / float64(k)
		}
		for i := range k {
			d := float64(x[g*group+i*step]) - sum
			squares += d * d / float64(k)
		}
		mean = append(mean, float32(sum))
		rstd = append(rstd, float32(1/math.Sqrt(squares+eps)))
	}
	return mean, rstd
}

func batchNorm(m *memory, rows, c, variant int, train bool) func() {
	variance := m.normal("RunVar", []int{c})
	for i, v := range variance {
		variance[i] = v*v + 0.1
	}
	a := engine.BatchNormArgs{X: m.in("X", rows, c), Gain: m.in("Gain", c), Bias: m.in("Bias", c),
		RunMean: m.acc("RunMean", rows, c), RunVar: m.accOf("RunVar", rows, variance, c),
		Y: m.out("Y", rows, rows, c), Eps: 1e-5, Momentum: 0.1, Train: train, GELU: variant > 0}
	if variant > 1 {
		a.Pre = m.out("Pre", rows, rows, c)
	}
	if train {
		a.Mean, a.RStd = m.out("Mean", rows, c), m.out("RStd", rows, c)
	}
	return func() { m.e.BatchNorm(a) }
}

func batchNormBackward(m *memory, rows, c int, inPlace bool) func() {
	mean, rstd := moments(m.normal("X", []int{rows, c}), c, rows, 1, c, 1e-5)
	a := engine.BatchNormBackwardArgs{X: m.in("X", rows, c), Gain: m.in("Gain", c),
		Mean: m.inOf("Mean", mean, c), RStd: m.inOf("RStd", rstd, c),
		DGain: m.acc("DGain", rows, c), DBias: m.acc("DBias", rows, c)}
	if inPlace {
		a.DX = m.acc("DY", rows, rows, c)
		a.DY = a.DX
	} else {
		a.DY, a.DX = m.in("DY", rows, c), m.out("DX", rows, rows, c)
	}
	return func() { m.e.BatchNormBackward(a) }
}
