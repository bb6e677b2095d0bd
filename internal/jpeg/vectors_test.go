package jpeg

import (
	"bytes"
	"image"
	"math"
	"math/rand/v2"
	"testing"
)

// TestShort compares the two ways through random bits, from every coefficient and
// up to the end of what may be read.
func TestShort(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var d Decoder
	for name, data := range files(t) {
		if d.header.read(data) != nil {
			continue
		}
		if err := d.prepare(image.Rect(0, 0, d.header.w, d.header.h)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		table := &d.tables[1][d.header.comps[0].ac]
		buf := make([]byte, 600)
		for i := range buf {
			buf[i] = byte(random.Uint32())
		}
		for round := range 4000 {
			r := reader{buf: buf, bits: bits{at: random.IntN(len(buf) - 100)}}
			r.fill()
			r.acc <<= round % 32
			r.n -= round % 32
			twin, k := r, uint(random.IntN(70))
			var got, want pair
			places := &places[round%2]
			end, twinEnd := r.short(table, &got, places, k), twin.shortGo(table, &want, places, k)
			if end != twinEnd || r.bits != twin.bits || got != want {
				t.Fatalf("%s round %d: from %d to %d and %d, at %v and %v", name, round, k, end, twinEnd,
					r.bits, twin.bits)
			}
		}
	}
}

// TestTransform holds both inverse transforms to the formula in float64.
func TestTransform(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var cosines [8][8]float64 // x, u
	for x := range 8 {
		for u := range 8 {
			cosines[x][u] = math.Cos(float64(2*x+1) * float64(u) * math.Pi / 16)
			if u == 0 {
				cosines[x][u] = math.Sqrt(.5)
			}
		}
	}
	for round := range 200 {
		var p, again pair
		var quant [128]int16
		var values [2][8][8]float64 // block, v, u
		for i := range quant {
			quant[i] = int16(1 + random.IntN(30))
			if random.IntN(1+round%8) == 0 { // full or sparse
				p[i] = int16(random.IntN(40)-20) / int16(1+i%16%8+i/16)
			}
			values[i/8%2][i%8][i/16] = float64(p[i] * quant[i])
		}
		again = p
		const stride = 19
		got, twin := make([]byte, 18*stride), make([]byte, 18*stride)
		idct(&p, &quant, got[2:], got[9*stride:], stride)
		idctGo(&again, &quant, twin[2:], twin[9*stride:], stride)
		if !bytes.Equal(got, twin) || p != again {
			t.Fatalf("round %d: the two ways differ", round)
		}
		if p != (pair{}) {
			t.Fatal("coefficients are not cleared")
		}
		for b, at := range []int{2, 9 * stride} {
			for y := range 8 {
				for x := range 8 {
					sum := 0.
					for v := range 8 {
						for u := range 8 {
							sum += values[b][v][u] * cosines[y][v] * cosines[x][u]
						}
					}
					want := min(max(sum/4+128, 0), 255)
					if v := got[at+y*stride+x]; !(math.Abs(float64(v)-want) <= .57) {
						t.Fatalf("round %d: block %d pixel %d, %d is %d, want %.3f", round, b, x, y, v, want)
					}
				}
			}
		}
	}
}

// TestTransformOfAnything compares the two ways on what only broken files hold.
func TestTransformOfAnything(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	extremes := []int16{-1 << 15, 1<<15 - 1, -1, 255, -255, 0}
	for round := range 300 {
		var p, again pair
		var quant [128]int16
		for i := range quant {
			if round%3 == 0 {
				p[i], quant[i] = int16(random.Uint32()), int16(random.Uint32())
			} else {
				p[i], quant[i] = extremes[random.IntN(6)], extremes[random.IntN(6)]
			}
		}
		again = p
		var got, want [64 * 2]byte
		idct(&p, &quant, got[:], got[64:], 8)
		idctGo(&again, &quant, want[:], want[64:], 8)
		if got != want {
			t.Fatalf("round %d: %v and %v", round, got, want)
		}
	}
}

// TestRGB compares the two conversions for every pair of chroma values, and for
// every length.
func TestRGB(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	check := func(luma, cb, cr []byte, n int, shift uint) {
		t.Helper()
		got, want := make([]byte, 3*(n+32)), make([]byte, 3*(n+32))
		rgb(got, luma, cb, cr, n, shift)
		rgbGo(want, luma, cb, cr, 0, n, shift)
		if !bytes.Equal(got[:3*n], want[:3*n]) {
			t.Fatalf("%d pixels, shift %d: the two ways differ", n, shift)
		}
	}
	luma, cb, cr := make([]byte, 256), make([]byte, 256), make([]byte, 256)
	for u := range 256 {
		for v := range 256 {
			luma[v], cb[v], cr[v] = byte(random.Uint32()), byte(u), byte(v)
		}
		check(luma, cb, cr, 256, 0)
		check(luma, cb, cr, 256, 1)
		check(luma, cb[128:], cr[128:], 256, 1)
	}
	for n := 1; n <= 99; n++ {
		for at := range 3 {
			check(luma[at:], cb[2*at:], cr[at+1:], n, 0)
			check(luma[at:], cb[2*at:], cr[at+1:], n, 1)
		}
	}
}
