package explain

import (
	"context"
	"errors"
	"image"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"avjepa/internal/chart"
	"avjepa/internal/config"
	"avjepa/internal/encoder"
	"avjepa/internal/encoder/encodertest"
	"avjepa/internal/engine/cpu"
	"avjepa/internal/jepa"
	"avjepa/internal/train"
)

// tiny opens an untrained small model with views of 1 s, settings over those of the demo.
func tiny(t *testing.T, settings ...[2]string) *encoder.Encoder {
	t.Helper()
	return untrained(t, append([][2]string{{"view.seconds", "1"}, {"model.width", "24"},
		{"model.depth", "2"}, {"model.heads", "2"}, {"projector.hidden", "32"}, {"projector.out", "16"}},
		settings...)...)
}

// untrained opens an untrained model, settings over those of the demo.
func untrained(t testing.TB, settings ...[2]string) *encoder.Encoder {
	t.Helper()
	e, err := cpu.New(cpu.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	c := config.New()
	if err := c.ApplyPreset("demo"); err != nil {
		t.Fatal(err)
	}
	for _, kv := range settings {
		if err := c.Set(kv[0], kv[1], "test"); err != nil {
			t.Fatal(err)
		}
	}
	jc, err := c.JEPAConfig()
	if err != nil {
		t.Fatal(err)
	}
	m, err := jepa.NewEmbedder(e, jc, 7, 1)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "step-00000003.safetensors")
	if err := train.Save(path, m, nil, train.State{Step: 3, Seed: 7, Config: c.TOML()}); err != nil {
		t.Fatal(err)
	}
	m.Free()
	x, err := encoder.Open(path, e, encoder.Options{Views: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.Close)
	return x
}

// shot writes a video of something that moves, with a tone or without.
func shot(t *testing.T, seconds float64, sound bool) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shot.mp4")
	encodertest.Film(t, path, seconds, sound)
	return path
}

func read(t *testing.T, x *encoder.Encoder, path string) *encoder.Clip {
	t.Helper()
	c, err := x.ReadFile(context.Background(), encodertest.Tools(t), path, encoder.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestWatchCoversTheClip draws a clip of 2.5 s that takes three windows, and makes a film.
func TestWatchCoversTheClip(t *testing.T) {
	ctx, x := context.Background(), tiny(t)
	w, err := Watch(ctx, x, read(t, x, shot(t, 2.5, true)), FromOther)
	if err != nil {
		t.Fatal(err)
	}
	end := w.Windows[len(w.Windows)-1].Start.Seconds() + 1
	if len(w.Maps) != len(w.Windows) || w.Windows[0].Start != 0 || !(math.Abs(end-2.5) <= .1) {
		t.Errorf("%d windows, %d maps, the first from %v, the last to %g s", len(w.Windows), len(w.Maps),
			w.Windows[0].Start, end)
	}
	light, err := w.Sheet("shot.mp4", chart.Light)
	if err != nil {
		t.Fatal(err)
	}
	dark, err := w.Sheet("shot.mp4", chart.Dark)
	if err != nil {
		t.Fatal(err)
	}
	if light.Bounds() != dark.Bounds() || light.RGBAAt(1, 1) == dark.RGBAAt(1, 1) {
		t.Error("the two themes differ in size, or not in colour")
	}
	path, told := filepath.Join(t.TempDir(), "film.mp4"), 0
	tools := encodertest.Tools(t)
	err = w.Film(ctx, tools, path, chart.Dark, func(done, total int) { told = done })
	if err != nil {
		t.Fatal(err)
	}
	film := read(t, x, path)
	if !(math.Abs(film.Seconds-2.5) <= .15) || !film.HasAudio || !film.HasVideo || told == 0 {
		t.Errorf("a film of %g s, sound %v, picture %v", film.Seconds, film.HasAudio, film.HasVideo)
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if err := w.Film(gone, tools, path+"2", chart.Dark, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled film gives %v", err)
	}
	if _, err := os.Stat(path + "2"); err == nil {
		t.Error("a cancelled film left a file")
	}
}

func TestWatchRefuses(t *testing.T) {
	ctx, x := context.Background(), tiny(t)
	mute := read(t, x, shot(t, 1.2, false))
	if _, err := Watch(ctx, x, mute, FromOther); !errors.Is(err, ErrOneModality) {
		t.Errorf("a clip without sound gives %v", err)
	}
	if _, err := CrossAttention(x, mute.Windows[0]); !errors.Is(err, ErrOneModality) {
		t.Errorf("a window without sound gives %v", err)
	}
	both := read(t, x, shot(t, 1.2, true))
	dual := tiny(t, [2]string{"model.encoder", "dual"})
	if _, err := CrossAttention(dual, both.Windows[0]); !errors.Is(err, jepa.ErrDual) {
		t.Errorf("two encoders give %v", err)
	}
	if _, err := Compare(ctx, dual, []*encoder.Clip{both, mute}); err != nil {
		t.Errorf("components of two encoders: %v", err)
	}
	blind := &encoder.Clip{Windows: []encoder.Window{{}}}
	if _, err := Compare(ctx, x, []*encoder.Clip{blind}); !errors.Is(err, ErrNoVideo) {
		t.Errorf("components of a clip without picture: %v", err)
	}
}

// TestGlance sees the window that was read, and draws it without words: below as it is, lit.
func TestGlance(t *testing.T) {
	x := tiny(t)
	c := read(t, x, shot(t, 2.5, true))
	w, err := Glance(x, c, FromOther)
	if err != nil {
		t.Fatal(err)
	}
	a, err := CrossAttention(x, c.Windows[0])
	if err != nil {
		t.Fatal(err)
	}
	if len(w.Maps) != 1 || !slices.Equal(w.Maps[0].Video, a.Video) || w.Windows[0].Start != c.Windows[0].Start {
		t.Errorf("%d maps, from %v", len(w.Maps), w.Windows[0].Start)
	}
	frames, mel, err := w.Strips(0, 480)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Compare(context.Background(), x, []*encoder.Clip{c})
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := r.Strip(0, 480)
	if err != nil {
		t.Fatal(err)
	}
	for name, img := range map[string]*image.RGBA{"frames": frames, "mel": mel, "tokens": tokens} {
		b := img.Bounds()
		if b.Dx() > 480 || b.Dx() < 470 || b.Dy() < 100 {
			t.Errorf("%s: a strip of %v", name, b.Max)
		}
		differ, half := 0, (b.Dy()-4)/2
		for y := range half {
			for i := range b.Dx() {
				if img.RGBAAt(i, y) != img.RGBAAt(i, y+half+4) {
					differ++
				}
			}
		}
		if differ < b.Dx()*half/20 {
			t.Errorf("%s: %d pixels differ between the two rows", name, differ)
		}
	}
	if _, err := Glance(x, read(t, x, shot(t, 1.2, false)), FromOther); !errors.Is(err, ErrOneModality) {
		t.Errorf("a clip without sound gives %v", err)
	}
	if _, err := Glance(x, &encoder.Clip{}, FromOther); err == nil {
		t.Error("a clip without windows gives no error")
	}
}

func TestTiles(t *testing.T) {
	s := func(x float64) time.Duration { return time.Duration(x * float64(time.Second)) }
	for _, c := range []struct {
		seconds, last float64
		want          []time.Duration
	}{
		{1, 0, []time.Duration{0}}, {1, 2, []time.Duration{0, s(1), s(2)}},
		{1, 1.5, []time.Duration{0, s(1), s(1.5)}}, {1, 1.05, []time.Duration{0, s(1)}},
		{.32, .5, []time.Duration{0, s(.32), s(.5)}},
	} {
		if got := tiles(c.seconds, s(c.last)); !slices.Equal(got, c.want) {
			t.Errorf("windows of %g s to %g: %v, want %v", c.seconds, c.last, got, c.want)
		}
	}
	if got := tiles(.1, s(600)); len(got) != MostWindows {
		t.Errorf("%d windows of a long clip, want %d", len(got), MostWindows)
	}
}

// TestFilmDoesNotFlash makes the worst overlay, on and off in every map, and counts how
// often the brightness of a film turns.
func TestFilmDoesNotFlash(t *testing.T) {
	x := tiny(t, [2]string{"model.patch_frames", "1"})
	w, err := Watch(context.Background(), x, read(t, x, shot(t, 2.2, true)), FromOther)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range w.Maps {
		n := a.Rows * a.Cols
		for i := range a.Video {
			a.Video[i] = float32(i / n % 2)
		}
	}
	knots := w.knots()
	v := make([]float32, len(knots[0].field.V))
	turns, last, slope := 0, 0.0, 0.0
	const seconds = 2.
	for i := range int(seconds * 200) {
		now := fieldAt(knots, float64(i)/200, v).At(.5, .5)
		if i > 0 && math.Abs(now-last) > 1e-6 {
			if (now > last) != (slope > 0) {
				turns++
			}
			slope = now - last
		}
		last = now
	}
	if flashes := float64(turns) / 2 / seconds; !(flashes <= 3) {
		t.Errorf("%g flashes a second", flashes)
	}
}

// TestComponentsAreShared gives two clips with the same picture: they get the same
// colours, and again the same in another run.
func TestComponentsAreShared(t *testing.T) {
	ctx, x := context.Background(), tiny(t)
	path := shot(t, 1.2, true)
	clips := []*encoder.Clip{read(t, x, path), read(t, x, path)}
	r, err := Compare(ctx, x, clips)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Compare(ctx, x, clips)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Colours) != 2 || len(r.Colours[0]) != r.Frames*r.Rows*r.Cols ||
		!slices.Equal(r.Colours[0], r.Colours[1]) || !slices.Equal(r.Colours[0], again.Colours[0]) {
		t.Error("equal clips have different colours")
	}
	lo, hi := uint8(255), uint8(0)
	for _, c := range r.Colours[0] {
		lo, hi = min(lo, c[0]), max(hi, c[0])
	}
	if lo != 0 || hi != 255 || !(r.Variance[0] >= r.Variance[1] && r.Variance[1] >= r.Variance[2]) {
		t.Errorf("component 1 goes from %d to %d, shares %v", lo, hi, r.Variance)
	}
	img, err := r.Sheet("two", []string{"a", "b"}, chart.Light)
	if err != nil || img.Bounds().Empty() || img.Bounds().Dx() > 2000 {
		t.Errorf("sheet: %v, %v", img.Bounds(), err)
	}
}

// BenchmarkCrossAttention is one window of the demo's model.
//
//	go test ./internal/explain -run XXX -bench Cross
func BenchmarkCrossAttention(b *testing.B) {
	x := untrained(b)
	v := x.Maker().Config()
	w := encoder.Window{Video: make([]byte, v.Frames*v.Side*v.Side*3),
		Audio: make([]float32, v.Bands*v.MelFrames())}
	for b.Loop() {
		if _, err := CrossAttention(x, w); err != nil {
			b.Fatal(err)
		}
	}
}
