package view

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"math"
	"math/cmplx"
	"math/rand/v2"
	"slices"
	"testing"
)

// noise returns n random bytes, often extreme.
func noise(random *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(min(max(random.IntN(512)-128, 0), 255))
	}
	return b
}

// axes calls f with axes of many scales, lengths and directions, and a blur's.
func axes(f func(name string, a *axis)) {
	var a axis
	for _, src := range []int{1, 2, 3, 5, 16, 31, 64, 224, 301, 455} {
		for _, dst := range []int{1, 2, 7, 8, 9, 16, 33, 56, 224, 256} {
			for _, flip := range []bool{false, true} {
				off := dst / 9
				a.plan(src, dst, off, dst-off, flip)
				f(fmt.Sprintf("%d to %d from %d, flip %v", src, dst, off, flip), &a)
			}
		}
	}
	for _, sigma := range []float64{.1, .5, 1, 2, 4.5} {
		a.gaussian(40, sigma)
		f(fmt.Sprintf("blur of %v", sigma), &a)
	}
}

// TestWeightsAddUpToOne holds also that none is negative, and none behind taps.
func TestWeightsAddUpToOne(t *testing.T) {
	axes(func(name string, a *axis) {
		for i := range a.count {
			sum, k := 0, a.coeff[i*a.width:][:a.width]
			for j, w := range k {
				if sum += int(w); w < 0 || j >= a.taps[i] && w != 0 {
					t.Fatalf("%s: output %d has the weights %v, %d taps", name, i, k, a.taps[i])
				}
			}
			if sum != 1<<weightBits || a.first[i] < 0 || a.first[i]+a.taps[i] > a.src {
				t.Fatalf("%s: output %d has %v from %d on, sum %d", name, i, k, a.first[i], sum)
			}
		}
	})
}

// TestAcross compares both ways of the horizontal resize, from a row that ends
// with its pixels and from one that goes on.
func TestAcross(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	axes(func(name string, a *axis) {
		for _, more := range []int{0, 1, 16, 40} {
			src := noise(random, 3*a.src+more)
			n := 3 * a.count
			got := bytes.Repeat([]byte{0xA5}, 3+n+2*crossSlack)
			want := make([]byte, n)
			a.across(got[3:3+n+crossSlack], src)
			a.acrossGo(want, src)
			if !bytes.Equal(got[3:3+n], want) {
				t.Fatalf("%s: the two ways differ", name)
			}
			if !bytes.Equal(got[3+n+crossSlack:], bytes.Repeat([]byte{0xA5}, crossSlack)) {
				t.Fatalf("%s: bytes far behind the row changed", name)
			}
		}
	})
}

// TestDown compares both ways of the vertical resize.
func TestDown(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 2))
	for _, taps := range []int{1, 2, 3, 4, 5, 8, 13} {
		k := make([]int16, taps+1)
		left := 1 << weightBits
		for j := range taps - 1 {
			k[j] = int16(random.IntN(left + 1))
			left -= int(k[j])
		}
		k[taps-1] = int16(left)
		for n := 1; n <= 140; n++ {
			for _, rows := range [][]byte{noise(random, n*taps), noise(random, n*(taps+1)+5)} {
				got, want := bytes.Repeat([]byte{0xA5}, n+40), make([]byte, n)
				down(got[3:3+n:3+n], rows, k, taps)
				downGo(want, rows, k[:taps], 0)
				if !bytes.Equal(got[3:3+n], want) {
					t.Fatalf("%d taps, %d bytes: the two ways differ", taps, n)
				}
				if got[2] != 0xA5 || got[3+n] != 0xA5 {
					t.Fatalf("%d taps, %d bytes: bytes around changed", taps, n)
				}
			}
		}
	}
}

func TestMirror(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	for n := 1; n <= 70; n++ {
		src := noise(random, 3*n)
		got := bytes.Repeat([]byte{0xA5}, 3*n+40)
		mirror(got[20:20+3*n:20+3*n], src)
		for i := range 3 * n {
			if want := src[3*(n-1-i/3)+i%3]; got[20+i] != want {
				t.Fatalf("%d pixels: byte %d is %d, want %d", n, i, got[20+i], want)
			}
		}
		if got[19] != 0xA5 || got[20+3*n] != 0xA5 {
			t.Fatalf("%d pixels: bytes around changed", n)
		}
	}
}

// randoms returns n numbers of very different size.
func randoms(random *rand.Rand, n int) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = random.NormFloat64() * math.Pow(10, float64(random.IntN(6)-3))
	}
	return x
}

// TestSpectrum holds transform and power to the formula, in every lane, and both
// ways to each other, bit for bit.
func TestSpectrum(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 4))
	for _, n := range []int{2, 4, 5, 8, 10, 16, 20, 25, 50, 64, 80, 100, 125, 200} {
		f, ok := newFFT(n)
		if !ok {
			t.Fatalf("no transform of %d", n)
		}
		x := randoms(random, 2*n*lanes)
		a, b := slices.Clone(x), slices.Clone(x)
		z := f.run(a, make([]float64, len(x)))
		w, y := b, make([]float64, len(x))
		for i := range f.passes {
			f.passes[i].runGo(y, w)
			w, y = y, w
		}
		if !slices.Equal(z, w) {
			t.Fatalf("%d: the two ways of the transform differ", n)
		}
		split := []float64{0}[:0]
		for k := 1; 2*k <= n; k++ {
			sin, cos := math.Sincos(-math.Pi * float64(k) / float64(n))
			split = append(split, cos, sin)
		}
		p, q := make([]float64, lanes*(n+1)), make([]float64, lanes*(n+1))
		power(p, z, split, n)
		powerGo(q, z, split, n)
		if !slices.Equal(p, q) {
			t.Fatalf("%d: the two ways of the power differ", n)
		}
		for l := range lanes {
			norm := 0.
			for i := range 2 * n {
				norm += x[lanes*i+l] * x[lanes*i+l]
			}
			for k := range n + 1 {
				sum := 0i
				for i := range 2 * n {
					sum += complex(x[lanes*i+l], 0) * cmplx.Rect(1, -math.Pi*float64(k*i%(2*n))/float64(n))
				}
				want := 4 * (real(sum)*real(sum) + imag(sum)*imag(sum))
				if !(math.Abs(p[lanes*k+l]-want) <= 1e-8*norm*float64(n)) {
					t.Fatalf("%d: power of lane %d at %d is %v, want %v", n, l, k, p[lanes*k+l], want)
				}
			}
		}
	}
	for _, n := range []int{3, 7, 12, 275} {
		if _, ok := newFFT(n); ok {
			t.Errorf("a transform of %d", n)
		}
	}
}

// TestBands compares both ways from power to dB.
func TestBands(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 5))
	l, err := NewLogMel(Default().Mel())
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		p := randoms(random, lanes*201)
		for i := range p {
			p[i] *= p[i]
			switch random.IntN(40) {
			case 0:
				p[i] = math.NaN()
			case 1:
				p[i] = math.Inf(1)
			case 2, 3, 4:
				p[i] = 0
			}
		}
		got, want := make([]float32, 130*128), make([]float32, 130*128)
		l.bands(got[3:], 129, p)
		l.bandsGo(want[3:], 129, p)
		for i := range got {
			if math.Float32bits(got[i]) != math.Float32bits(want[i]) &&
				!(got[i] != got[i] && want[i] != want[i]) {
				t.Fatalf("value %d is %v in one way, %v in the other", i, got[i], want[i])
			}
		}
	}
}

func TestLevel(t *testing.T) {
	for x := 1e-12; x < 1e12; x *= 1.0137 {
		want := 10 * math.Log10(max(x, 1e-10))
		if got := float64(level(x)); !(math.Abs(got-want) <= 1e-9+6e-8*math.Abs(want)) {
			t.Fatalf("level of %v is %v dB, want %v", x, got, want)
		}
	}
	if level(0) != floorDB || level(1e-10) != floorDB || level(math.NaN()) == level(math.NaN()) {
		t.Errorf("level is %v of 0, %v of 1e-10, %v of NaN", level(0), level(1e-10), level(math.NaN()))
	}
}

// TestLogMelWays computes a log-mel frame by frame and by fours, and by gonum's
// transform.
func TestLogMelWays(t *testing.T) {
	_, samples := testClip(t, 8, 8, 1, 1)
	l, err := NewLogMel(Default().Mel())
	if err != nil {
		t.Fatal(err)
	}
	s, frames := l.NewScratch(), l.Frames(len(samples))
	all, single := make([]float32, 128*frames), make([]float32, 128*frames)
	l.span(all, frames, samples, len(samples), 0, frames, s)
	for f := range frames {
		l.span(single, frames, samples, len(samples), f, f+1, s)
	}
	if !slices.Equal(all, single) {
		t.Error("frames one by one differ from those by fours")
	}
	other := *l
	other.fft = fft{}
	other.span(single, frames, samples, len(samples), 0, frames, other.NewScratch())
	for i, v := range single {
		if !(math.Abs(float64(v-all[i])) <= 1e-4) {
			t.Fatalf("value %d is %v dB, by gonum %v", i, all[i], v)
		}
	}
}

// TestSameBitsEverywhere holds the log-mel and the pixels of a clip to a number,
// which every machine must arrive at, with assembly or without.
func TestSameBitsEverywhere(t *testing.T) {
	c := Default()
	c.Side, c.Resize, c.Seconds = 56, 64, 1
	m := newMaker(t, c)
	frames, samples := testClip(t, 101, 67, 1.2, 8)
	b := m.NewBatch(1)
	h := fnv.New64a()
	for seed := range uint64(4) {
		d, err := m.Open(frames, 8, samples)
		if err != nil {
			t.Fatal(err)
		}
		fill(t, m, b, 0, d, seed, "clip")
		h.Write(b.GlobalVideo)
		h.Write(b.LocalVideo)
		for _, v := range append(b.GlobalAudio, b.LocalAudio...) {
			bits := math.Float32bits(v)
			h.Write([]byte{byte(bits), byte(bits >> 8), byte(bits >> 16), byte(bits >> 24)})
		}
	}
	if got := h.Sum64(); got != 0x214e3fede730e7e6 {
		t.Errorf("views have the sum %#x", got)
	}
}
