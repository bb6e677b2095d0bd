package enginetest

import (
	"fmt"

	"avjepa/internal/engine"
)

// rowCounts and widths are ragged: below, at and beyond the blocks of kernels.
var (
	rowCounts = []int{1, 2, 3, 33, 65, 397}
	widths    = [][2]int{{1, 1}, {7, 48}, {48, 7}, {64, 192}, {65, 33}, {192, 64}}
)

func linearCases() (cases []testCase) {
	for i, rows := range rowCounts {
		for j, w := range widths {
			in, out := w[0], w[1]
			size := fmt.Sprintf("%dx%dx%d", rows, in, out)
			// Each size meets some of the variants, the size 33×65×33 all.
			for variant := range 8 {
				if variant%4 == (i+j)%4 || rows == 33 && in == 65 {
					cases = append(cases, linear(size, rows, in, out, variant),
						linearInput(size, rows, in, out, variant),
						linearWeight(size, rows, in, out, variant))
				}
			}
		}
	}
	return cases
}

func linear(size string, rows, in, out, variant int) testCase {
	build := func(m *memory) func() {
		a := engine.LinearArgs{W: m.in("W", out, in)}
		switch variant % 4 {
		case 0:
			a.X, a.Y = m.in("X", rows, in), m.out("Y", in, rows, out)
		case 1: // as in a block: bias, and the residual is updated in place
			a.X, a.Bias = m.wideIn("X", rows, in), m.in("Bias", out)
			a.Y = m.acc("Y", in, rows, out)
			a.Residual = a.Y
		case 2:
			a.X, a.Bias = m.in("X", rows, in), m.in("Bias", out)
			a.Residual, a.Y = m.wideIn("Residual", rows, out), m.wideOut("Y", in, rows, out)
		case 3:
			a.X, a.Bias, a.GELU = m.wideIn("X", rows, in), m.in("Bias", out), true
			a.Y = m.wideOut("Y", in, rows, out)
		}
		if variant == 7 {
			a.Pre = m.wideOut("Pre", in, rows, out)
		}
		if variant == 4 {
			a.GELU = true
		}
		return func() { m.e.Linear(a) }
	}
	return testCase{op: "Linear", name: fmt.Sprintf("%s/%d", size, variant), build: build}
}

func linearInput(size string, rows, in, out, variant int) testCase {
	build := func(m *memory) func() {
		a := engine.LinearInputArgs{W: m.in("W", out, in)}
		switch variant % 4 {
		case 0:
			a.DY, a.DX = m.in("DY", rows, out), m.out("DX", out, rows, in)
		case 1:
			a.DY, a.DX, a.Mode = m.wideIn("DY", rows, out), m.wideAcc("DX", out, rows, in), engine.Add
		case 2:
			a.DY, a.DX = m.wideIn("DY", rows, out), m.wideOut("DX", out, rows, in)
		case 3:
			a.DY, a.DX, a.Mode = m.in("DY", rows, out), m.acc("DX", out, rows, in), engine.Add
		}
		if variant >= 4 {
			a.Pre = m.wideIn("Pre", rows, in)
		}
		switch variant {
		case 5:
			a.Act = m.wideOut("Act", 1, rows, in)
		case 6: // as in a block
			a.Pre = m.wideAcc("Pre", 1, rows, in)
			a.Act = a.Pre
		}
		return func() { m.e.LinearInput(a) }
	}
	return testCase{op: "LinearInput", name: fmt.Sprintf("%s/%d", size, variant), build: build}
}

func linearWeight(size string, rows, in, out, variant int) testCase {
	build := func(m *memory) func() {
		a := engine.LinearWeightArgs{DW: m.acc("DW", rows, out, in)}
		if variant%2 == 0 {
			a.DBias = m.acc("DBias", rows, out)
		}
		if variant%4 < 2 {
			a.DY, a.X = m.in("DY", rows, out), m.wideIn("X", rows, in)
		} else {
			a.DY, a.X = m.wideIn("DY", rows, out), m.in("X", rows, in)
		}
		return func() { m.e.LinearWeight(a) }
	}
	return testCase{op: "LinearWeight", name: fmt.Sprintf("%s/%d", size, variant), build: build}
}
