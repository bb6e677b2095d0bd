package scenes

import (
	"math"

	"gonum.org/v1/gonum/dsp/fourier"
)

// band adds noise with a log-normal spectrum: amplitude
// exp(−½ (ln(f/(ratio·pitch))/width)²), drawn bin by bin.
func (v *voice) band(ratio, width float64) {
	n := len(v.x)
	fft := fourier.NewFFT(n)
	bins := make([]complex128, n/2+1)
	for b := 1; b < n/2; b++ {
		hz := float64(b) * v.rateHz / float64(n)
		z := math.Log(hz/(ratio*v.pitch)) / width
		if math.Abs(z) > 4 {
			continue
		}
		amp := math.Exp(-z * z / 2)
		bins[b] = complex(amp*v.noise.NormFloat64(), amp*v.noise.NormFloat64())
	}
	for i, a := range fft.Sequence(nil, bins) {
		v.x[i] += a
	}
}
