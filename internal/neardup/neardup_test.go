package neardup

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"gonum.org/v1/gonum/dsp/fourier"

	"avjepa/internal/rng"
)

const testRate = 16000

// tune is a sound of notes that nobody else has: one every 120 ms, over a hum that all
// have, with the given noise.
func tune(seed uint64, seconds, noise float64) []int16 {
	r := rng.New(seed, "tune")
	hiss := rng.New(seed, "hiss", int(noise*1e6))
	x := make([]int16, int(seconds*testRate))
	var hz, level float64
	for i := range x {
		t := float64(i) / testRate
		if i%(testRate*12/100) == 0 {
			hz, level = 200*math.Pow(15, r.Float64()), r.Uniform(.05, .3)
		}
		fade := math.Exp(-20 * math.Mod(t, .12))
		v := level*fade*math.Sin(2*math.Pi*hz*t) + .02*math.Sin(2*math.Pi*150*t) + noise*hiss.NormFloat64()
		x[i] = int16(32767 * max(-1, min(1, v)))
	}
	return x
}

// film is n frames of w × h pixels of a scene that moves, as JPEG files.
func film(seed uint64, n, w, h, quality int) [][]byte {
	var frames [][]byte
	for f := range n {
		r := rng.New(seed, "film")
		img := image.NewYCbCr(image.Rect(0, 0, w, h), image.YCbCrSubsampleRatio420)
		for i := range img.Cb {
			img.Cb[i], img.Cr[i] = 128, 128
		}
		for range 12 {
			cx, cy, radius := r.Float64(), r.Float64(), r.Uniform(.1, .3)
			dx, level := r.Uniform(-.2, .2)/float64(n), r.Uniform(20, 235)
			for y := range h {
				for x := range w {
					u, v := float64(x)/float64(w)-cx-dx*float64(f), float64(y)/float64(h)-cy
					if u*u+v*v < radius*radius {
						img.Y[y*img.YStride+x] = uint8(level)
					}
				}
			}
		}
		var b bytes.Buffer
		if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: quality}); err != nil {
			panic(err)
		}
		frames = append(frames, b.Bytes())
	}
	return frames
}

func make1(t *testing.T, frames [][]byte, samples []int16) Signature {
	t.Helper()
	s, _, _ := NewMaker(testRate).Make(frames, samples)
	return s
}

func pairsOf(t *testing.T, all ...Signature) []Pair {
	t.Helper()
	pairs, err := Find(context.Background(), all)
	if err != nil {
		t.Fatal(err)
	}
	return pairs
}

// One recording in another size, quality, loudness, with noise, and 0.3 s later is
// found; other sounds over the same picture and other pictures with the same sound are
// not.
func TestFindsTheSameRecording(t *testing.T) {
	sound := tune(1, 4, 0)
	quieter := slices.Clone(sound)
	for i := range quieter {
		quieter[i] /= 3
	}
	all := []Signature{
		make1(t, film(1, 32, 160, 120, 90), sound),
		make1(t, film(1, 32, 80, 60, 40), tune(1, 4, .003)),
		make1(t, film(1, 32, 160, 120, 90)[2:], sound[testRate*3/10+77:]),
		make1(t, film(1, 32, 160, 120, 60), quieter),
		make1(t, film(1, 32, 160, 120, 90), tune(2, 4, 0)), // same picture
		make1(t, film(2, 32, 160, 120, 90), sound),         // same sound
		make1(t, film(1, 32, 160, 120, 90), nil),           // no sound
		make1(t, nil, sound),                               // no picture
	}
	var got [][2]int
	for _, p := range pairsOf(t, all...) {
		got = append(got, [2]int{p.A, p.B})
		if !(p.Picture >= 0 && p.Picture <= .25 && p.Sound >= 0 && p.Sound < 1) {
			t.Errorf("distances of %+v", p)
		}
	}
	want := [][2]int{{0, 1}, {0, 2}, {0, 3}, {1, 2}, {1, 3}, {2, 3}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("pairs %v, want %v", got, want)
	}
}

// Without sound the picture alone decides, without picture the sound; what is black or
// silent is like nothing.
func TestFindsWithHalf(t *testing.T) {
	black := make([][]byte, 8)
	for i := range black {
		var b bytes.Buffer
		if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 64, 48)), nil); err != nil {
			t.Fatal(err)
		}
		black[i] = b.Bytes()
	}
	silence := make([]int16, testRate)
	pairs := pairsOf(t,
		make1(t, film(1, 8, 160, 120, 90), nil), make1(t, film(1, 8, 120, 90, 80), silence),
		make1(t, film(2, 8, 160, 120, 90), nil),
		make1(t, nil, tune(1, 4, 0)), make1(t, nil, tune(1, 4, .001)), make1(t, nil, tune(2, 4, 0)),
		make1(t, black, silence), make1(t, black, silence), Signature{}, Signature{})
	var got [][2]int
	for _, p := range pairs {
		got = append(got, [2]int{p.A, p.B})
	}
	if want := [][2]int{{0, 1}, {3, 4}}; !reflect.DeepEqual(got, want) {
		t.Errorf("pairs %v, want %v", got, want)
	}
}

// A word that two sounds share at one moment is not enough.
func TestOneMomentIsNotEnough(t *testing.T) {
	a, b := tune(1, 4, 0), tune(2, 4, 0)
	copy(b[testRate:], a[testRate:testRate*17/10])
	scene := film(1, 8, 160, 120, 90)
	if pairs := pairsOf(t, make1(t, scene, a), make1(t, scene, b)); len(pairs) > 0 {
		t.Errorf("%+v", pairs)
	}
}

func TestSignatureAsText(t *testing.T) {
	whole := make1(t, film(1, 8, 160, 120, 90), tune(1, 4, 0))
	if len(whole.Pictures) != pictures || len(whole.Marks) != mostMarks {
		t.Fatalf("%d hashes, %d landmarks", len(whole.Pictures), len(whole.Marks))
	}
	if n := len(whole.String()); n != MaxTextBytes {
		t.Errorf("%d bytes, MaxTextBytes is %d", n, MaxTextBytes)
	}
	for _, s := range []Signature{whole, {Pictures: whole.Pictures}, {Marks: whole.Marks[:3]}, {}} {
		got, err := Parse(s.String())
		if err != nil || !slices.Equal(got.Pictures, s.Pictures) || !slices.Equal(got.Marks, s.Marks) {
			t.Errorf("%v became %v (%v)", s, got, err)
		}
	}
	text := whole.String()
	for _, bad := range []string{"0", "zz", "02" + text[2:], text + "00", text[:len(text)-2],
		"010000", "01ff00", "0100ff", "01000200000100000001ff"[:22]} {
		if s, err := Parse(bad); err == nil {
			t.Errorf("%.20s… gave %v", bad, s)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("")
	f.Add("010001000003e8")
	f.Add("010100ffffffffffffffff")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if err != nil {
			return
		}
		if again, err := Parse(s.String()); err != nil || !reflect.DeepEqual(s, again) {
			t.Errorf("%v became %v (%v)", s, again, err)
		}
		if _, err := Find(context.Background(), []Signature{s, s}); err != nil {
			t.Error(err)
		}
	})
}

// Frames that are no pictures, and sounds of every length and rate, are no trouble.
func TestMakeTakesAnything(t *testing.T) {
	for _, rate := range []int{1, 1000, 7999, 8000, 44100, 192000} {
		m := NewMaker(rate)
		for _, n := range []int{0, 1, windowSize - 1, windowSize, windowSize + hopSize, 30000} {
			loud := make([]int16, n)
			for i := range loud {
				loud[i] = int16(i%2*65535 - 32768)
			}
			if s, _, known := m.Make([][]byte{{1, 2}, nil}, loud); known || len(s.Pictures) > 0 {
				t.Errorf("rate %d, %d samples: pictures %v", rate, n, s.Pictures)
			}
		}
	}
	var tiny bytes.Buffer
	if err := jpeg.Encode(&tiny, image.NewGray(image.Rect(0, 0, 8, 8)), nil); err != nil {
		t.Fatal(err)
	}
	if _, _, known := NewMaker(testRate).Make([][]byte{tiny.Bytes()}, nil); known {
		t.Error("a picture smaller than the grid is hashed")
	}
}

// The averages of a picture are those of its pixels, whatever its size.
func TestAverage(t *testing.T) {
	for _, size := range [][2]int{{18, 16}, {19, 17}, {35, 31}, {36, 32}, {100, 75}, {455, 256}} {
		w, h := size[0], size[1]
		img := image.NewGray(image.Rect(0, 0, w, h))
		for y := range h {
			for x := range w {
				img.SetGray(x, y, color.Gray{uint8(40 + 150*x/w)})
			}
		}
		g := average(img.Pix, img.Stride, w, h)
		for i, v := range g {
			want := 40 + 150*(float64(i%gridWidth)+.5)/gridWidth
			if !(math.Abs(float64(v)-want) <= 300/float64(w)+2) {
				t.Fatalf("%d×%d: cell %d is %v, want about %v", w, h, i, v, want)
			}
		}
		for i := range img.Pix {
			img.Pix[i] = 100
		}
		for i, v := range average(img.Pix, img.Stride, w, h) {
			if v != 100 {
				t.Fatalf("%d×%d: cell %d of an even picture is %v", w, h, i, v)
			}
		}
		if bits := g.hash(); bits != 0 { // it gets brighter to the right everywhere
			t.Errorf("%d×%d: hash %x", w, h, bits)
		}
	}
}

// The transform of two windows has the powers that gonum's has of each.
func TestTransform(t *testing.T) {
	r := rng.New(1, "transform")
	two := [2][]float64{make([]float64, windowSize), make([]float64, windowSize)}
	x := newTransform()
	for i := range windowSize {
		two[0][i], two[1][i] = r.NormFloat64(), r.NormFloat64()
		x.load(i, two[0][i], two[1][i])
	}
	x.run()
	for n, window := range two {
		for k, c := range fourier.NewFFT(windowSize).Coefficients(nil, window) {
			a, b := x.power(k)
			want := real(c)*real(c) + imag(c)*imag(c)
			if got := []float64{a, b}[n]; !(math.Abs(got-want) <= 1e-9*(1+want)) {
				t.Fatalf("window %d, bin %d: %v, want %v", n, k, got, want)
			}
		}
	}
}

// random returns n signatures that have nothing to do with each other.
func random(n int) []Signature {
	r := rng.New(1, "random")
	all := make([]Signature, n)
	for i := range all {
		p, m := make([]uint64, pictures), make([]uint32, mostMarks)
		for k := range p {
			p[k] = r.Uint64()
		}
		for k := range m {
			m[k] = r.Uint32()
		}
		slices.Sort(m)
		all[i] = Signature{p, m}
	}
	return all
}

// Planted pairs are found among many, and nothing else.
func TestFindAmongMany(t *testing.T) {
	all := random(20_000)
	var want [][2]int
	for i := 0; i < 1000; i += 10 {
		j := 19_999 - i
		all[j].Pictures = slices.Clone(all[i].Pictures)
		all[j].Pictures[1] ^= 0xff
		// A third of the landmarks, all 1.5 s later.
		for k := range all[i].Marks {
			if k%3 == 0 {
				v := all[i].Marks[k]
				all[j].Marks[k] = v&^timeMask | uint32(uint8(v)+24)
			}
		}
		slices.Sort(all[j].Marks)
		want = append(want, [2]int{i, j})
	}
	var got [][2]int
	for _, p := range pairsOf(t, all...) {
		got = append(got, [2]int{p.A, p.B})
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%d pairs, want %d", len(got), len(want))
	}
}

// Thousands of equal clips cost no square of them, and each still has a partner.
func TestFindInACrowd(t *testing.T) {
	all := slices.Repeat(random(1), 20_000)
	began := time.Now()
	pairs := pairsOf(t, all...)
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
	partner := make([]bool, len(all))
	for _, p := range pairs {
		partner[p.A], partner[p.B] = true, true
	}
	if i := slices.Index(partner, false); i >= 0 || len(pairs) > neighbours*len(all) {
		t.Errorf("%d pairs, clip %d has none", len(pairs), i)
	}
}

func TestFindStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Find(ctx, random(100)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// BenchmarkMake is what a clip of 10 s costs: 80 frames of 455 × 256, 16 kHz.
func BenchmarkMake(b *testing.B) {
	frames, sound := film(1, 4, 455, 256, 90), tune(1, 10, .001)
	m := NewMaker(testRate)
	b.Run("picture", func(b *testing.B) {
		for b.Loop() {
			m.Make(frames, nil)
		}
	})
	b.Run("sound", func(b *testing.B) {
		for b.Loop() {
			m.Make(nil, sound)
		}
	})
}

// BenchmarkFind is the search among unrelated signatures.
func BenchmarkFind(b *testing.B) {
	for _, c := range []struct {
		name string
		n    int
	}{{"100k", 100_000}, {"2M", 2_000_000}} {
		b.Run(c.name, func(b *testing.B) {
			all := random(c.n)
			for b.Loop() {
				if _, err := Find(context.Background(), all); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(c.n), "clips")
		})
	}
}
