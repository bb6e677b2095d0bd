package enginetest

import (
	"fmt"

	"avjepa/internal/engine"
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
