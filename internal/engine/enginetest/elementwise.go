package enginetest

import (
	"fmt"

	"avjepa/internal/engine"
	"avjepa/internal/rng"
)

// add appends a case to a list.
func add(cases *[]testCase, op, name string, build func(m *memory) func()) {
	*cases = append(*cases, testCase{op: op, name: name, build: build})
}

// largerMask lays a tensor with so many tokens a sequence over sequences 2, 3, 7,
// 8, 12 … of a mask with three tokens more.
func largerMask(tokens int) rng.MaskRows {
	return rng.MaskRows{First: 2, Run: 2, Stride: 5, Tokens: tokens + 3}
}

func elementCases() (cases []testCase) {
	for _, size := range [][2]int{{1, 1}, {3, 7}, {5, 8}, {33, 48}, {65, 65}, {397, 192}} {
		rows, cols := size[0], size[1]
		name := fmt.Sprintf("%dx%d", rows, cols)
		add(&cases, "GELU", name, func(m *memory) func() {
			x, y := m.in("x", rows, cols), m.out("y", 1, rows, cols)
			return func() { m.e.GELU(y, x) }
		})
		add(&cases, "GELU", name+"/in place", func(m *memory) func() {
			x := m.acc("x", 1, rows, cols)
			return func() { m.e.GELU(x, x) }
		})
		add(&cases, "GELUBackward", name, func(m *memory) func() {
			x, dy, dx := m.in("x", rows, cols), m.in("dy", rows, cols), m.out("dx", 1, rows, cols)
			return func() { m.e.GELUBackward(dx, dy, x) }
		})
		add(&cases, "GELUBackward", name+"/in place", func(m *memory) func() {
			x, dy := m.in("x", rows, cols), m.acc("dy", 1, rows, cols)
			return func() { m.e.GELUBackward(dy, dy, x) }
		})
		add(&cases, "GELU", name+"/strided", func(m *memory) func() {
			x, y := m.wideIn("x", rows, cols), m.wideOut("y", 1, rows, cols)
			return func() { m.e.GELU(y, x) }
		})
		add(&cases, "GELUBackward", name+"/strided", func(m *memory) func() {
			x, dy := m.wideIn("x", rows, cols), m.wideIn("dy", rows, cols)
			dx := m.wideOut("dx", 1, rows, cols)
			return func() { m.e.GELUBackward(dx, dy, x) }
		})
		for i, p := range []float64{0, 0.1, 0.75} {
			add(&cases, "Dropout", fmt.Sprintf("%s/%v", name, p), func(m *memory) func() {
				x, y := m.in("x", rows, cols), m.out("y", 1, rows, cols)
				return func() { m.e.Dropout(y, x, rng.Mask{P: p, Key: rng.NewKey(7, i, cols)}) }
			})
		}
		add(&cases, "Dropout", name+"/rows of a larger mask", func(m *memory) func() {
			x, y := m.in("x", 5, min(rows, 33), cols), m.out("y", 1, 5, min(rows, 33), cols)
			mask := rng.Mask{P: 0.5, Key: 9, Rows: largerMask(rows)}
			return func() { m.e.Dropout(y, x, mask) }
		})
		add(&cases, "Dropout", name+"/in place", func(m *memory) func() {
			x := m.acc("x", 1, rows, cols)
			return func() { m.e.Dropout(x, x, rng.Mask{P: 0.5, Key: 3}) }
		})
		add(&cases, "AddTo", name, func(m *memory) func() {
			dst, x := m.acc("dst", 1, rows, cols), m.in("x", rows, cols)
			return func() { m.e.AddTo(dst, x, -0.75) }
		})
		add(&cases, "AddTo", name+"/strided", func(m *memory) func() {
			dst, x := m.wideAcc("dst", 1, rows, cols), m.wideIn("x", rows, cols)
			return func() { m.e.AddTo(dst, x, 1) }
		})
		add(&cases, "AddTo", name+"/token", func(m *memory) func() {
			dst := m.acc("dst", 1, rows, 3, cols)
			x := m.wideIn("x", rows, cols)
			return func() { m.e.AddTo(dst.Token(2), x, 0.5) }
		})
		add(&cases, "Scale", name, func(m *memory) func() {
			x := m.acc("x", 1, rows, cols)
			return func() { m.e.Scale(x, 0.3) }
		})
		add(&cases, "Copy", name, func(m *memory) func() {
			dst, src := m.wideOut("dst", 1, rows, cols), m.wideIn("src", rows, cols)
			return func() { m.e.Copy(dst, src) }
		})
		add(&cases, "Cast", name, func(m *memory) func() {
			dst, src := m.wideOut("dst", 1, rows, cols), m.wideIn("src", rows, cols)
			return func() { m.e.Cast(dst, src) }
		})
		add(&cases, "Fill", name, func(m *memory) func() {
			dst := m.wideOut("dst", 1, rows, cols)
			return func() { m.e.Fill(dst, -1.25) }
		})
		if rows > 1 {
			add(&cases, "ColumnStats", name, func(m *memory) func() {
				x := m.in("x", rows, cols)
				mean, std := m.out("mean", rows, cols), m.out("std", rows, cols)
				return func() { m.e.ColumnStats(mean, std, x) }
			})
		}
	}
	extreme := []float32{-1e30, -50, -20, -13, -6, -5, -3, -1e-4, -1e-30, 0, 1e-30, 1e-4, 2.9, 3.1,
		5, 6, 13, 20, 50, 1e30}
	add(&cases, "GELU", "extreme", func(m *memory) func() {
		x, y := m.inOf("x", extreme[1:19], 18), m.out("y", 1, 18)
		return func() { m.e.GELU(y, x) }
	})
	add(&cases, "GELU", "huge", func(m *memory) func() {
		x, y := m.inOf("x", extreme, 20), m.out("y", 1, 20)
		return func() { m.e.GELU(y, x) }
	})
	add(&cases, "GELU", "tail", func(m *memory) func() { // nothing large to hide behind
		x, y := m.inOf("x", extreme[1:5], 4), m.out("y", 1, 4)
		m.allow(4 * eps) // of Φ by a float32 error function
		return func() { m.e.GELU(y, x) }
	})
	add(&cases, "GELUBackward", "extreme", func(m *memory) func() {
		x, dy, dx := m.inOf("x", extreme, 20), m.in("dy", 20), m.out("dx", 1, 20)
		m.allow(4 * eps)
		return func() { m.e.GELUBackward(dx, dy, x) }
	})
	add(&cases, "ColumnStats", "far from zero", func(m *memory) func() {
		v := make([]float32, 33*5)
		rng.New(2, "far").FillNormal(v, 1)
		for i := range v {
			v[i] += 1000
		}
		x, mean, std := m.inOf("x", v, 33, 5), m.out("mean", 33, 5), m.out("std", 33, 5)
		return func() { m.e.ColumnStats(mean, std, x) }
	})
	return cases
}

func optimCases() (cases []testCase) {
	for _, n := range []int{1, 7, 8, 65, 4099, 100_003} {
		name := fmt.Sprint(n)
		add(&cases, "SquaredNorm", name, func(m *memory) func() {
			x, out := m.in("x", n), m.out("out", n, 1)
			return func() { m.e.SquaredNorm(out, x) }
		})
		for _, step := range []int{1, 17} {
			add(&cases, "AdamW", fmt.Sprintf("%s/step %d", name, step), func(m *memory) func() {
				second := m.normal("V", []int{n})
				for i, v := range second {
					second[i] = v * v
				}
				a := engine.AdamWArgs{Param: m.acc("Param", 1, n), Grad: m.in("Grad", n),
					M: m.acc("M", 1, n), V: m.accOf("V", 1, second, n), LR: 3e-3, Beta1: 0.9,
					Beta2: 0.95, Eps: 1e-8, WeightDecay: 0.05, Step: step}
				if step > 1 {
					a.Scale = m.inOf("Scale", []float32{0.3}, 1)
				}
				return func() { m.e.AdamW(a) }
			})
		}
	}
	for _, c := range []struct {
		sq  float32
		max float64
	}{{4, 1}, {0.25, 1}, {0, 1}, {9, 0}, {9, -1}, {1e12, 3}} {
		add(&cases, "ClipScale", fmt.Sprintf("%v/%v", c.sq, c.max), func(m *memory) func() {
			sq, scale := m.inOf("sq", []float32{c.sq}, 1), m.out("scale", 1, 1)
			return func() { m.e.ClipScale(scale, sq, c.max) }
		})
	}
	return cases
}
