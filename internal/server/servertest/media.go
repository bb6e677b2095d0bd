package servertest

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"testing"

	"avjepa/internal/media"
)

// Kinds of clips.
const Kinds = 8

// Names are what the kinds are called: their labels.
var Names = [Kinds]string{"bell", "drum", "dog bark", "rain", "violin", "speech", "engine", "bird"}

// Geometry and rates of the clips.
const (
	Width, Height = 96, 64
	FPS           = 12.5
	RateHz        = 16000
)

// colour returns that of a kind.
func colour(kind int) color.RGBA {
	h := float64(kind) / Kinds * 6
	x := uint8(255 * (1 - math.Abs(math.Mod(h, 2)-1)))
	return [6]color.RGBA{{230, x, 20, 255}, {x, 230, 20, 255}, {20, 230, x, 255}, {20, x, 230, 255},
		{x, 20, 230, 255}, {230, 20, x, 255}}[int(h)]
}

// pitch returns that of a kind, in Hz.
func pitch(kind int) float64 { return 200 * math.Pow(2, float64(kind)/2) }

// paint sets the RGB of frame i of a clip: its colour and a square that moves.
func paint(rgb []byte, w, h, kind, variant, i int) {
	c := colour(kind)
	x0, y0 := (3*i+7*variant)%max(1, w-12), (2*i+5*variant)%max(1, h-12)
	for y := range h {
		for x := range w {
			p := rgb[3*(y*w+x):]
			p[0], p[1], p[2] = c.R, c.G, c.B
			if x >= x0 && x < x0+12 && y >= y0 && y < y0+12 {
				p[0], p[1], p[2] = 250, 250, 250
			}
		}
	}
}

// tone returns the sound of a kind.
func tone(kind int, seconds float64) []int16 {
	out := make([]int16, int(seconds*RateHz))
	for i := range out {
		out[i] = int16(9000 * math.Sin(2*math.Pi*pitch(kind)*float64(i)/RateHz))
	}
	return out
}

func frame(kind, variant, i int) []byte {
	rgb := make([]byte, 3*Width*Height)
	paint(rgb, Width, Height, kind, variant, i)
	img := image.NewRGBA(image.Rect(0, 0, Width, Height))
	for p := range Width * Height {
		copy(img.Pix[4*p:], rgb[3*p:3*p+3])
		img.Pix[4*p+3] = 255
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 85}); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// Film writes a video file of a kind.
func Film(t testing.TB, path string, kind int, seconds float64, sound bool) {
	t.Helper()
	var samples []int16
	if sound {
		samples = tone(kind, seconds)
	}
	err := Tools(t).Encode(context.Background(), path, media.EncodeConfig{Width: Width,
		Height: Height, FPS: FPS, SampleRateHz: RateHz}, int(math.Round(seconds*FPS)),
		func(i int, rgb []byte) error { paint(rgb, Width, Height, kind, 0, i); return nil }, samples)
	if err != nil {
		t.Fatal(err)
	}
}

// Tone returns a WAV file of a kind.
func Tone(kind int, seconds float64) []byte {
	samples := tone(kind, seconds)
	n := uint32(2 * len(samples))
	var b bytes.Buffer
	for _, v := range []any{[]byte("RIFF"), 36 + n, []byte("WAVEfmt "), uint32(16), uint16(1),
		uint16(1), uint32(RateHz), uint32(2 * RateHz), uint16(2), uint16(16), []byte("data"), n,
		samples} {
		if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			panic(fmt.Sprint(err))
		}
	}
	return b.Bytes()
}
