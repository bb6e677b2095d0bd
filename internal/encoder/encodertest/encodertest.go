// Package encodertest makes untrained models and small media files for tests.
//
//	x := encodertest.Open(t, encoder.Options{})
//	encodertest.Film(t, path, 3, true)
package encodertest

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"avjepa/internal/config"
	"avjepa/internal/encoder"
	"avjepa/internal/engine/cpu"
	"avjepa/internal/jepa"
	"avjepa/internal/media"
	"avjepa/internal/train"
)

// Tools are ffmpeg's, or the test is left out, or fails where AVJEPA_REQUIRE has ffmpeg.
func Tools(t testing.TB) media.Tools {
	t.Helper()
	found, err := media.Find()
	if err != nil {
		if slices.Contains(strings.Split(os.Getenv("AVJEPA_REQUIRE"), ","), "ffmpeg") {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	return found
}

// Save writes the checkpoint of an untrained model, 24 wide and 2 deep with windows of a
// second, and returns its path, in a folder of its own. Settings are laid over those when
// the checkpoint is written.
func Save(t testing.TB, settings ...[2]string) string {
	t.Helper()
	e, err := cpu.New(cpu.Config{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	c := config.New()
	if err := c.ApplyPreset("demo"); err != nil {
		t.Fatal(err)
	}
	for _, kv := range [][2]string{{"view.seconds", "1"}, {"model.width", "24"}, {"model.depth", "2"},
		{"model.heads", "2"}, {"projector.hidden", "32"}, {"projector.out", "16"}, {"view.side", "32"}} {
		if err := c.Set(kv[0], kv[1], "test"); err != nil {
			t.Fatal(err)
		}
	}
	jc, err := c.JEPAConfig()
	if err != nil {
		t.Fatal(err)
	}
	model, err := jepa.NewEmbedder(e, jc, 7, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer model.Free()
	for _, kv := range settings {
		if err := c.Set(kv[0], kv[1], "test"); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "step-00000003.safetensors")
	if err := train.Save(path, model, nil, train.State{Step: 3, Seed: 7, Config: c.TOML()}); err != nil {
		t.Fatal(err)
	}
	return path
}

// Open opens such a model.
func Open(t testing.TB, o encoder.Options) *encoder.Encoder {
	t.Helper()
	e, err := cpu.New(cpu.Config{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	x, err := encoder.Open(Save(t), e, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.Close)
	return x
}

// Film writes a video of a square that moves, with a tone that rises.
func Film(t testing.TB, path string, seconds float64, sound bool) {
	t.Helper()
	const w, h, fps = 96, 64, 12
	var samples []int16
	if sound {
		for i := range int(seconds * 16000) {
			at := float64(i) / 16000
			samples = append(samples, int16(9000*math.Sin(2000*at*(1+at))))
		}
	}
	err := Tools(t).Encode(context.Background(), path, media.EncodeConfig{Width: w, Height: h, FPS: fps,
		SampleRateHz: 16000}, int(seconds*fps), func(i int, rgb []byte) error {
		for y := range h {
			for x := range w {
				v := byte(40)
				if x/16 == (i/2)%6 && y/16 == (i/3)%4 {
					v = 220
				}
				copy(rgb[3*(y*w+x):], []byte{v, byte(x), byte(y)})
			}
		}
		return nil
	}, samples)
	if err != nil {
		t.Fatal(err)
	}
}

// Tone returns a WAV file: a second of a tone.
func Tone() []byte {
	const rate = 16000
	data := make([]byte, 2*rate)
	for i := range rate {
		v := int16(8000 * math.Sin(float64(i)/5))
		data[2*i], data[2*i+1] = byte(v), byte(v>>8)
	}
	le := func(n, bytes int) string {
		s := ""
		for range bytes {
			s, n = s+string([]byte{byte(n)}), n>>8
		}
		return s
	}
	head := fmt.Sprint("RIFF", le(36+len(data), 4), "WAVEfmt ", le(16, 4), le(1, 2), le(1, 2),
		le(rate, 4), le(2*rate, 4), le(2, 2), le(16, 2), "data", le(len(data), 4))
	return append([]byte(head), data...)
}
