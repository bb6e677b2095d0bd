package avjepa_test

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"avjepa"
	"avjepa/internal/encoder/encodertest"
)

// A model that was trained in BF16 on a GPU runs here in F32.
func TestOpenOtherPrecision(t *testing.T) {
	encodertest.Tools(t)
	path := filepath.Join(t.TempDir(), "tone.wav")
	if err := os.WriteFile(path, encodertest.Tone(), 0o644); err != nil {
		t.Fatal(err)
	}
	m, err := avjepa.Open(encodertest.Save(t, [2]string{"engine.precision", "bf16"}), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if v, err := m.EmbedFile(context.Background(), path); err != nil || !(avjepa.Similar(v.Audio, v.Audio) > .99) {
		t.Errorf("%v, %v", v.Audio, err)
	}
}

// TestEmbedFile embeds what files have, alike from many goroutines.
func TestEmbedFile(t *testing.T) {
	encodertest.Tools(t)
	ctx, dir := context.Background(), t.TempDir()
	m, err := avjepa.Open(encodertest.Save(t), &avjepa.Options{Windows: 2, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if i := m.Info(); i.Steps != 3 || i.Dims != 16 || i.Seconds != 1 || len(i.ID) != 16 {
		t.Errorf("%+v", i)
	}
	film, tone := filepath.Join(dir, "film.mp4"), filepath.Join(dir, "tone.wav")
	encodertest.Film(t, film, 2, true)
	if err := os.WriteFile(tone, encodertest.Tone(), 0o644); err != nil {
		t.Fatal(err)
	}
	want, err := m.EmbedFile(ctx, film)
	if err != nil {
		t.Fatal(err)
	}
	if want.Windows != 2 || want.Note != "" || !(want.Seconds >= 2 && want.Seconds < 2.1) {
		t.Errorf("%d windows of %v s, note %q", want.Windows, want.Seconds, want.Note)
	}
	for name, v := range map[string][]float32{"audio": want.Audio, "video": want.Video, "both": want.Both} {
		if s := avjepa.Similar(v, v); len(v) != 16 || !(math.Abs(s-1) < 1e-6) {
			t.Errorf("%s: %d numbers, a cosine of %v with itself", name, len(v), s)
		}
	}
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			got, err := m.EmbedFile(ctx, film)
			if err != nil {
				t.Error(err)
				return
			}
			if !slices.Equal(got.Both, want.Both) || !slices.Equal(got.Audio, want.Audio) {
				t.Error("the same file has other vectors beside others")
			}
		})
	}
	wait.Wait()
	heard, err := m.EmbedFile(ctx, tone)
	if err != nil {
		t.Fatal(err)
	}
	if heard.Audio == nil || heard.Video != nil || heard.Both != nil || heard.Note != "no video" {
		t.Errorf("a sound: %+v", heard)
	}
}

// TestErrors names file and reason.
func TestErrors(t *testing.T) {
	encodertest.Tools(t)
	path := encodertest.Save(t)
	if _, err := avjepa.Open(path, &avjepa.Options{Windows: -1}); err == nil {
		t.Error("opened for −1 windows")
	}
	if _, err := avjepa.Open(path, &avjepa.Options{Embedding: "token"}); err == nil {
		t.Error("opened for an embedding that is none")
	}
	m, err := avjepa.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var bad *avjepa.FileError
	if _, err := m.EmbedFile(context.Background(), path); !errors.As(err, &bad) || bad.Path != path {
		t.Errorf("a checkpoint embedded as a film: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	film := filepath.Join(t.TempDir(), "film.mp4")
	encodertest.Film(t, film, 1, true)
	if _, err := m.EmbedFile(ctx, film); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestNearest orders by cosine, leaves out what is missing, and keeps ties in order.
func TestNearest(t *testing.T) {
	got := avjepa.Nearest([]float32{1, 0}, [][]float32{{0, 1}, {2, 2}, nil, {3, 0}, {1, 0}, {0, 0}}, 3)
	var order []int
	for _, h := range got {
		order = append(order, h.Index)
	}
	if !slices.Equal(order, []int{3, 4, 1}) || !(math.Abs(got[2].Score-math.Sqrt(.5)) < 1e-12) {
		t.Errorf("%+v", got)
	}
	if s := avjepa.Similar(nil, []float32{1}); !math.IsNaN(s) {
		t.Errorf("similar to nothing: %v", s)
	}
	defer func() {
		if recover() == nil {
			t.Error("compared vectors of two models")
		}
	}()
	avjepa.Similar([]float32{1}, []float32{1, 2})
}
