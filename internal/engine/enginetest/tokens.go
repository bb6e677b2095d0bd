package enginetest

import (
	"fmt"

	"avjepa/internal/engine"
	"avjepa/internal/rng"
)

func tokenCases() (cases []testCase) {
	for _, s := range [][6]int{ // B, T, H, W, tubelet, patch
		{1, 1, 1, 1, 1, 1}, {2, 4, 6, 9, 2, 3}, {1, 2, 32, 48, 2, 16}, {3, 6, 8, 8, 2, 4},
	} {
		b, frames, h, w, pt, p := s[0], s[1], s[2], s[3], s[4], s[5]
		rows, cols := b*(frames/pt)*(h/p)*(w/p), 3*pt*p*p
		name := fmt.Sprint(s)
		add(&cases, "PatchifyVideo", name+"/bytes", func(m *memory) func() {
			a := engine.PatchifyVideoArgs{X: m.bytes("X", b, frames, h, w, 3),
				Y: m.out("Y", 1, rows, cols), PatchT: pt, P: p,
				Mean: [3]float32{0.485, 0.456, 0.406}, Std: [3]float32{0.229, 0.224, 0.225}}
			m.allow(16 * eps)
			return func() { m.e.PatchifyVideo(a) }
		})
		add(&cases, "PatchifyVideo", name+"/floats", func(m *memory) func() {
			a := engine.PatchifyVideoArgs{X: m.in("X", b, 3, frames, h, w),
				Y: m.out("Y", 1, rows, cols), PatchT: pt, P: p}
			return func() { m.e.PatchifyVideo(a) }
		})
	}
	for _, s := range [][5]int{ // B, F, S, bands, frames of a patch
		{1, 1, 1, 1, 1}, {2, 6, 11, 3, 2}, {1, 32, 50, 16, 16}, {3, 128, 33, 16, 16},
	} {
		add(&cases, "PatchifyAudio", fmt.Sprint(s), func(m *memory) func() {
			a := engine.PatchifyAudioArgs{X: m.in("X", s[0], s[1], s[2]), PF: s[3], PT: s[4],
				Y: m.out("Y", 1, s[0]*(s[1]/s[3])*(s[2]/s[4]), s[3]*s[4])}
			return func() { m.e.PatchifyAudio(a) }
		})
	}
	for _, d := range []int{1, 7, 48} {
		for _, b := range []int{1, 3, 20} {
			for mask := range 16 {
				s := assembly{b, d, mask&1 != 0, mask&2 != 0, mask&4 != 0, mask&8 != 0}
				add(&cases, "AssembleTokens", s.String(), s.forward)
				add(&cases, "AssembleTokensBackward", s.String(), s.backward)
			}
		}
	}
	return cases
}

// assembly is one shape of token sequences, of 2×3 video and 4×5 audio tokens.
type assembly struct {
	b, d                      int
	video, audio, types, drop bool
}

func (s assembly) String() string {
	return fmt.Sprintf("%dx%d/video %v/audio %v/types %v/drop %v",
		s.b, s.d, s.video, s.audio, s.types, s.drop)
}

// tokens returns the length of a sequence.
func (s assembly) tokens() int {
	n := 1
	if s.video || !s.drop {
		n += 6
	}
	if s.audio || !s.drop {
		n += 20
	}
	return n
}

func (s assembly) forward(m *memory) func() {
	a := engine.AssembleArgs{Y: m.out("Y", 1, s.b, s.tokens(), s.d), CLS: m.in("CLS", s.d),
		VideoBias: m.in("VideoBias", s.d), VideoTime: m.in("VideoTime", 2, s.d),
		VideoSpace: m.in("VideoSpace", 3, s.d), AudioBias: m.in("AudioBias", s.d),
		AudioFreq: m.in("AudioFreq", 4, s.d), AudioTime: m.in("AudioTime", 5, s.d), Drop: s.drop}
	if s.video {
		a.Video = m.in("Video", s.b*6, s.d)
	}
	if s.audio {
		a.Audio = m.in("Audio", s.b*20, s.d)
	}
	if s.types {
		a.VideoType, a.AudioType = m.in("VideoType", s.d), m.in("AudioType", s.d)
	}
	return func() { m.e.AssembleTokens(a) }
}

func (s assembly) backward(m *memory) func() {
	acc := func(name string, rows int) engine.Tensor {
		return m.acc(name, s.b*26/rows, rows, s.d)
	}
	a := engine.AssembleBackwardArgs{DY: m.in("DY", s.b, s.tokens(), s.d), DCLS: acc("DCLS", 1),
		DVideoBias: acc("DVideoBias", 1), DVideoTime: acc("DVideoTime", 2),
		DVideoSpace: acc("DVideoSpace", 3), DAudioBias: acc("DAudioBias", 1),
		DAudioFreq: acc("DAudioFreq", 4), DAudioTime: acc("DAudioTime", 5), Drop: s.drop}
	if s.video {
		a.DVideo = m.out("DVideo", 1, s.b*6, s.d)
	}
	if s.audio {
		a.DAudio = m.out("DAudio", 1, s.b*20, s.d)
	}
	if s.types {
		a.DVideoType, a.DAudioType = acc("DVideoType", 1), acc("DAudioType", 1)
	}
	return func() { m.e.AssembleTokensBackward(a) }
}

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
	if c != 7 {
		a.DLogits = m.out("DLogits", c, rows, c)
	}
	return func() { m.e.CrossEntropy(a) }
}
