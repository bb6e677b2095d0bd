package scenes

import (
	"math"
	"math/cmplx"
	"testing"

	"gonum.org/v1/gonum/dsp/fourier"
)

const testRateHz = 16000

// spectrum returns the magnitudes of x under a Hann window, bin b at b/len Hz.
func spectrum(x []float64) []float64 {
	n := len(x)
	w := make([]float64, n)
	for i, v := range x {
		w[i] = v * (.5 - .5*math.Cos(2*math.Pi*float64(i)/float64(n)))
	}
	bins := fourier.NewFFT(n).Coefficients(nil, w)
	mag := make([]float64, len(bins))
	for b, v := range bins {
		mag[b] = cmplx.Abs(v)
	}
	return mag
}

// peakHz returns the strongest frequency between lo and hi.
func peakHz(x []float64, rateHz, lo, hi float64) float64 {
	mag := spectrum(x)
	perBin := rateHz / float64(len(x))
	best := int(lo / perBin)
	for b := best; b <= int(hi/perBin); b++ {
		if mag[b] > mag[best] {
			best = b
		}
	}
	// Parabola through the logarithms of three bins.
	l, c, r := math.Log(mag[best-1]), math.Log(mag[best]), math.Log(mag[best+1])
	return (float64(best) + (l-r)/(2*(l-2*c+r))) * perBin
}

func toFloat[T int16 | float32](x []T) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v)
	}
	return out
}

// lowest is the ratio of the partial that pitch tests look for: the lowest of
// a kind. Chirp glides; it is measured after its glide.
var lowest = [kinds]float64{Wood: 1, Bell: 1, Glass: 5.1, Drum: .5, Saw: 1, Chirp: 2.5, Reed: 1}

// pitchOf measures the pitch in a strike (Snare has none).
func pitchOf(k Kind, x []float64, rateHz, want float64) float64 {
	from, to := .05, .19
	if k == Chirp {
		from, to = .16, .2
	}
	if k == Drum { // after its glide
		from, to = .15, .4
	}
	x = x[int(from*rateHz):int(to*rateHz)]
	x = append(append([]float64(nil), x...), make([]float64, 3*len(x))...)
	hz := lowest[k] * want
	return peakHz(x, rateHz, .8*hz, 1.25*hz) / lowest[k]
}

func TestStrikeHasItsPitch(t *testing.T) {
	for i := range 64 {
		s := NewScene(4, i, Cues{})
		if s.Kind == Snare {
			continue
		}
		x := s.Strike(testRateHz)
		got := pitchOf(s.Kind, toFloat(x), testRateHz, s.PitchHz())
		tol := .01
		if s.Kind == Chirp {
			tol = .05
		}
		if !(math.Abs(got/s.PitchHz()-1) < tol) {
			t.Errorf("%s: pitch %.1f Hz, want %.1f", s.Kind, got, s.PitchHz())
		}
	}
}

// The noise of a snare lies around four pitches.
func TestSnareBand(t *testing.T) {
	for i := range 32 {
		s := NewScene(4, i, Cues{})
		if s.Kind != Snare {
			continue
		}
		x := toFloat(s.Strike(testRateHz))
		mag := spectrum(append(x[:8000:8000], make([]float64, 8000)...))
		var sum, weight float64
		for b := 1; b < len(mag); b++ {
			sum += mag[b] * mag[b] * math.Log(float64(b))
			weight += mag[b] * mag[b]
		}
		if got := math.Exp(sum / weight); !(math.Abs(got/(4*s.PitchHz())-1) < .2) {
			t.Errorf("band around %.0f Hz, want %.0f", got, 4*s.PitchHz())
		}
	}
}

func TestStrikePeakAndEnd(t *testing.T) {
	for i := range 16 {
		s := NewScene(4, i, Cues{Polish: true})
		x := s.Strike(testRateHz)
		peak := 0.0
		for _, v := range x {
			peak = max(peak, math.Abs(float64(v)))
		}
		if len(x) != testRateHz || peak != 1 || x[len(x)-1] != 0 {
			t.Errorf("%s: %d samples, peak %g, last %g", s.Kind, len(x), peak, x[len(x)-1])
		}
	}
}

// power returns the mean square of x.
func power(x []int16) (p float64) {
	for _, v := range x {
		p += float64(v) * float64(v) / float64(len(x))
	}
	return p
}

// Sound rises at the impacts, not before, and a faster impact is louder.
func TestImpactsSound(t *testing.T) {
	checked := 0
	for i := range 64 {
		s := NewScene(8, i, Cues{})
		if s.Kind == Bell || s.Kind == Reed || s.Kind == Glass {
			continue // these still ring from the impact before
		}
		samples := make([]int16, 51200)
		s.Sound(testRateHz, samples)
		_, impacts := s.Move(1, 3.2)
		last := -9.0
		for n, hit := range impacts {
			if n+1 < len(impacts) && impacts[n+1].Time < hit.Time+.04 {
				last = hit.Time
				continue
			}
			at := int(math.Round(hit.Time * testRateHz))
			if hit.Time-last > .7 && at > 480 && at+480 < len(samples) && hit.Speed > .4 {
				before, after := power(samples[at-320:at]), power(samples[at:at+320])
				if !(after > 10*before) {
					t.Errorf("scene %d (%s): power %.0f before and %.0f after %.3f s",
						i, s.Kind, before, after, hit.Time)
				}
				peak := 0
				for _, v := range samples[at : at+480] {
					peak = max(peak, int(v), -int(v))
				}
				want := .25 * min(hit.Speed, 2) * 32767
				if !(float64(peak) > .55*want && float64(peak) < 1.2*want+1000) {
					t.Errorf("scene %d (%s): peak %d, want about %.0f", i, s.Kind, peak, want)
				}
				checked++
			}
			last = hit.Time
		}
	}
	if checked < 20 {
		t.Errorf("only %d impacts stand alone", checked)
	}
}

func TestSoundIsDeterministic(t *testing.T) {
	s := NewScene(8, 5, Cues{Polish: true})
	a, b := make([]int16, 20000), make([]int16, 20000)
	s.Sound(testRateHz, a)
	s.Sound(testRateHz, b)
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("sample %d: %d, then %d", i, a[i], b[i])
		}
	}
}

// The noise floor has the level that was drawn, whatever its colour.
func TestHissLevel(t *testing.T) {
	for i := range 16 {
		s := NewScene(8, i, Cues{})
		x := make([]float32, 64000)
		s.hiss(testRateHz, x)
		p := 0.0
		for _, v := range x {
			p += float64(v) * float64(v) / float64(len(x))
		}
		if db := 10 * math.Log10(p); !(db > -56 && db < -37) {
			t.Errorf("scene %d: hiss at %.1f dB, want -55 to -38", i, db)
		}
	}
}

// features describes a strike apart from its pitch: energy in bands that are
// relative to the pitch, and in time.
func features(s Scene) []float64 {
	x := toFloat(s.Strike(testRateHz))
	mag := spectrum(x)
	f := make([]float64, 24)
	for b := 1; b < len(mag); b++ {
		octave := math.Log2(float64(b) / s.PitchHz()) // one bin is one hertz
		if i := int(math.Floor((octave + 2) * 2)); i >= 0 && i < 14 {
			f[i] += mag[b] * mag[b]
		}
	}
	for i, v := range x {
		f[14+min(i/1000, 9)] += v * v
	}
	for i, v := range f {
		f[i] = math.Log10(v + 1e-3)
	}
	return f
}

// Kinds are told apart by a nearest centroid on their strikes.
func TestKindsSoundDifferent(t *testing.T) {
	var centre [kinds][24]float64
	for i := range 128 {
		s := NewScene(21, i, Cues{Polish: true})
		for j, v := range features(s) {
			centre[s.Kind][j] += v / 16
		}
	}
	right := 0
	for i := range 64 {
		s := NewScene(22, i, Cues{Polish: true})
		f := features(s)
		best, bestDist := Kind(0), math.Inf(1)
		for k := range centre {
			dist := 0.0
			for j, v := range f {
				dist += (v - centre[k][j]) * (v - centre[k][j])
			}
			if dist < bestDist {
				best, bestDist = Kind(k), dist
			}
		}
		if best == s.Kind {
			right++
		}
	}
	if right < 60 {
		t.Errorf("%d of 64 strikes recognised, want at least 60", right)
	}
}

// Polish is heard: the sound lasts longer, by the factor that ring says.
func TestPolishIsHeard(t *testing.T) {
	for i := range 8 {
		s := NewScene(4, i, Cues{Polish: true})
		mean := func(polish float64) float64 {
			s.Polish = polish
			var sum, weight float64
			for i, v := range s.Strike(testRateHz) {
				sum += float64(i) * float64(v) * float64(v)
				weight += float64(v) * float64(v)
			}
			return sum / weight
		}
		if ratio := mean(1) / mean(0); !(ratio > 1.5 && ratio < 5) {
			t.Errorf("%s: polished lasts %.2f times as long as rough, want about 4", s.Kind, ratio)
		}
	}
}

func BenchmarkSound(b *testing.B) {
	samples := make([]int16, 51200)
	for i := range b.N {
		NewScene(1, i, Cues{Polish: true}).Sound(16000, samples)
	}
}
