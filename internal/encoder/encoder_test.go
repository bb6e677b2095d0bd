package encoder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"avjepa/internal/config"
	"avjepa/internal/dataset"
	"avjepa/internal/engine/cpu"
	"avjepa/internal/jepa"
	"avjepa/internal/manifest"
	"avjepa/internal/media"
	"avjepa/internal/train"
)

// tools are ffmpeg's, or the test is left out, or fails where AVJEPA_REQUIRE has ffmpeg.
func tools(t *testing.T) media.Tools {
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

// tiny saves an untrained small model and opens it.
func tiny(t *testing.T, o Options) *Encoder {
	t.Helper()
	e, err := cpu.New(cpu.Config{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
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
	path := filepath.Join(t.TempDir(), "step-00000003.safetensors")
	if err := train.Save(path, model, nil, train.State{Step: 3, Seed: 7, Config: c.TOML()}); err != nil {
		t.Fatal(err)
	}
	model.Free()
	x, err := Open(path, e, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.Close)
	return x
}

// film writes a video of a square that moves, with a tone that rises.
func film(t *testing.T, path string, seconds float64, sound bool) {
	t.Helper()
	const w, h, fps = 96, 64, 12
	var samples []int16
	if sound {
		for i := range int(seconds * 16000) {
			at := float64(i) / 16000
			samples = append(samples, int16(9000*math.Sin(2000*at*(1+at))))
		}
	}
	err := tools(t).Encode(context.Background(), path, media.EncodeConfig{Width: w, Height: h, FPS: fps,
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

// TestFileEqualsStoredClip holds the vectors of a file to those of the clip that ingest
// makes of it, bit for bit.
func TestFileEqualsStoredClip(t *testing.T) {
	ctx, x, dir := context.Background(), tiny(t, Options{Views: 3}), t.TempDir()
	path := filepath.Join(dir, "a.mp4")
	film(t, path, 3, true)
	in := dataset.DefaultIngestConfig()
	in.Dir, in.Decoder = filepath.Join(dir, "set"), tools(t)
	in.Entries = []manifest.Entry{{Path: path, Key: "a"}}
	if _, err := dataset.Ingest(ctx, in); err != nil {
		t.Fatal(err)
	}
	set, err := dataset.Open(in.Dir)
	if err != nil {
		t.Fatal(err)
	}
	var stored dataset.Clip
	if err := set.Read(ctx, 0, &stored); err != nil {
		t.Fatal(err)
	}
	for _, o := range []ReadOptions{{}, {Windows: 4}, {Stride: 500 * time.Millisecond}} {
		a, err := x.ReadFile(ctx, tools(t), path, o)
		if err != nil {
			t.Fatal(err)
		}
		b, err := x.ReadStored(&stored, o)
		if err != nil {
			t.Fatal(err)
		}
		if want := max(1, o.Windows, 5*int(o.Stride/(500*time.Millisecond))); len(a.Windows) != want {
			t.Errorf("%+v: %d windows, want %d", o, len(a.Windows), want)
		}
		if a.Outcome != media.Usable || a.Modality() != Both {
			t.Errorf("%+v: %v with %v", o, a.Outcome, a.Modality())
		}
		for _, m := range []Modality{Audio, Video, Both} {
			va, err := x.Embed(ctx, a.Windows, m)
			if err != nil {
				t.Fatal(err)
			}
			vb, err := x.Embed(ctx, b.Windows, m)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(va.Projected.Data, vb.Projected.Data) || !slices.Equal(va.CLS.Data, vb.CLS.Data) {
				t.Errorf("%+v %v: a file's vectors differ from the stored clip's", o, m)
			}
			for _, v := range va.Projected.Data {
				if v-v != 0 {
					t.Fatalf("%+v %v: not finite", o, m)
				}
			}
		}
	}
}

// TestPartsOfClips reads what lacks a modality: a sound, a silent film, a picture.
func TestPartsOfClips(t *testing.T) {
	ctx, x, dir := context.Background(), tiny(t, Options{}), t.TempDir()
	silent := filepath.Join(dir, "silent.mp4")
	film(t, silent, 2, false)
	img := image.NewRGBA(image.Rect(0, 0, 700, 520))
	for i := range 520 {
		img.SetRGBA(i, i, color.RGBA{200, 10, 10, 255})
	}
	var j, p bytes.Buffer
	if err := errors.Join(jpeg.Encode(&j, img, nil), png.Encode(&p, img)); err != nil {
		t.Fatal(err)
	}
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		path    string
		has     Modality
		outcome media.Outcome
	}{
		{silent, Video, media.NoAudio},
		{write("a.jpg", j.Bytes()), Video, media.StillImage},
		{write("name-without-extension", p.Bytes()), Video, media.StillImage},
		{write("tone.wav", wav(16000)), Audio, media.NoVideo},
	} {
		clip, err := x.ReadFile(ctx, tools(t), c.path, ReadOptions{})
		if err != nil {
			t.Fatalf("%s: %v", c.path, err)
		}
		if clip.Modality() != c.has || clip.Outcome != c.outcome {
			t.Errorf("%s: has %v, %v; want %v, %v", c.path, clip.Modality(), clip.Outcome, c.has, c.outcome)
		}
		if _, err := x.Embed(ctx, clip.Windows, c.has); err != nil {
			t.Errorf("%s: %v", c.path, err)
		}
		if _, err := x.Embed(ctx, clip.Windows, Both); err == nil {
			t.Errorf("%s: embedded what it does not have", c.path)
		}
	}
}

// TestRefuses gives files that are none, and too large ones.
func TestRefuses(t *testing.T) {
	ctx, x, dir := context.Background(), tiny(t, Options{}), t.TempDir()
	huge := func(w, h int) []byte {
		var b bytes.Buffer
		if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 1, 1))); err != nil {
			t.Fatal(err)
		}
		data := b.Bytes() // the header's width and height, with its check sum as it was
		copy(data[16:], []byte{byte(w >> 24), byte(w >> 16), byte(w >> 8), byte(w),
			byte(h >> 24), byte(h >> 16), byte(h >> 8), byte(h)})
		return data
	}
	for name, data := range map[string][]byte{
		"empty": {}, "text.mp4": []byte("hello"), "cut.jpg": []byte("\xff\xd8\xff\xe0\x00"),
		"huge.png": huge(1<<30, 1<<30), "list.m3u8": []byte("#EXTM3U\nhttp://localhost/a.ts\n"),
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := x.ReadFile(ctx, tools(t), path, ReadOptions{})
		var bad *media.FileError
		if !errors.As(err, &bad) || bad.Outcome.HasClip() {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, path := range []string{dir, filepath.Join(dir, "absent")} {
		var bad *media.FileError
		if _, err := x.ReadFile(ctx, tools(t), path, ReadOptions{}); !errors.As(err, &bad) {
			t.Errorf("%s: %v", path, err)
		}
	}
	film(t, filepath.Join(dir, "long.mp4"), 4, true)
	var bad *media.FileError
	_, err := x.ReadFile(ctx, tools(t), filepath.Join(dir, "long.mp4"), ReadOptions{MaxSeconds: 2})
	if !errors.As(err, &bad) || bad.Outcome != media.TooLarge {
		t.Errorf("a film of 4 s where 2 are allowed: %v", err)
	}
	if _, err := Open(dir, x.Engine(), Options{}); err == nil {
		t.Error("opened a folder that is no run")
	}
	if _, err := Open(filepath.Join(dir, "text.mp4"), x.Engine(), Options{}); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("a text: %v", err)
	}
	if _, err := Open(x.Path(), x.Engine(), Options{Set: []string{"view.sid=3"}}); !errors.Is(err, ErrConfig) {
		t.Errorf("a key that is none: %v", err)
	}
}

// TestIDNamesTheNumbers compares IDs of equal and different models.
func TestIDNamesTheNumbers(t *testing.T) {
	x := tiny(t, Options{})
	again, err := Open(x.Path(), x.Engine(), Options{Views: 5})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	longer, err := Open(x.Path(), x.Engine(), Options{Set: []string{"view.seconds=2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer longer.Close()
	if x.ID() != again.ID() || x.ID() == longer.ID() || len(x.ID()) != 16 {
		t.Errorf("IDs %s, %s, %s", x.ID(), again.ID(), longer.ID())
	}
}

// wav returns a second of a tone.
func wav(rate int) []byte {
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
