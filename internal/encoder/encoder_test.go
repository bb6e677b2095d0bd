package encoder_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"avjepa/internal/dataset"
	"avjepa/internal/encoder"
	"avjepa/internal/encoder/encodertest"
	"avjepa/internal/manifest"
	"avjepa/internal/media"
)

// TestFileEqualsStoredClip holds the vectors of a file to those of the clip that ingest
// makes of it, bit for bit.
func TestFileEqualsStoredClip(t *testing.T) {
	ctx, x, dir := context.Background(), encodertest.Open(t, encoder.Options{Views: 3}), t.TempDir()
	path := filepath.Join(dir, "a.mp4")
	encodertest.Film(t, path, 3, true)
	in := dataset.DefaultIngestConfig()
	in.Dir, in.Decoder = filepath.Join(dir, "set"), encodertest.Tools(t)
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
	for _, o := range []encoder.ReadOptions{{}, {Windows: 4}, {Stride: 500 * time.Millisecond}} {
		a, err := x.ReadFile(ctx, encodertest.Tools(t), path, o)
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
		if a.Outcome != media.Usable || a.Modality() != encoder.Both {
			t.Errorf("%+v: %v with %v", o, a.Outcome, a.Modality())
		}
		for _, m := range []encoder.Modality{encoder.Audio, encoder.Video, encoder.Both} {
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
	ctx, x, dir := context.Background(), encodertest.Open(t, encoder.Options{}), t.TempDir()
	silent := filepath.Join(dir, "silent.mp4")
	encodertest.Film(t, silent, 2, false)
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
		has     encoder.Modality
		outcome media.Outcome
	}{
		{silent, encoder.Video, media.NoAudio},
		{write("a.jpg", j.Bytes()), encoder.Video, media.StillImage},
		{write("name-without-extension", p.Bytes()), encoder.Video, media.StillImage},
		{write("tone.wav", encodertest.Tone()), encoder.Audio, media.NoVideo},
	} {
		clip, err := x.ReadFile(ctx, encodertest.Tools(t), c.path, encoder.ReadOptions{})
		if err != nil {
			t.Fatalf("%s: %v", c.path, err)
		}
		if clip.Modality() != c.has || clip.Outcome != c.outcome {
			t.Errorf("%s: has %v, %v; want %v, %v", c.path, clip.Modality(), clip.Outcome, c.has, c.outcome)
		}
		if _, err := x.Embed(ctx, clip.Windows, c.has); err != nil {
			t.Errorf("%s: %v", c.path, err)
		}
		if _, err := x.Embed(ctx, clip.Windows, encoder.Both); err == nil {
			t.Errorf("%s: embedded what it does not have", c.path)
		}
	}
}

// TestRefuses gives files that are none, and too large ones.
func TestRefuses(t *testing.T) {
	ctx, x, dir := context.Background(), encodertest.Open(t, encoder.Options{}), t.TempDir()
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
		_, err := x.ReadFile(ctx, encodertest.Tools(t), path, encoder.ReadOptions{})
		var bad *media.FileError
		if !errors.As(err, &bad) || bad.Outcome.HasClip() {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, path := range []string{dir, filepath.Join(dir, "absent")} {
		var bad *media.FileError
		if _, err := x.ReadFile(ctx, encodertest.Tools(t), path, encoder.ReadOptions{}); !errors.As(err, &bad) {
			t.Errorf("%s: %v", path, err)
		}
	}
	encodertest.Film(t, filepath.Join(dir, "short.mp4"), .25, true)
	var short *media.FileError
	_, err := x.ReadFile(ctx, encodertest.Tools(t), filepath.Join(dir, "short.mp4"), encoder.ReadOptions{})
	if !errors.As(err, &short) || short.Outcome != media.TooShort {
		t.Errorf("a film of a quarter of a second: %v", err)
	}
	encodertest.Film(t, filepath.Join(dir, "long.mp4"), 4, true)
	var bad *media.FileError
	_, err = x.ReadFile(ctx, encodertest.Tools(t), filepath.Join(dir, "long.mp4"), encoder.ReadOptions{MaxSeconds: 2})
	if !errors.As(err, &bad) || bad.Outcome != media.TooLarge {
		t.Errorf("a film of 4 s where 2 are allowed: %v", err)
	}
	if _, err := encoder.Open(dir, x.Engine(), encoder.Options{}); err == nil {
		t.Error("opened a folder that is no run")
	}
	if _, err := encoder.Open(filepath.Join(dir, "text.mp4"), x.Engine(), encoder.Options{}); !errors.Is(err, encoder.ErrCheckpoint) {
		t.Errorf("a text: %v", err)
	}
	if _, err := encoder.Open(x.Path(), x.Engine(), encoder.Options{Set: []string{"view.sid=3"}}); !errors.Is(err, encoder.ErrConfig) {
		t.Errorf("a key that is none: %v", err)
	}
}

// TestIDNamesTheNumbers compares IDs of equal and different models.
func TestIDNamesTheNumbers(t *testing.T) {
	x := encodertest.Open(t, encoder.Options{})
	again, err := encoder.Open(x.Path(), x.Engine(), encoder.Options{Views: 5})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	longer, err := encoder.Open(x.Path(), x.Engine(), encoder.Options{Set: []string{"view.seconds=2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer longer.Close()
	if x.ID() != again.ID() || x.ID() == longer.ID() || len(x.ID()) != 16 {
		t.Errorf("IDs %s, %s, %s", x.ID(), again.ID(), longer.ID())
	}
}
