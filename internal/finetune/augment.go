package finetune

import (
	"math"

	"avjepa/internal/rng"
	"avjepa/internal/view"
)

// Augment alters the views of a batch, after they were made; the zero value does not.
type Augment struct {
	Mixup      float64 // probability that a clip is mixed with another of the batch
	MixupAlpha float64 // the share of the clip is drawn from Beta(α, α)

	FreqBands  int // up to this many neighbouring mel bands are hidden: 0 after normalisation
	TimeFrames int // up to this many neighbouring mel frames, likewise
}

// none reports whether nothing is altered.
func (a Augment) none() bool { return a.Mixup == 0 && a.FreqBands == 0 && a.TimeFrames == 0 }

// mixer has the memory to alter batches of one size.
type mixer struct {
	Augment
	view   view.Config
	seed   uint64
	video  []byte    // one clip's, as they were
	audio  []float32 // likewise
	target []float32
}

// alter alters a batch in place; its choices follow from seed and step alone.
//
//	targets  (B, C)
//
// Every clip that is mixed takes another one as its partner, which is as it was made:
// pictures are averaged pixel by pixel, rounded to 8 bits, powers of the log-mel as
// waveforms with shares λ and 1−λ have them on average, and targets. Then bands and
// frames of the log-mel are hidden.
//
// Source: mixup as in AudioSet recipes (Gong et al. 2021, arXiv:2104.01778), SpecAugment
// (arXiv:1904.08779). Differs: the partner is of the same batch, and spectra are mixed
// where those recipes mix waveforms.
func (m *mixer) alter(b *view.Batch, targets []float32, step int) {
	r := rng.New(m.seed, "finetune", step)
	if m.Mixup > 0 && b.Size > 1 {
		m.mix(b, targets, r)
	}
	if m.FreqBands == 0 && m.TimeFrames == 0 {
		return
	}
	frames := m.view.MelFrames()
	for i := range b.Size {
		mel := share(b.GlobalAudio, i, i+1, b.Size)
		if len(mel) == 0 {
			return
		}
		lo, hi := drawSpan(r, m.FreqBands, m.view.Bands)
		clear(mel[lo*frames : hi*frames])
		lo, hi = drawSpan(r, m.TimeFrames, frames)
		for band := range m.view.Bands {
			clear(mel[band*frames+lo : band*frames+hi])
		}
	}
}

// drawSpan returns bounds lo…hi−1 of up to most of 0…n−1.
func drawSpan(r *rng.Stream, most, n int) (lo, hi int) {
	length := r.IntN(min(most, n) + 1)
	lo = r.IntN(n - length + 1)
	return lo, lo + length
}

// mix mixes clips along one cycle through all of them: each with the one behind it,
// which is still as it was, and the last with the copy of the first.
func (m *mixer) mix(b *view.Batch, targets []float32, r *rng.Stream) {
	cycle := r.Perm(b.Size)
	first := cycle[0]
	m.video = append(m.video[:0], share(b.GlobalVideo, first, first+1, b.Size)...)
	m.audio = append(m.audio[:0], share(b.GlobalAudio, first, first+1, b.Size)...)
	m.target = append(m.target[:0], share(targets, first, first+1, b.Size)...)
	for k, i := range cycle {
		mixed, lambda := r.Float64() < m.Mixup, beta(r, m.MixupAlpha)
		if !mixed {
			continue
		}
		video, audio, target := m.video, m.audio, m.target
		if k+1 < len(cycle) {
			j := cycle[k+1]
			video = share(b.GlobalVideo, j, j+1, b.Size)
			audio = share(b.GlobalAudio, j, j+1, b.Size)
			target = share(targets, j, j+1, b.Size)
		}
		mixPixels(share(b.GlobalVideo, i, i+1, b.Size), video, lambda)
		mixPower(share(b.GlobalAudio, i, i+1, b.Size), audio, lambda, &m.view)
		own := share(targets, i, i+1, b.Size)
		for c := range own {
			own[c] = float32(lambda*float64(own[c]) + (1-lambda)*float64(target[c]))
		}
	}
}

// mixPixels sets x to λx + (1−λ)y.
func mixPixels(x, y []byte, lambda float64) {
	a := int(math.Round(lambda * 256))
	for i, v := range y {
		x[i] = byte((a*int(x[i]) + (256-a)*int(v) + 128) >> 8)
	}
}

// mixPower sets the normalised log-mel x to that of a sound with λ² of its power and
// (1−λ)² of that of y.
func mixPower(x, y []float32, lambda float64, c *view.Config) {
	const least = 1e-10 // what the log-mel takes for silence
	a, b := lambda*lambda, (1-lambda)*(1-lambda)
	power := func(v float32) float64 { return math.Pow(10, (float64(v)*c.MelStd+c.MelMean)/10) }
	for i, v := range y {
		db := 10 * math.Log10(max(a*power(x[i])+b*power(v), least))
		x[i] = float32((db - c.MelMean) / c.MelStd)
	}
}

// beta draws from Beta(α, α), as the share of one of two gamma variates.
func beta(r *rng.Stream, alpha float64) float64 {
	x, y := gamma(r, alpha), gamma(r, alpha)
	if x+y == 0 {
		return .5
	}
	return x / (x + y)
}

// gamma draws from Gamma(α, 1).
//
// Source: Marsaglia & Tsang 2000, "A simple method for generating gamma variables".
func gamma(r *rng.Stream, alpha float64) float64 {
	if alpha < 1 {
		return gamma(r, alpha+1) * math.Pow(r.Float64(), 1/alpha)
	}
	d := alpha - 1./3
	c := 1 / math.Sqrt(9*d)
	for {
		x := r.NormFloat64()
		v := 1 + c*x
		if v <= 0 {
			continue
		}
		v = v * v * v
		if math.Log(1-r.Float64()) < x*x/2+d-d*v+d*math.Log(v) {
			return d * v
		}
	}
}
