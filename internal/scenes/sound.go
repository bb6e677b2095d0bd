package scenes

import (
	"fmt"
	"math"

	"avjepa/internal/rng"
)

// partial is one decaying sine of a strike.
type partial struct {
	ratio  float64 // frequency in pitches
	amp    float64
	decayS float64 // seconds to 1/e
}

const (
	strikeSeconds = 1.0
	gateRampS     = .012 // how long a gated sound takes to stop
	topHz         = 7600 // partials above are dropped
)

// Sound sets samples to the sound of the scene from its start, 16-bit mono at
// rateHz.
func (s Scene) Sound(rateHz int, samples []int16) {
	if rateHz < 8000 {
		panic(fmt.Sprintf("scenes: sound at %d Hz", rateHz))
	}
	mix := make([]float32, len(samples))
	s.hiss(rateHz, mix)
	strike := s.Strike(rateHz)
	_, impacts := s.Move(1, float64(len(samples))/float64(rateHz))
	for _, hit := range impacts {
		gain := float32(.25 * min(hit.Speed, 2))
		at := min(int(math.Round(hit.Time*float64(rateHz))), len(mix))
		for i, v := range strike[:min(len(strike), len(mix)-at)] {
			mix[at+i] += gain * v
		}
	}
	for i, v := range mix {
		samples[i] = int16(math.Round(32767 * float64(min(max(v, -1), 1))))
	}
}

// hiss adds the noise floor: white noise at a random level, or that of Daylight,
// with a random share of it led through a one-pole low-pass at 300 Hz.
func (s Scene) hiss(rateHz int, mix []float32) {
	r := rng.New(s.noise, "scenes.hiss")
	db := r.Uniform(-55, -38)
	if !math.IsNaN(s.Daylight) {
		db = -55 + 17*s.Daylight
	}
	level := math.Pow(10, db/20)
	dark := r.Float64()
	pole := math.Exp(-2 * math.Pi * 300 / float64(rateHz))
	// The low-pass has variance (1−pole)/(1+pole); scale it back to one.
	boost := math.Sqrt((1 + pole) / (1 - pole))
	norm := level / math.Sqrt((1-dark)*(1-dark)+dark*dark+
		2*dark*(1-dark)*boost*(1-pole))
	low := 0.0
	for i := range mix {
		white := r.NormFloat64()
		low = pole*low + (1-pole)*white
		mix[i] += float32(norm * ((1-dark)*white + dark*boost*low))
	}
}

// Strike returns the sound of one impact at rateHz, at most a second long, its
// largest sample ±1.
func (s Scene) Strike(rateHz int) []float32 {
	x := make([]float64, int(strikeSeconds*float64(rateHz)))
	v := voice{x: x, rateHz: float64(rateHz), pitch: s.PitchHz(), ring: s.ring(),
		noise: rng.New(s.noise, "scenes.strike")}
	v.play(s.Kind)
	peak := 0.0
	for _, a := range x {
		peak = max(peak, math.Abs(a))
	}
	// A short ramp ends what still rings after a second.
	ramp := rateHz / 50
	for i := range ramp {
		x[len(x)-1-i] *= float64(i) / float64(ramp)
	}
	out := make([]float32, len(x))
	for i, a := range x {
		out[i] = float32(a / peak)
	}
	return out
}

// ring is the factor on all decay times: 1, or .5 to 2 by polish.
func (s Scene) ring() float64 {
	if math.IsNaN(s.Polish) {
		return 1
	}
	return math.Pow(4, s.Polish-.5)
}

// voice plays one strike into x.
type voice struct {
	x             []float64
	rateHz, pitch float64
	ring          float64
	noise         *rng.Stream
}

func (v *voice) play(k Kind) {
	switch k {
	case Wood:
		v.partials(partial{1, 1, .07}, partial{2.57, .5, .04}, partial{4.95, .3, .03})
		v.click(.15, .008)
	case Bell:
		v.partials(partial{1, .7, .9}, partial{2, .5, .7}, partial{2.76, .6, .6},
			partial{5.4, .5, .4}, partial{8.93, .3, .25})
	case Glass:
		v.partials(partial{5.1, .8, .25}, partial{7.3, .6, .2}, partial{11.2, .4, .12})
	case Drum:
		v.glide(func(t float64) float64 { return .5 * (1 + .8*math.Exp(-t/.03)) })
		v.decay(.22)
	case Saw:
		for h := 1.0; h <= 12; h++ {
			v.partials(partial{h, 1 / h, math.Inf(1)})
		}
		v.gate(.22)
	case Snare:
		v.band(4, .35)
		v.decay(.12)
	case Chirp:
		v.glide(func(t float64) float64 { return 1 + 1.5*min(t/.18, 1) })
		v.gate(.2)
	case Reed:
		v.partials(partial{1, .8, .5}, partial{3, .4, .5}, partial{5, .3, .5},
			partial{7, .2, .5})
		for i := range v.x {
			t := float64(i) / v.rateHz
			v.x[i] *= .55 + .45*math.Sin(2*math.Pi*14*t)
		}
	}
}

// partials adds decaying sines: x_n = amp·Im z_n with z_{n+1} = z_n·q and
// |q| = e^(−1/(decay·rate)), one complex product a sample.
func (v *voice) partials(list ...partial) {
	for _, p := range list {
		hz := p.ratio * v.pitch
		if hz > topHz {
			continue
		}
		shrink := math.Exp(-1 / (p.decayS * v.ring * v.rateHz))
		sin, cos := math.Sincos(2 * math.Pi * hz / v.rateHz)
		re, im, qr, qi := p.amp, 0.0, shrink*cos, shrink*sin
		for i := range v.x {
			v.x[i] += im
			re, im = re*qr-im*qi, re*qi+im*qr
		}
	}
}

// glide adds a sine whose frequency is ratio(t) pitches.
func (v *voice) glide(ratio func(t float64) float64) {
	phase := 0.0
	for i := range v.x {
		v.x[i] += math.Sin(phase)
		phase += 2 * math.Pi * v.pitch * ratio(float64(i)/v.rateHz) / v.rateHz
	}
}

// click adds noise that dies within a few times seconds.
func (v *voice) click(amp, seconds float64) {
	for i := range min(len(v.x), int(10*seconds*v.rateHz)) {
		v.x[i] += amp * v.noise.NormFloat64() * math.Exp(-float64(i)/(seconds*v.rateHz))
	}
}

// decay multiplies by e^(−t/seconds).
func (v *voice) decay(seconds float64) {
	shrink := math.Exp(-1 / (seconds * v.ring * v.rateHz))
	gain := 1.0
	for i := range v.x {
		v.x[i] *= gain
		gain *= shrink
	}
}

// gate ends the sound after the given time.
func (v *voice) gate(seconds float64) {
	end := seconds * v.ring
	for i := range v.x {
		t := float64(i) / v.rateHz
		v.x[i] *= min(max((end-t)/gateRampS, 0), 1)
	}
}
