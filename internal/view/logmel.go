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

// floorDB is the level of silence: 10·log10(1e-10).
const floorDB = -100

// LogMel computes log-mel spectrograms: power of a short-time Fourier
// transform (periodic Hamming window, centred frames, reflect padding), HTK
// mel bands without area norm, 10·log10(max(x, 1e-10)). It is read-only after
// NewLogMel, so goroutines share it; each brings its own MelScratch.
//
// Source: torchaudio's MelSpectrogram and AmplitudeToDB with these settings.
type LogMel struct {
	cfg    MelConfig
	window []float64
	first  []int       // first non-zero frequency bin of a band
	weight [][]float64 // weights from there on; empty for a band between two bins
}

// MelScratch is the working memory of one goroutine.
type MelScratch struct {
	fft   *fourier.FFT
	frame []float64
	coeff []complex128
	power []float64
}

// NewLogMel returns the tables for cfg.
func NewLogMel(cfg MelConfig) (*LogMel, error) {
	if cfg.NFFT < 4 || cfg.NFFT%2 != 0 || cfg.Hop < 1 || cfg.Bands < 1 || cfg.SampleRateHz < 1 ||
		!(cfg.FMax > 0 && cfg.FMax <= float64(cfg.SampleRateHz)/2) {
		return nil, fmt.Errorf("view: log-mel %+v: need an even nfft ≥ 4, hop and bands ≥ 1, "+
			"0 < fmax ≤ half the sample rate", cfg)
	}
	l := &LogMel{cfg: cfg, window: make([]float64, cfg.NFFT)}
	for i := range l.window {
		l.window[i] = .54 - .46*math.Cos(2*math.Pi*float64(i)/float64(cfg.NFFT))
	}
	l.filters()
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
		first, weights := 0, []float64(nil)
		for k := range bins {
			f := float64(l.cfg.SampleRateHz) / 2 * float64(k) / float64(bins-1)
			w := min((f-lo)/(mid-lo), (hi-f)/(hi-mid))
			if w <= 0 {
				continue
			}
			if weights == nil {
				first = k
			}
			weights = append(weights, w)
		}
		l.first = append(l.first, first)
		l.weight = append(l.weight, weights)
	}
}

// NewScratch returns working memory for one goroutine.
func (l *LogMel) NewScratch() *MelScratch {
	n := l.cfg.NFFT
	return &MelScratch{fft: fourier.NewFFT(n), frame: make([]float64, n),
		coeff: make([]complex128, n/2+1), power: make([]float64, n/2+1)}
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
	for f := range frames {
		loadFrame(l, s, x, len(x), f, 1)
		l.frame(dst[f:], frames, s)
	}
}

// loadFrame sets s.frame to the samples of frame f times scale. The signal is x
// followed by silence up to n samples, reflected at both ends.
func loadFrame[T int16 | float32](l *LogMel, s *MelScratch, x []T, n, f int, scale float64) {
	lo := f*l.cfg.Hop - l.cfg.NFFT/2
	if lo >= 0 && lo+l.cfg.NFFT <= len(x) {
		for i, v := range x[lo : lo+l.cfg.NFFT] {
			s.frame[i] = float64(v) * scale
		}
		return
	}
	for i := range s.frame {
		j := mirrored(lo+i, n)
		if j < len(x) {
			s.frame[i] = float64(x[j]) * scale
		} else {
			s.frame[i] = 0
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

// frame sets dst[b·stride] for every band b to the level of s.frame in dB.
func (l *LogMel) frame(dst []float32, stride int, s *MelScratch) {
	for i, w := range l.window {
		s.frame[i] *= w
	}
	s.fft.Coefficients(s.coeff, s.frame)
	for k, c := range s.coeff {
		s.power[k] = real(c)*real(c) + imag(c)*imag(c)
	}
	for b, weights := range l.weight {
		sum := 0.
		power := s.power[l.first[b]:]
		for k, w := range weights {
			sum += w * power[k]
		}
		db := float32(floorDB)
		if sum > 1e-10 || sum != sum {
			db = float32(10 * math.Log10(sum))
		}
		dst[b*stride] = db
	}
}
