package report

import (
	"math"
	"testing"
)

func TestSamples(t *testing.T) {
	// Three clips whose sound is near the picture of the next one.
	audio := []float32{1, 0, 0, 0, 2, 0, 0, 0, 3}
	video := []float32{.1, 0, 1, 1, .1, 0, 0, 1, .1}
	s := Samples{Step: 7, Clips: []SampleClip{{Key: "a"}, {Key: "b"}, {Key: "c"}}}
	if err := s.Fill(audio, video, 3); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{1, 2, 0} {
		if got := s.A2V[i].Nearest[0]; got.Clip != want || !(math.Abs(got.Score-.995) < .001) {
			t.Errorf("the sound of %d finds %+v, want %d", i, got, want)
		}
		if s.A2V[i].Rank < 2 {
			t.Errorf("rank %d", s.A2V[i].Rank)
		}
	}
	if s.V2A[1].Nearest[0].Clip != 0 || !s.Valid() || First(s.A2V) != 0 {
		t.Errorf("%+v", s)
	}
	bad := s
	bad.A2V = append([]Sample(nil), s.A2V...)
	bad.A2V[0] = Sample{Rank: 1, Nearest: []SampleNeighbour{{Clip: 9}}}
	if bad.Valid() {
		t.Error("a neighbour that is no clip passes")
	}
	audio[0] = float32(math.NaN())
	if err := (&Samples{Clips: s.Clips}).Fill(audio, video, 3); err == nil {
		t.Error("NaN passes")
	}
	for name, want := range map[string]int{"step-00000012.json": 12, "samples/step-00000000.json": 0,
		"step-12.json": -1, "step-x.json": -1, "step-00000012.json.tmp": -1} {
		if n, ok := SamplesStep(name); ok != (want >= 0) || ok && n != want {
			t.Errorf("%s: %d %v", name, n, ok)
		}
	}
	if SamplesName(12) != "samples/step-00000012.json" {
		t.Error(SamplesName(12))
	}
}
