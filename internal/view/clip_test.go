package view

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"testing"
)

// testJPEG returns a frame whose pixels tell frame number and place.
func testJPEG(t testing.TB, w, h, number int) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.SetRGBA(x, y, color.RGBA{uint8(x * 255 / w), uint8(y * 255 / h),
				uint8(number * 5), 255})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// testClip returns frames and samples of the given length; the samples are a
// tone that rises, with some noise.
func testClip(t testing.TB, w, h int, seconds, fps float64) (frames [][]byte, samples []int16) {
	t.Helper()
	for i := range int(seconds*fps + .5) {
		frames = append(frames, testJPEG(t, w, h, i%50))
	}
	noise := uint32(1)
	for i := range int(seconds*16000 + .5) {
		noise = noise*1664525 + 1013904223
		s := float64(i) / 16000
		samples = append(samples, int16(9000*math.Sin(900*s*(1+s)))+int16(noise>>24))
	}
	return frames, samples
}

// demoConfig is the geometry of a tiny model.
func demoConfig() Config {
	c := Default()
	c.Seconds, c.Side, c.Resize, c.Bands = 2.56, 32, 32, 64
	c.Windows, c.LocalCrop = WindowsOne, false
	return c
}

func newMaker(t testing.TB, c Config) *Maker {
	t.Helper()
	m, err := NewMaker(c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func decode(t testing.TB, m *Maker, frames [][]byte, fps float64, samples []int16) *Decoded {
	t.Helper()
	d, err := m.Decode(frames, fps, samples)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func fill(t testing.TB, m *Maker, b *Batch, slot int, d *Decoded, seed uint64, key string) {
	t.Helper()
	if err := m.Fill(b, slot, d, seed, 0, key); err != nil {
		t.Fatal(err)
	}
}
