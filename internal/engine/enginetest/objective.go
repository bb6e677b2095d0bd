package enginetest

import (
	"fmt"

	"avjepa/internal/engine"
	"avjepa/internal/rng"
)

func objectiveCases() (cases []testCase) {
	for _, s := range [][3]int{{2, 1, 1}, {3, 4, 7}, {8, 9, 48}, {24, 33, 128}} { // V, B, K
		v, b, k := s[0], s[1], s[2]
		name := fmt.Sprint(s)
		for _, g := range []int{1, 2} {
			add(&cases, "Center", fmt.Sprintf("%s/%d", name, g), func(m *memory) func() {
				z, c := m.in("Z", v, b, k), m.out("C", v, b, k)
				return func() { m.e.Center(c, z, g) }
			})
			add(&cases, "PredictionLoss", fmt.Sprintf("%s/%d", name, g), func(m *memory) func() {
				a := engine.PredictionLossArgs{Z: m.in("Z", v, b, k), C: m.in("C", b, k), G: g,
					Loss: m.out("Loss", v*b*k, 1), Weight: 0.95, Sum: g == 2}
				if k != 7 {
					a.DZ = m.acc("DZ", v, v, b, k)
				}
				return func() { m.e.PredictionLoss(a) }
			})
		}
	}
	for i, s := range [][3]int{{1, 1, 1}, {2, 3, 7}, {3, 33, 65}, {2, 24, 130}} { // V, B, M
		v, b, dirs := s[0], s[1], s[2]
		knots := engine.Knots{Max: 5, Count: 17}
		if i%2 == 1 {
			knots = engine.Knots{Max: 3, Count: 17, Half: true}
		}
		if i == 2 {
			knots.Count = 6
		}
		name, q := fmt.Sprint(s), knots.Count
		add(&cases, "ECF", name, func(m *memory) func() {
			a := engine.ECFArgs{P: m.in("P", v, b, dirs), E: m.out("E", b, v, dirs, q, 2), Knots: knots}
			m.allow(4 * eps)
			return func() { m.e.ECF(a) }
		})
		add(&cases, "SIGReg", name, func(m *memory) func() {
			a := engine.SIGRegArgs{E: m.in("E", v, dirs, q, 2), Loss: m.out("Loss", dirs*q, v),
				Knots: knots, N: 48, Weight: 0.05}
			if i != 1 {
				a.DE = m.out("DE", 1, v, dirs, q, 2)
			}
			return func() { m.e.SIGReg(a) }
		})
		add(&cases, "ECFBackward", name, func(m *memory) func() {
			a := engine.ECFBackwardArgs{P: m.in("P", v, b, dirs), DE: m.in("DE", v, dirs, q, 2),
				DP: m.out("DP", q, v, b, dirs), Knots: knots}
			m.allow(4 * eps)
			return func() { m.e.ECFBackward(a) }
		})
	}
	add(&cases, "ECF", "large projections", func(m *memory) func() {
		p := m.normal("P", []int{2, 5, 9})
		for i := range p {
			p[i] *= 300
		}
		a := engine.ECFArgs{P: m.inOf("P", p, 2, 5, 9), E: m.out("E", 5, 2, 9, 17, 2),
			Knots: engine.Knots{Max: 5, Count: 17}}
		return func() { m.e.ECF(a) }
	})
	for _, s := range [][2]int{{1, 1}, {3, 7}, {33, 65}, {64, 309}, {2, 1000}} {
		for _, smoothing := range []float64{0, 0.1} {
			for _, scale := range []float32{1, 1e4} {
				name := fmt.Sprintf("%v/smoothing %v/scale %v", s, smoothing, scale)
				add(&cases, "CrossEntropy", name, func(m *memory) func() {
					return crossEntropy(m, s[0], s[1], smoothing, scale)
				})
			}
		}
	}
	return cases
}

func crossEntropy(m *memory, rows, c int, smoothing float64, scale float32) func() {
	logits, labels := m.normal("Logits", []int{rows, c}), make([]float32, rows)
	for i := range logits {
		logits[i] *= scale
	}
	r := rng.New(1, "labels")
	for i := range labels {
		labels[i] = float32(r.IntN(c))
	}
	a := engine.CrossEntropyArgs{Logits: m.inOf("Logits", logits, rows, c),
		Labels: m.fixed("Labels", labels, rows), Loss: m.out("Loss", rows+c, 1),
		Smoothing: smoothing, Weight: 0.5}
	m.allow(4 * eps * float64(scale)) // of the loss: a logit less a logarithm like it
	if c != 7 {
		a.DLogits = m.out("DLogits", c, rows, c)
	}
	return func() { m.e.CrossEntropy(a) }
}
