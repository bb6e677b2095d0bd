package view

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestShortClips(t *testing.T) {
	for _, fitted := range []bool{true, false} {
		c := demoConfig()
		c.LocalCrop = !fitted
		m := newMaker(t, c)
		frames, samples := testClip(t, 40, 40, .5, 25)
		d := decode(t, m, frames, 25, samples)
		if s := d.slack(&c); s != 0 {
			t.Errorf("window of a short clip may start at hop %d", s)
		}
		video, audio := make([]byte, c.videoElems()), make([]float32, c.audioElems())
		if err := m.Eval(video, audio, d, 0, 1); err != nil {
			t.Fatal(err)
		}
		size := 32 * 32 * 3
		if bytes.Equal(part(video, 0, size), part(video, 1, size)) {
			t.Error("frames within the clip repeat")
		}
		for i := 4; i < c.Frames; i++ { // pictures from .64 s on
			if !bytes.Equal(part(video, i, size), part(video, 15, size)) {
				t.Errorf("picture %d is not the last frame", i)
			}
		}
		if part(video, 15, size)[2] < 40 {
			t.Error("pictures after the end are black")
		}
		silence := float32((-100 - c.MelMean) / c.MelStd)
		for b := range c.Bands {
			row := part(audio, b, c.MelFrames())
			for f, v := range row[52:] {
				if !(math.Abs(float64(v-silence)) <= 1e-5) {
					t.Fatalf("band %d frame %d after the end is %v", b, 52+f, v)
				}
			}
		}
		if row := part(audio, 40, c.MelFrames()); slices.Max(row[:50]) <= silence+.5 {
			t.Error("no sound within the clip")
		}
	}
}

func TestClipsWithUnequalStreams(t *testing.T) {
	c := demoConfig()
	m := newMaker(t, c)
	frames, samples := testClip(t, 32, 32, 4, 25)
	for _, tc := range []struct{ frames, samples, slack int }{
		{100, 64000, 144}, {100, 0, 144}, {80, 64000, 64}, {100, 48000, 44}, {1, 64000, 0},
		{100, 100, 0},
	} {
		d := decode(t, m, frames[:tc.frames], 25, samples[:tc.samples])
		if got := d.slack(&c); got != tc.slack {
			t.Errorf("%d frames, %d samples: last start %d, want %d", tc.frames, tc.samples, got,
				tc.slack)
		}
		fill(t, m, m.NewBatch(1), 0, d, 1, "clip")
	}
}

func TestRefusesBrokenClips(t *testing.T) {
	m := newMaker(t, demoConfig())
	good, samples := testClip(t, 32, 32, 1, 4)
	broken := func(i int, data []byte) [][]byte {
		f := slices.Clone(good)
		f[i] = data
		return f
	}
	huge := slices.Clone(good[1]) // width and height in its header become 65535
	at := bytes.Index(huge, []byte{0xFF, 0xC0})
	copy(huge[at+5:], []byte{0xFF, 0xFF, 0xFF, 0xFF})
	wide := slices.Clone(huge) // either side is allowed, their product is not
	copy(wide[at+5:], []byte{0x0F, 0xFF, 0x0F, 0xFF})
	for _, tc := range []struct {
		name    string
		frames  [][]byte
		fps     float64
		samples []int16
		want    string
		inFill  bool // only Decode and Fill can see it
	}{
		{"nothing", nil, 4, nil, "without frames and samples", false},
		{"zero fps", good, 0, samples, "frames per second", false},
		{"NaN fps", good, math.NaN(), samples, "frames per second", false},
		{"too short", good[:1], 4, samples[:4000], "outside 0.5", false},
		{"too long", good, 1e-4, samples, "outside 0.5", false},
		{"unequal", broken(2, testJPEG(t, 32, 24, 0)), 4, samples, "alike", false},
		{"huge", broken(1, huge), 4, samples, "65535×65535", false},
		{"wide", broken(1, wide), 4, samples, "4095×4095 pixels exceed", false},
		{"not a picture", broken(1, []byte("<html>")), 4, samples, "frame 1", false},
		{"empty", broken(0, nil), 4, samples, "frame 0", false},
		{"strip", [][]byte{testJPEG(t, 650, 10, 0)}, 1, samples, "64 times", false},
		{"cut", broken(0, good[0][:len(good[0])/2]), 4, samples, "frame 0", true},
	} {
		if _, err := m.Decode(tc.frames, tc.fps, tc.samples); err == nil ||
			!strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: Decode says %v, want %q", tc.name, err, tc.want)
		}
		d, err := m.Open(tc.frames, tc.fps, tc.samples)
		if tc.inFill && err == nil {
			err = m.Fill(m.NewBatch(1), 0, d, 1, 0, "clip")
		}
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: lazily %v, want %q", tc.name, err, tc.want)
		}
	}
}

// TestSoundAlone makes the sound's views of a clip without pictures, the same as of one
// that has them, and no others.
func TestSoundAlone(t *testing.T) {
	c := Default()
	c.Seconds, c.Frames, c.Side, c.Resize, c.Bands = 1, 4, 16, 16, 32
	for _, c.LocalCrop = range []bool{false, true} {
		m, err := NewMaker(c)
		if err != nil {
			t.Fatal(err)
		}
		frames, samples := testClip(t, 32, 24, 2, 4)
		both, err := m.Decode(frames, 4, samples)
		if err != nil {
			t.Fatal(err)
		}
		want := make([]float32, c.Bands*c.MelFrames())
		if err := m.Eval(nil, want, both, 1, 3); err != nil {
			t.Fatal(err)
		}
		for name, open := range map[string]func([][]byte, float64, []int16) (*Decoded, error){
			"whole": m.Decode, "lazily": m.Open} {
			d, err := open(nil, 4, samples)
			if err != nil {
				t.Fatal(err)
			}
			if d.HasVideo() || !d.HasAudio() {
				t.Errorf("%s: has picture %v, sound %v", name, d.HasVideo(), d.HasAudio())
			}
			got := make([]float32, len(want))
			if err := m.Eval(nil, got, d, 1, 3); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: the log-mel differs", name)
			}
			video := make([]byte, c.Frames*c.Side*c.Side*3)
			if err := m.Eval(video, got, d, 1, 3); !errors.Is(err, errNoVideo) {
				t.Errorf("%s: with pictures: %v", name, err)
			}
			if err := m.Fill(m.NewBatch(1), 0, d, 1, 0, "clip"); !errors.Is(err, errNoVideo) {
				t.Errorf("%s: training views: %v", name, err)
			}
		}
	}
}

// TestBox takes a corner of the frame, which must be all that views show.
func TestBox(t *testing.T) {
	img := image.NewRGBA(image.Rect(0, 0, 80, 60))
	for y := range 60 {
		for x := range 80 {
			img.SetRGBA(x, y, color.RGBA{A: 255})
			if x >= 40 && x < 60 && y >= 15 && y < 45 {
				img.SetRGBA(x, y, color.RGBA{200, 200, 200, 255})
			}
		}
	}
	var data bytes.Buffer
	if err := jpeg.Encode(&data, img, &jpeg.Options{Quality: 100}); err != nil {
		t.Fatal(err)
	}
	for _, crop := range []bool{false, true} {
		c := demoConfig()
		c.Box, c.LocalCrop = [4]float64{.5, .25, .75, .75}, crop
		m := newMaker(t, c)
		d := decode(t, m, [][]byte{data.Bytes()}, 1, nil)
		b := m.NewBatch(1)
		fill(t, m, b, 0, d, 1, "clip")
		for i, v := range append(b.GlobalVideo, b.LocalVideo...) {
			if v < 150 {
				t.Fatalf("crop %v: byte %d is %d: outside of the box", crop, i, v)
			}
		}
	}
}

// FuzzOpen feeds arbitrary bytes as the frames of a clip: an error or views,
// never a panic.
func FuzzOpen(f *testing.F) {
	good := testJPEG(f, 20, 16, 3)
	f.Add(good)
	f.Add(good[:len(good)-40])
	gray := new(bytes.Buffer)
	if err := jpeg.Encode(gray, image.NewGray(image.Rect(0, 0, 9, 9)), nil); err != nil {
		f.Fatal(err)
	}
	f.Add(gray.Bytes())
	c := demoConfig()
	c.Side, c.Resize, c.Frames = 8, 8, 2
	m := newMaker(f, c)
	f.Fuzz(func(t *testing.T, data []byte) {
		if w, h, err := frameSize(data); err == nil && w*h > 1<<16 {
			t.Skip("large frames are slow, not different")
		}
		if d, err := m.Open([][]byte{data, data}, 2, nil); err == nil {
			_ = m.Fill(m.NewBatch(1), 0, d, 1, 0, "clip")
		}
	})
}
