package view

import (
	"fmt"
	"image"
	"math"
	"testing"

	"avjepa/internal/checkpoint"
	"avjepa/internal/tensor"
)

// golden reads a file of vectors from the published code; its README states
// the tolerances used here.
func golden(t *testing.T, name string) (*checkpoint.File, func(string) tensor.Array) {
	t.Helper()
	f, err := checkpoint.Read("../../testdata/golden/" + name + ".safetensors")
	if err != nil {
		t.Fatal(err)
	}
	return f, func(name string) tensor.Array {
		t.Helper()
		a, err := f.Float32(name)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
}

func TestLogMelGolden(t *testing.T) {
	_, load := golden(t, "mel")
	c := Default()
	l, err := NewLogMel(c.Mel())
	if err != nil {
		t.Fatal(err)
	}
	s := l.NewScratch()
	for _, name := range []string{"chirp", "noise_silence", "speech"} {
		wave := load(name + ".wave").Data
		if name == "speech" {
			wave = append(wave, make([]float32, c.Samples()-len(wave))...)
		}
		db, norm := load(name+".db"), load(name+".norm")
		if db.Shape.Dim(2) != l.Frames(len(wave)) {
			t.Fatalf("%s: %d frames, want %v", name, l.Frames(len(wave)), db.Shape)
		}
		got := make([]float32, db.Shape.Elems())
		l.Compute(got, wave, s)
		worst := map[float64]float64{} // by tolerance
		for i, want := range db.Data {
			tol := .3
			switch {
			case want == -100:
				tol = 1e-3
			case want > -40:
				tol = .01
			case want > -60:
				tol = .05
			}
			at := fmt.Sprintf("%s band %d frame %d", name, i/db.Shape.Dim(2), i%db.Shape.Dim(2))
			diff := math.Abs(float64(got[i] - want))
			if !(diff <= tol) {
				t.Fatalf("%s: %v dB, want %v", at, got[i], want)
			}
			worst[tol] = max(worst[tol], diff)
			n := (float64(got[i]) - c.MelMean) / c.MelStd
			if diff := math.Abs(n - float64(norm.Data[i])); !(diff <= tol/24.5+1e-6) {
				t.Fatalf("%s: normalised %v, want %v", at, n, norm.Data[i])
			}
		}
		t.Logf("log-mel %-14s max error %.1e dB above −40, %.1e to −60, %.1e below",
			name, worst[.01], worst[.05], worst[.3])
	}
	for b, w := range l.weight {
		if empty := b == 0 || b == 3 || b == 6 || b == 13; empty != (len(w) == 0) {
			t.Errorf("band %d has %d weights", b, len(w))
		}
	}
}

// frames returns the golden frames as interleaved RGB.
func goldenFrames(a tensor.Array) (frames [][]byte, w, h int) {
	h, w = a.Shape.Dim(2), a.Shape.Dim(3)
	for i := range a.Shape.Dim(0) {
		frame := make([]byte, 3*w*h)
		for c := range 3 {
			for p := range w * h {
				frame[3*p+c] = byte(a.Data[(i*3+c)*w*h+p])
			}
		}
		frames = append(frames, frame)
	}
	return frames, w, h
}

// compareBytes holds resized frames to want (frame, channel, row, column).
func compareBytes(t *testing.T, name string, got [][]byte, want tensor.Array) {
	t.Helper()
	n, off := want.Shape.Dim(2)*want.Shape.Dim(3), 0
	for i, frame := range got {
		if len(frame) != 3*n {
			t.Fatalf("%s: frame of %d bytes, want %d", name, len(frame), 3*n)
		}
		for p, v := range frame {
			d := math.Abs(float64(v) - float64(want.Data[(i*3+p%3)*n+p/3]))
			if !(d <= 1) {
				t.Fatalf("%s: frame %d byte %d is %d, want %v", name, i, p, v,
					want.Data[(i*3+p%3)*n+p/3])
			}
			if d > 0 {
				off++
			}
		}
	}
	share := float64(off) / float64(want.Shape.Elems())
	t.Logf("resize %-18s %4.1f %% of the bytes differ, by 1", name, 100*share)
	if !(share <= .25) {
		t.Errorf("%s: %.0f %% of the bytes differ", name, 100*share)
	}
}

// compareFloats holds the normalised frames to want (channel, frame, row, column).
func compareFloats(t *testing.T, name string, got [][]byte, want tensor.Array) {
	t.Helper()
	n := want.Shape.Dim(2) * want.Shape.Dim(3)
	var all []byte
	for _, f := range got {
		all = append(all, f...)
	}
	x := make([]float32, len(all))
	normalise(x, all, len(got), n)
	sum := 0.
	for i, v := range x {
		d := math.Abs(float64(v - want.Data[i]))
		if !(d <= .0176) {
			t.Fatalf("%s: value %d is %v, want %v", name, i, v, want.Data[i])
		}
		sum += d
	}
	if mean := sum / float64(len(x)); !(mean <= .004) {
		t.Errorf("%s: mean difference %v", name, mean)
	}
}

func TestResizeGolden(t *testing.T) {
	f, load := golden(t, "video")
	frames, w, h := goldenFrames(load("frames"))
	each := func(r *resampler, off int) [][]byte {
		var out [][]byte
		for _, frame := range frames {
			dst := make([]byte, 3*r.x.count*r.y.count)
			r.run(dst, frame, off, 3*w)
			out = append(out, dst)
		}
		return out
	}
	var r resampler
	r.stretch(w, h, 49, 37, false)
	compareBytes(t, "resize37", each(&r, 0), load("u8.resize37"))
	r.fit(w, h, 37, 32, false)
	compareBytes(t, "resize37_crop32", each(&r, 0), load("u8.resize37_crop32"))
	compareFloats(t, "resize37_crop32", each(&r, 0), load("resize37_crop32"))
	r.stretch(w, h, 32, 32, false)
	compareBytes(t, "squash32", each(&r, 0), load("u8.resize_squash32"))
	compareFloats(t, "squash32", each(&r, 0), load("val_squash32"))
	for i, flip := range []bool{false, true} {
		r.fit(w, h, 256, 32, flip)
		name := fmt.Sprintf("global_256_crop32_flip%d", i)
		compareFloats(t, name, each(&r, 0), load(name))
	}
	boxes, err := f.Int64("local.boxes")
	if err != nil {
		t.Fatal(err)
	}
	flips, err := f.Int64("local.flips")
	if err != nil {
		t.Fatal(err)
	}
	for i := range flips {
		y, x := int(boxes[4*i]), int(boxes[4*i+1])
		box := image.Rect(x, y, x+int(boxes[4*i+3]), y+int(boxes[4*i+2]))
		off := (y*w + x) * 3
		r.stretch(box.Dx(), box.Dy(), 32, 32, false)
		compareBytes(t, "local", each(&r, off), load(fmt.Sprintf("u8.local%d_before_flip", i)))
		r.stretch(box.Dx(), box.Dy(), 32, 32, flips[i] == 1)
		compareFloats(t, "local", each(&r, off), load(fmt.Sprintf("local%d", i)))
	}
}
