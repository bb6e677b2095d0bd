package view

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/dsp/fourier"
)

// MelConfig is the geometry of a log-mel spectrogram.
type MelConfig struct {
	SampleRateHz int
	NFFT         int // samples of a Hann-shaped analysis window; even
	Hop          int // samples between frames
	Bands        int
	FMax         float64 // Hz, the upper end of the last band
}

// Band returns the place of a frequency among the bands: 0 in the middle of the first,
// Bands−1 in that of the last, fractions between; outside that for frequencies beyond.
func (c MelConfig) Band(hz float64) float64 {
	return math.Log10(1+hz/700)/math.Log10(1+c.FMax/700)*float64(c.Bands+1) - 1
}

// floorDB is the level of silence: 10·log10(1e-10).
const floorDB = -100

// LogMel computes log-mel spectrograms: power of a short-time Fourier
// transform (periodic Hamming window, centred frames, reflect padding), HTK
// mel bands without area norm, 10·log10(max(x, 1e-10)). It is read-only after
// NewLogMel, so goroutines share it; each brings its own MelScratch. For a
// transform whose length has no factors but 2 and 5, as 400 samples have, the
// values are the same bit for bit on every machine.
//
// Source: torchaudio's MelSpectrogram and AmplitudeToDB with these settings.
type LogMel struct {
	cfg    MelConfig
	window []float64
	// pcm is window with the scale of 16-bit samples.
	pcm     []float64
	first   []int32     // first non-zero frequency bin of a band
	weight  [][]float64 // weights from there on; empty for a band between two bins
	counts  []int32     // of weights
	quarter []float64   // all weights, a quarter each: powerGo gives four times the power
	fft     fft         // of half the length; without passes where gonum does it
	split   []float64   // of powerGo
}

// MelScratch is the working memory of one goroutine.
type MelScratch struct {
	x, y  []float64 // (NFFT, lanes)
	power []float64 // (NFFT/2 + 1, lanes), four times
	db    []float32 // (Bands, lanes)
	fft   *fourier.FFT
	frame []float64
	coeff []complex128
}

// NewLogMel returns the tables for cfg.
func NewLogMel(cfg MelConfig) (*LogMel, error) {
	if cfg.NFFT < 4 || cfg.NFFT%2 != 0 || cfg.Hop < 1 || cfg.Bands < 1 || cfg.SampleRateHz < 1 ||
		!(cfg.FMax > 0 && cfg.FMax <= float64(cfg.SampleRateHz)/2) {
		return nil, fmt.Errorf("view: log-mel %+v: need an even nfft ≥ 4, hop and bands ≥ 1, "+
			"0 < fmax ≤ half the sample rate", cfg)
	}
	l := &LogMel{cfg: cfg}
	for i := range cfg.NFFT {
		w := steady(.54 - .46*math.Cos(2*math.Pi*float64(i)/float64(cfg.NFFT)))
		l.window, l.pcm = append(l.window, w), append(l.pcm, w/32768)
	}
	l.filters()
	for _, weights := range l.weight {
		l.counts = append(l.counts, int32(len(weights)))
		for _, w := range weights {
			l.quarter = append(l.quarter, w/4)
		}
	}
	n := cfg.NFFT / 2
	l.fft, _ = newFFT(n)
	for k := 1; 2*k <= n; k++ {
		sin, cos := math.Sincos(-math.Pi * float64(k) / float64(n))
		l.split = append(l.split, steady(cos), steady(sin))
	}
	return l, nil
}

// filters sets the triangular bands: corner points are even on the HTK mel
// scale 2595·log10(1 + f/700), slopes are linear in Hz.
func (l *LogMel) filters() {
	bins := l.cfg.NFFT/2 + 1
	top := 2595 * math.Log10(1+l.cfg.FMax/700)
	corner := make([]float64, l.cfg.Bands+2)
	for i := range corner {
		mel := top * float64(i) / float64(l.cfg.Bands+1)
		corner[i] = 700 * (math.Pow(10, mel/2595) - 1)
	}
	for b := range l.cfg.Bands {
		lo, mid, hi := corner[b], corner[b+1], corner[b+2]
		first, weights := int32(0), []float64(nil)
		for k := range bins {
			f := float64(l.cfg.SampleRateHz) / 2 * float64(k) / float64(bins-1)
			w := min((f-lo)/(mid-lo), (hi-f)/(hi-mid))
			if w <= 0 {
				continue
			}
			if weights == nil {
				first = int32(k)
			}
			weights = append(weights, steady(w))
		}
		l.first = append(l.first, first)
		l.weight = append(l.weight, weights)
	}
}

// NewScratch returns working memory for one goroutine.
func (l *LogMel) NewScratch() *MelScratch {
	n := l.cfg.NFFT
	s := &MelScratch{x: make([]float64, lanes*n), y: make([]float64, lanes*n),
		power: make([]float64, lanes*(n/2+1)), db: make([]float32, lanes*l.cfg.Bands)}
	if l.fft.passes == nil {
		s.fft, s.frame, s.coeff = fourier.NewFFT(n), make([]float64, n), make([]complex128, n/2+1)
	}
	return s
}

// Frames returns the number of frames of n samples: n ÷ hop + 1.
func (l *LogMel) Frames(n int) int { return n/l.cfg.Hop + 1 }

// Compute sets dst (Bands, Frames(len(x))) to the log-mel of x in dB; samples
// are on [−1, 1].
func (l *LogMel) Compute(dst []float32, x []float32, s *MelScratch) {
	frames := l.Frames(len(x))
	if len(dst) != l.cfg.Bands*frames || len(x) == 0 {
		panic(fmt.Sprintf("view: log-mel of %d samples into %d values, want %d",
			len(x), len(dst), l.cfg.Bands*frames))
	}
	for f := 0; f < frames; f += lanes {
		for i := range lanes {
			loadFrame(l, s, i, x, len(x), min(f+i, frames-1), l.window)
		}
		l.levels(dst, frames, f, min(f+lanes, frames), s)
	}
}

// span sets columns lo … hi−1 of dst (Bands, stride) to the levels of those
// frames in dB. The signal is pcm followed by silence up to n samples.
func (l *LogMel) span(dst []float32, stride int, pcm []int16, n, lo, hi int, s *MelScratch) {
	for f := lo; f < hi; f += lanes {
		at := f*l.cfg.Hop - l.cfg.NFFT/2
		if f+lanes > hi || at < 0 || at+(lanes-1)*l.cfg.Hop+l.cfg.NFFT > len(pcm) ||
			!l.loadVectors(s.x, pcm[at:]) {
			for i := range lanes {
				loadFrame(l, s, i, pcm, n, min(f+i, hi-1), l.pcm)
			}
		}
		l.levels(dst, stride, f, min(f+lanes, hi), s)
	}
}

// loadFrame sets lane i of s.x to the samples of frame f times window. The signal
// is x followed by silence up to n samples, reflected at both ends.
func loadFrame[T int16 | float32](l *LogMel, s *MelScratch, i int, x []T, n, f int,
	window []float64) {
	lo := f*l.cfg.Hop - l.cfg.NFFT/2
	if lo >= 0 && lo+l.cfg.NFFT <= len(x) {
		for j, v := range x[lo : lo+l.cfg.NFFT] {
			s.x[lanes*j+i] = float64(v) * window[j]
		}
		return
	}
	for j, w := range window {
		if at := mirrored(lo+j, n); at < len(x) {
			s.x[lanes*j+i] = float64(x[at]) * w
		} else {
			s.x[lanes*j+i] = 0
		}
	}
}

// mirrored maps an index outside [0, n) back inside, mirrored at the first and
// the last element, which are not repeated.
func mirrored(i, n int) int {
	if n == 1 {
		return 0
	}
	for i < 0 || i >= n {
		if i < 0 {
			i = -i
		} else {
			i = 2*(n-1) - i
		}
	}
	return i
}

// levels sets columns lo … hi−1, at most lanes, of dst (Bands, stride) to the
// levels in dB of the frames in s.x.
func (l *LogMel) levels(dst []float32, stride, lo, hi int, s *MelScratch) {
	if l.fft.passes == nil {
		l.powerByGonum(s)
	} else {
		power(s.power, l.fft.run(s.x, s.y), l.split, l.cfg.NFFT/2)
	}
	if hi-lo == lanes {
		l.bands(dst[lo:], stride, s.power)
		return
	}
	l.bands(s.db, lanes, s.power)
	for b := range l.cfg.Bands {
		copy(dst[b*stride+lo:b*stride+hi], s.db[lanes*b:])
	}
}

// powerByGonum sets s.power by a transform of any length.
func (l *LogMel) powerByGonum(s *MelScratch) {
	for i := range lanes {
		for j := range s.frame {
			s.frame[j] = s.x[lanes*j+i]
		}
		s.fft.Coefficients(s.coeff, s.frame)
		for k, c := range s.coeff {
			s.power[lanes*k+i] = 4 * (real(c)*real(c) + imag(c)*imag(c))
		}
	}
}

// bandsGo sets dst[b·stride+i] for every band b and lane i to the level in dB.
func (l *LogMel) bandsGo(dst []float32, stride int, power []float64) {
	weights := l.quarter
	for b, n := range l.counts {
		at := power[lanes*l.first[b]:]
		for i := range lanes {
			sum := 0.
			for k, w := range weights[:n] {
				sum += float64(w * at[lanes*k+i])
			}
			dst[b*stride+i] = level(sum)
		}
		weights = weights[n:]
	}
}

// Constants of level: x = 2ᵉ·m with m from root = √½ on, and
// 10·log10 x = e·octave + Σ series[i]·s^(2i+1), s = (m − 1)/(m + 1).
const (
	rootBits  = 0x3FE6A09E00000000
	octave    = 3.01029995663981195214 // 10·log10 2
	series0   = 8.68588963806503655302 // 20/ln 10
	tenBillth = 1e-10                  // what floorDB is
)

// level returns 10·log10(max(x, 1e-10)), NaN for NaN and infinity, to 1e-9.
func level(x float64) float32 {
	if x < tenBillth {
		x = tenBillth
	}
	bits := math.Float64bits(x)
	e := bits - rootBits + 1024<<52 // its upper 12 bits: the exponent + 1024
	m := math.Float64frombits(bits - e&(0xFFF<<52) + 1024<<52)
	s := (m - 1) / (m + 1)
	z := float64(s * s)
	sum := float64(z*(series0/11)) + series0/9
	sum = float64(z*sum) + series0/7
	sum = float64(z*sum) + series0/5
	sum = float64(z*sum) + series0/3
	sum = float64(z*sum) + series0
	exponent := math.Float64frombits(e>>52|0x433<<52) - (1<<52 + 1024)
	return float32(float64(exponent*octave) + float64(s*sum) + (x - x))
}
