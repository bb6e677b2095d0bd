package view

import (
	"math"
	"slices"
	"testing"

	"avjepa/internal/rng"
)

// altered returns frames of n pixels side after x.
func altered(x alteration, frames []byte, frameCount, side int) []byte {
	out := slices.Clone(frames)
	x.video(out, &Config{Frames: frameCount, Side: side}, new(scratch))
	return out
}

func plainAlteration() alteration {
	return alteration{brightness: 1, contrast: 1, saturation: 1}
}

func TestRecolour(t *testing.T) {
	frames := []byte{200, 100, 50, 10, 20, 30, 90, 90, 90, 0, 128, 255}
	mean := 0.
	for i := 0; i < len(frames); i += 3 {
		mean += (.299*float64(frames[i]) + .587*float64(frames[i+1]) + .114*float64(frames[i+2])) / 4
	}
	clip := func(v float64) float64 { return min(max(v, 0), 255) }
	for _, f := range [][3]float64{{1, 1, 1}, {.7, 1, 1}, {1, 1.4, 1}, {1, 1, .5}, {1.2, .8, 1.3},
		{1, 1, 0}} {
		x := alteration{colour: true, brightness: float32(f[0]), contrast: float32(f[1]),
			saturation: float32(f[2])}
		got := altered(x, frames, 1, 2)
		for p := 0; p < len(frames); p += 3 {
			var v [3]float64
			for c := range 3 {
				v[c] = clip((float64(frames[p+c])*f[0]-mean*f[0])*f[1] + mean*f[0])
			}
			grey := .299*v[0] + .587*v[1] + .114*v[2]
			for c := range 3 {
				want := clip(grey + (v[c]-grey)*f[2])
				if diff := math.Abs(float64(got[p+c]) - want); !(diff <= .51) {
					t.Errorf("factors %v: byte %d is %d, want %.2f", f, p+c, got[p+c], want)
				}
			}
		}
	}
}

func TestSolarise(t *testing.T) {
	x := plainAlteration()
	x.solarise = true
	got := altered(x, []byte{0, 127, 128, 255, 200, 5, 1, 2, 3, 4, 5, 6}, 1, 2)
	if want := []byte{0, 127, 127, 0, 55, 5, 1, 2, 3, 4, 5, 6}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestBlur spreads one bright pixel: the variance along each axis is that of
// the Gaussian, the sum stays, other frames and channels stay dark.
func TestBlur(t *testing.T) {
	const side = 31
	frames := make([]byte, 2*side*side*3)
	frames[(15*side+15)*3+1] = 255
	x := plainAlteration()
	x.sigma = 1.5
	got := altered(x, frames, 2, side)
	var sum, rows, cols float64
	for i, v := range got {
		if i%3 != 1 || i >= side*side*3 {
			if v != 0 {
				t.Fatalf("byte %d is %d", i, v)
			}
			continue
		}
		y, px := float64(i/3/side-15), float64(i/3%side-15)
		sum += float64(v)
		rows += float64(v) * y * y
		cols += float64(v) * px * px
	}
	if !(math.Abs(sum-255) <= 20) || !(math.Abs(rows/sum-2.25) <= .35) ||
		!(math.Abs(cols/sum-2.25) <= .35) {
		t.Errorf("sum %v, variances %.3f and %.3f, want 255, 2.25, 2.25", sum, rows/sum, cols/sum)
	}
	flat := slices.Repeat([]byte{77}, 2*side*side*3)
	if got := altered(x, flat, 2, side); !slices.Equal(got, flat) {
		t.Error("a flat picture changes at its borders")
	}
}

func TestGainAndNoise(t *testing.T) {
	c := demoConfig()
	x := plainAlteration()
	x.gain = -5
	floor := float32((-100 - c.MelMean) / c.MelStd)
	mel := []float32{0, 1, floor, floor + .01}
	x.audio(mel, &c)
	shift := float32(-5 / c.MelStd)
	for i, want := range []float32{shift, 1 + shift, floor, floor} {
		if diff := math.Abs(float64(mel[i] - want)); !(diff <= 1e-6) {
			t.Errorf("gain: value %d is %v, want %v", i, mel[i], want)
		}
	}
	x = plainAlteration()
	x.noise, x.noiseKey = .4, 99
	const n = 50000
	noise := make([]float32, n)
	x.audio(noise, &c)
	var mean, sq float64
	for _, v := range noise {
		if !(v >= 0 && v <= .4) {
			t.Fatalf("noise %v is outside 0 to .4", v)
		}
		mean += float64(v) / n
		sq += float64(v) * float64(v) / n
	}
	if std := math.Sqrt(sq - mean*mean); !(math.Abs(mean-.2) <= .003) ||
		!(math.Abs(std-.4/math.Sqrt(12)) <= .003) {
		t.Errorf("noise has mean %.4f std %.4f", mean, std)
	}
}

func TestAlterationsAreDrawn(t *testing.T) {
	c := Default()
	c.Augment = Augment{Jitter: .4, Grey: .2, Blur: .5, Solarise: .1, GainDB: 6, Noise: .3}
	r := rng.New(4)
	const n = 10000
	var grey, blur, solarise float64
	for range n {
		x := c.Augment.draw(&c, r)
		for _, f := range []float32{x.brightness, x.contrast, x.saturation} {
			if !(f >= .6 && f <= 1.4 || f == 0) {
				t.Fatalf("factor %v", f)
			}
		}
		if x.saturation == 0 {
			grey += 1. / n
		}
		if x.sigma != 0 {
			blur += 1. / n
			if !(x.sigma >= .1 && x.sigma <= 2) {
				t.Fatalf("blur σ %v", x.sigma)
			}
		}
		if x.solarise {
			solarise += 1. / n
		}
		if !(math.Abs(x.gain) <= 6) || !(x.noise >= 0 && x.noise <= .3) {
			t.Fatalf("gain %v, noise %v", x.gain, x.noise)
		}
	}
	if !(math.Abs(grey-.2) <= .02) || !(math.Abs(blur-.5) <= .02) ||
		!(math.Abs(solarise-.1) <= .02) {
		t.Errorf("shares: grey %.3f, blur %.3f, solarise %.3f", grey, blur, solarise)
	}
	c.Augment = Augment{}
	if x := c.Augment.draw(&c, r); x != plainAlteration() {
		t.Errorf("without options %+v is drawn", x)
	}
}
