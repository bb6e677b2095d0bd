package view

import (
	"math"

	"avjepa/internal/rng"
)

// Augment holds options that alter what all training views show; the zero
// value alters nothing. Every choice is the same for all frames of a view.
type Augment struct {
	// Jitter is the strength of the colour jitter: brightness, contrast and
	// saturation are each multiplied by a factor uniform on 1 ± Jitter.
	Jitter   float64
	Grey     float64 // probability that colours are removed
	Blur     float64 // probability of a Gaussian blur, σ uniform on .1 to 2 of 224 pixels
	Solarise float64 // probability that bytes from 128 on are inverted
	GainDB   float64 // the log-mel is shifted by an amount uniform on ±GainDB
	// Noise is the most that is added to the normalised log-mel: each value gets
	// a number uniform on 0 to a, and a is uniform on 0 to Noise.
	Noise float64
}

func (a Augment) validate(bad func(bool, string, ...any), in func(x, lo, hi float64) bool) {
	bad(in(a.Jitter, 0, 1), "jitter %v is outside 0 to 1", a.Jitter)
	bad(in(a.Grey, 0, 1), "grey probability %v is outside 0 to 1", a.Grey)
	bad(in(a.Blur, 0, 1), "blur probability %v is outside 0 to 1", a.Blur)
	bad(in(a.Solarise, 0, 1), "solarise probability %v is outside 0 to 1", a.Solarise)
	bad(in(a.GainDB, 0, 100), "gain %v dB is outside 0 to 100", a.GainDB)
	bad(in(a.Noise, 0, 100), "noise %v is outside 0 to 100", a.Noise)
}

// alteration holds the drawn choices of one view.
type alteration struct {
	colour                           bool
	brightness, contrast, saturation float32
	sigma                            float64 // of the blur, in pixels; 0 is none
	solarise                         bool
	gain                             float64 // dB
	noise                            float64
	noiseKey                         rng.Key
}

func (a *Augment) draw(c *Config, r *rng.Stream) alteration {
	x := alteration{brightness: 1, contrast: 1, saturation: 1}
	if a.Jitter > 0 {
		x.colour = true
		for _, f := range []*float32{&x.brightness, &x.contrast, &x.saturation} {
			*f = float32(r.Uniform(1-a.Jitter, 1+a.Jitter))
		}
	}
	if a.Grey > 0 && r.Float64() < a.Grey {
		x.colour, x.saturation = true, 0
	}
	if a.Blur > 0 && r.Float64() < a.Blur {
		x.sigma = r.Uniform(.1, 2) * float64(c.Side) / 224
	}
	x.solarise = a.Solarise > 0 && r.Float64() < a.Solarise
	if a.GainDB > 0 {
		x.gain = r.Uniform(-a.GainDB, a.GainDB)
	}
	if a.Noise > 0 {
		x.noise, x.noiseKey = r.Uniform(0, a.Noise), rng.Key(r.Uint64())
	}
	return x
}

// video alters frames (T, S, S, 3) in place.
func (x *alteration) video(frames []byte, c *Config, s *scratch) {
	if x.colour {
		x.recolour(frames)
	}
	if x.sigma > 0 {
		s.blur.x.gaussian(c.Side, x.sigma)
		s.blur.y.gaussian(c.Side, x.sigma)
		s.rgb = grow(s.rgb, c.Side*c.Side*3)
		for i := range c.Frames {
			frame := part(frames, i, len(s.rgb))
			copy(s.rgb, frame)
			s.blur.run(frame, s.rgb, 0, 3*c.Side)
		}
	}
	if x.solarise {
		for i, v := range frames {
			if v >= 128 {
				frames[i] = 255 - v
			}
		}
	}
}

// luma is the brightness of a pixel as JPEG weighs its channels.
func luma(r, g, b float32) float32 { return .299*r + .587*g + .114*b }

// recolour multiplies brightness, then contrast about the mean luma of all
// frames, then saturation about the luma of the pixel.
func (x *alteration) recolour(frames []byte) {
	var sum [3]uint64
	for i := 0; i < len(frames); i += 3 {
		for c := range 3 {
			sum[c] += uint64(frames[i+c])
		}
	}
	n := float32(len(frames) / 3)
	mean := x.brightness * luma(float32(sum[0])/n, float32(sum[1])/n, float32(sum[2])/n)
	var table [256]float32
	for v := range table {
		y := float32(v) * x.brightness
		table[v] = min(max((y-mean)*x.contrast+mean, 0), 255)
	}
	for i := 0; i < len(frames); i += 3 {
		p := frames[i : i+3 : i+3]
		r, g, b := table[p[0]], table[p[1]], table[p[2]]
		grey := luma(r, g, b)
		p[0] = byte(min(max(grey+(r-grey)*x.saturation, 0), 255) + .5)
		p[1] = byte(min(max(grey+(g-grey)*x.saturation, 0), 255) + .5)
		p[2] = byte(min(max(grey+(b-grey)*x.saturation, 0), 255) + .5)
	}
}

// audio alters a normalised log-mel (F, MelFrames) in place; the gain goes no
// lower than silence.
func (x *alteration) audio(mel []float32, c *Config) {
	if x.gain != 0 {
		shift := float32(x.gain / c.MelStd)
		floor := float32((floorDB - c.MelMean) / c.MelStd)
		for i, v := range mel {
			mel[i] = max(v+shift, floor)
		}
	}
	if x.noise > 0 {
		k0, k1 := x.noiseKey.Row(0)
		scale := float32(math.Ldexp(x.noise, -32))
		for i := range mel {
			mel[i] += float32(rng.RowBits(k0, k1, uint32(i))) * scale
		}
	}
}

// gaussian sets the weights of a blur of n pixels with standard deviation
// sigma, cut off at 3·sigma; at the borders the rest is scaled to sum 1.
func (a *axis) gaussian(n int, sigma float64) {
	reach := int(math.Ceil(3 * sigma))
	a.reset(n, n, 2*reach+1)
	for i := range n {
		a.set(i, max(i-reach, 0), min(i+reach+1, n), func(x int) float64 {
			return math.Exp(-float64((x-i)*(x-i)) / (2 * sigma * sigma))
		})
	}
}
