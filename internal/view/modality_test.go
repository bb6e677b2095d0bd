package view

import (
	"slices"
	"strings"
	"testing"
)

// TestOneModality: views of one modality are those of both without the other, of clips
// that have it or not, and a batch has no place for what is not there.
func TestOneModality(t *testing.T) {
	c := Default()
	c.Seconds, c.Frames, c.Side, c.Resize, c.Bands = 1, 4, 16, 16, 32
	c.Globals, c.Locals, c.LocalCrop = 1, 0, false
	frames, samples := testClip(t, 32, 24, 2, 4)
	fill := func(modality string, frames [][]byte, samples []int16, eval bool) *Batch {
		t.Helper()
		c.Modality = modality
		m, err := NewMaker(c)
		if err != nil {
			t.Fatal(err)
		}
		d, err := m.Decode(frames, 4, samples)
		if err != nil {
			t.Fatal(err)
		}
		b := m.NewBatch(1)
		if eval {
			err = m.FillEval(b, 0, d, "clip")
		} else {
			err = m.Fill(b, 0, d, 1, 2, "clip")
		}
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, eval := range []bool{false, true} {
		both := fill(BothModalities, frames, samples, eval)
		for _, f := range [][][]byte{frames, nil} {
			a := fill(AudioOnly, f, samples, eval)
			if len(a.GlobalVideo) > 0 || !slices.Equal(a.GlobalAudio, both.GlobalAudio) {
				t.Errorf("evaluation %v: the sound alone differs", eval)
			}
		}
		for _, s := range [][]int16{samples, nil} {
			v := fill(VideoOnly, frames, s, eval)
			if len(v.GlobalAudio) > 0 || !slices.Equal(v.GlobalVideo, both.GlobalVideo) {
				t.Errorf("evaluation %v: the picture alone differs", eval)
			}
		}
		if both.Keys[0] != "clip" {
			t.Errorf("key %q", both.Keys[0])
		}
	}
	c.Modality = AudioOnly
	m, err := NewMaker(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Open(frames, 4, nil); err == nil || !strings.Contains(err.Error(), "without sound") {
		t.Errorf("a clip without sound: %v", err)
	}
	c.Modality, c.Locals = "smell", 2
	if err := c.Validate(); err == nil || strings.Count(err.Error(), "smell") != 2 {
		t.Errorf("another modality, with locals: %v", err)
	}
}
