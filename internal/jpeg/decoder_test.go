package jpeg

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// The files in testdata show one drawn picture of 61 × 45 pixels. ffmpeg.jpg is
// what ingest writes; the others were made by cjpeg of libjpeg-turbo, named by
// subsampling or by what else is special. Of these Decoder leaves some to
// image/jpeg.
var leftToOthers = map[string]bool{"411": true, "progressive": true, "rgb": true,
	"scans": true, "coarse": true}

// files returns testdata by name.
func files(t testing.TB) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.jpg")
	if err != nil || len(paths) < 12 {
		t.Fatalf("%d files in testdata (%v)", len(paths), err)
	}
	all := map[string][]byte{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(path)
		all[name[:len(name)-len(".jpg")]] = data
	}
	return all
}

// drawn returns a picture, as image/jpeg writes it: 4:2:0, or grey.
func drawn(t testing.TB, w, h, quality int, grey bool) []byte {
	t.Helper()
	random := rand.New(rand.NewPCG(uint64(w), uint64(h)))
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			noise := random.IntN(64)
			img.SetRGBA(x, y, color.RGBA{uint8(x*x/8 + noise), uint8(x*y/16 + noise), uint8(y * 5), 255})
		}
	}
	var b bytes.Buffer
	var source image.Image = img
	if grey {
		g := image.NewGray(img.Rect)
		for i := range g.Pix {
			g.Pix[i] = img.Pix[4*i]
		}
		source = g
	}
	if err := jpeg.Encode(&b, source, &jpeg.Options{Quality: quality}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// decode decodes a part by Decoder, between guards.
func decode(t testing.TB, d *Decoder, data []byte, w, h int, r image.Rectangle) ([]byte, error) {
	t.Helper()
	const guard = 64
	stride := 3*r.Dx() + 5
	buf := bytes.Repeat([]byte{0xA5}, guard+r.Dy()*stride+guard)
	err := d.Decode(buf[guard:len(buf)-guard:len(buf)-guard], stride, data, w, h, r)
	out := make([]byte, 0, 3*r.Dx()*r.Dy())
	for y := range r.Dy() {
		row := buf[guard+y*stride:][:stride]
		out = append(out, row[:3*r.Dx()]...)
		if !bytes.Equal(row[3*r.Dx():], []byte{0xA5, 0xA5, 0xA5, 0xA5, 0xA5}) {
			t.Fatalf("part %v: bytes behind row %d changed", r, y)
		}
	}
	for _, b := range [][]byte{buf[:guard], buf[len(buf)-guard:]} {
		if !bytes.Equal(b, bytes.Repeat([]byte{0xA5}, guard)) {
			t.Fatalf("part %v: bytes around it changed", r)
		}
	}
	return out, err
}

// compare holds got to want within most grey levels and a mean difference.
func compare(t *testing.T, name string, got, want []byte, most int, mean float64) {
	t.Helper()
	sum := 0
	for i := range want {
		d := max(int(got[i])-int(want[i]), int(want[i])-int(got[i]))
		if sum += d; d > most {
			t.Fatalf("%s: byte %d is %d, want %d within %d", name, i, got[i], want[i], most)
		}
	}
	if m := float64(sum) / float64(len(want)); !(m <= mean) {
		t.Errorf("%s: differs by %v on average, more than %v", name, m, mean)
	}
}

// TestDecode holds whole pictures to image/jpeg, whose inverse transform rounds
// otherwise: by 1 in luma and chroma, which make 3 in a colour.
func TestDecode(t *testing.T) {
	var d Decoder
	all := files(t)
	for name, data := range all {
		err := d.header.read(data)
		if other := errors.Is(err, errOther); other != leftToOthers[name] || err != nil && !other {
			t.Errorf("%s: read says %v", name, err)
		}
	}
	for _, size := range []image.Point{{1, 1}, {2, 3}, {8, 8}, {15, 17}, {16, 16}, {33, 20}, {70, 5},
		{97, 66}} {
		all["drawn "+size.String()] = drawn(t, size.X, size.Y, 92, false)
		all["grey "+size.String()] = drawn(t, size.X, size.Y, 92, true)
		all["coarse "+size.String()] = drawn(t, size.X, size.Y, 3, false)
	}
	for name, data := range all {
		w, h, err := Size(data)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		whole := image.Rect(0, 0, w, h)
		got, err := decode(t, &d, data, w, h, whole)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := make([]byte, 3*w*h)
		if err := decodeOther(want, 3*w, data, w, h, whole); err != nil {
			t.Fatal(err)
		}
		compare(t, name, got, want, 3, .1)
	}
}

// TestParts takes parts of pictures: the same pixels as those of the whole.
func TestParts(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var d Decoder
	for name, data := range files(t) {
		w, h, err := Size(data)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := decode(t, &d, data, w, h, image.Rect(0, 0, w, h))
		if err != nil {
			t.Fatal(err)
		}
		for range 60 {
			x, y := random.IntN(w), random.IntN(h)
			r := image.Rect(x, y, x+1+random.IntN(w-x), y+1+random.IntN(h-y))
			got, err := decode(t, &d, data, w, h, r)
			if err != nil {
				t.Fatalf("%s %v: %v", name, r, err)
			}
			for i, v := range got {
				p := i / 3
				at := 3*((r.Min.Y+p/r.Dx())*w+r.Min.X+p%r.Dx()) + i%3
				if v != whole[at] {
					t.Fatalf("%s: byte %d of part %v is %d, of the whole %d", name, i, r, v, whole[at])
				}
			}
		}
	}
}

// TestDecodeAllocatesNothing decodes unlike pictures in turn.
func TestDecodeAllocatesNothing(t *testing.T) {
	var d Decoder
	a, b := drawn(t, 90, 70, 90, false), files(t)["444"]
	dst := make([]byte, 3*90*70)
	step := func() {
		for _, e := range []error{d.Decode(dst, 3*90, a, 90, 70, image.Rect(0, 0, 90, 70)),
			d.Decode(dst, 3*61, b, 61, 45, image.Rect(3, 3, 50, 40))} {
			if e != nil {
				t.Fatal(e)
			}
		}
	}
	step()
	if n := testing.AllocsPerRun(20, step); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
