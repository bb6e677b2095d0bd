package neardup

import (
	"cmp"
	"math"
	"slices"
)

// The spectrogram that landmarks are found in.
const (
	leastRate  = 8000 // Hz; sound of twice that rate or more is thinned to it
	windowSize = 512  // samples
	hopSize    = 64   // samples: fine, so that a shift hardly moves a peak
	bands      = 48
	lowestHz   = 120
	floorDB    = -70 // below it nothing is heard

	reachBands  = 3  // a peak tops all within so many bands
	reachFrames = 16 // and so many frames
	peakRange   = 50 // dB below the loudest: weaker ones are noise
	peaksPerSec = 12 // the strongest

	fan       = 4  // later peaks that a peak is joined with
	dtUnit    = 6  // frames, 48 ms at 8 kHz
	dtLargest = 31 // units: a landmark spans 1.5 s from peak to peak at most

	timeUnit = 8   // frames, 64 ms at 8 kHz
	timeMask = 255 // the low bits of a landmark are its time, round after 16 s
)

// A landmark is three peaks of a spectrogram: their bands and the times between them.
// It is the same wherever in a clip they lie and however loud they are, and survives an
// encoder that changes everything around it. With it goes the time of the first peak:
// what two clips of one recording share is shifted by one and the same time.
//
// Source: Wang 2003, "An industrial-strength audio search algorithm". Differs: three
// peaks, as pairs are too many alike among millions of clips.

// peak is a local maximum of a spectrogram.
type peak struct {
	frame, band int
	level       float32
}

// ear finds the landmarks of sounds of one sample rate. One goroutine uses it.
type ear struct {
	rate   int // Hz, of the thinned sound
	thin   int // samples that are averaged to one
	fft    *transform
	window []float64

	thinned []float64
	bandOf  []int // of every frequency bin, −1 for none
	levels  []float32
}

func newEar(rate int) *ear {
	thin := max(1, rate/leastRate)
	e := &ear{rate: rate / thin, thin: thin, fft: newTransform(),
		window: make([]float64, windowSize), bandOf: make([]int, windowSize/2+1)}
	for i := range e.window {
		e.window[i] = .5 - .5*math.Cos(2*math.Pi*float64(i)/windowSize)
	}
	top := float64(e.rate) / 2
	for k := range e.bandOf {
		hz := top * float64(k) / float64(windowSize/2)
		e.bandOf[k] = -1
		if hz >= lowestHz {
			b := int(bands * math.Log(hz/lowestHz) / math.Log(max(top, 2*lowestHz)/lowestHz))
			e.bandOf[k] = min(b, bands-1)
		}
	}
	return e
}

// spectrogram sets e.levels (frames, bands) in dB and returns the frames.
func (e *ear) spectrogram(samples []int16) int {
	n := len(samples) / e.thin
	if n < windowSize {
		return 0
	}
	e.thinned = slices.Grow(e.thinned[:0], n)[:n]
	scale := 1 / float64(32768*e.thin)
	for i := range e.thinned {
		sum := 0
		for _, s := range samples[i*e.thin : (i+1)*e.thin] {
			sum += int(s)
		}
		e.thinned[i] = float64(sum) * scale
	}
	frames := (n-windowSize)/hopSize + 1
	e.levels = slices.Grow(e.levels[:0], frames*bands)[:frames*bands]
	for f := 0; f < frames; f += 2 {
		g := min(f+1, frames-1) // the last one of an odd number goes with itself
		x, y := e.thinned[f*hopSize:][:windowSize], e.thinned[g*hopSize:][:windowSize]
		for i, w := range e.window {
			e.fft.load(i, x[i]*w, y[i]*w)
		}
		e.fft.run()
		var p, q [bands]float64
		for k, b := range e.bandOf {
			if b >= 0 {
				u, v := e.fft.power(k)
				p[b], q[b] = p[b]+u, q[b]+v
			}
		}
		for b := range bands {
			e.levels[f*bands+b] = float32(10 * math.Log10(p[b]+1e-9))
			e.levels[g*bands+b] = float32(10 * math.Log10(q[b]+1e-9))
		}
	}
	return frames
}

// peaks returns the strongest local maxima, by frame and band.
func (e *ear) peaks(frames int) []peak {
	loudest := float32(math.Inf(-1))
	for _, v := range e.levels {
		loudest = max(loudest, v)
	}
	var all []peak
	for f := range frames {
		for b := range bands {
			if v := e.levels[f*bands+b]; v > loudest-peakRange && v > floorDB && e.tops(f, b, frames) {
				all = append(all, peak{f, b, v})
			}
		}
	}
	seconds := float64(frames) * hopSize / float64(e.rate)
	if n := int(peaksPerSec * seconds); len(all) > n {
		slices.SortStableFunc(all, func(a, b peak) int { return cmp.Compare(b.level, a.level) })
		all = all[:n]
		slices.SortFunc(all, func(a, b peak) int {
			return cmp.Or(cmp.Compare(a.frame, b.frame), cmp.Compare(a.band, b.band))
		})
	}
	return all
}

// tops says whether no neighbour is as loud. Nearly all cells have a louder one right
// beside them, which is looked at first.
func (e *ear) tops(frame, band, frames int) bool {
	v := e.levels[frame*bands+band]
	below := func(f, b int) bool {
		return f < 0 || f >= frames || b < 0 || b >= bands || e.levels[f*bands+b] < v
	}
	if !below(frame-1, band) || !below(frame+1, band) || !below(frame, band-1) || !below(frame, band+1) {
		return false
	}
	low, high := max(0, band-reachBands), min(bands-1, band+reachBands)
	for f := max(0, frame-reachFrames); f <= min(frames-1, frame+reachFrames); f++ {
		for b, x := range e.levels[f*bands+low : f*bands+high+1] {
			if x >= v && (f != frame || low+b != band) {
				return false
			}
		}
	}
	return true
}

// landmarks returns the landmarks of a sound, each value once, in order of their times.
func (e *ear) landmarks(samples []int16) []uint32 {
	peaks := e.peaks(e.spectrogram(samples))
	between := func(a, b peak) int { return (b.frame - a.frame + dtUnit/2) / dtUnit }
	seen := make(map[uint32]bool)
	var marks []uint32
	for i, a := range peaks {
		later := peaks[i+1 : min(len(peaks), i+1+fan)]
		for j, b := range later {
			for _, c := range later[j+1:] {
				d1, d2 := between(a, b), between(b, c)
				if d1 > dtLargest || d2 > dtLargest {
					continue
				}
				value := mix(uint32(a.band)<<22|uint32(b.band)<<16|uint32(c.band)<<10|
					uint32(d1)<<5|uint32(d2)) &^ timeMask
				if !seen[value] {
					seen[value] = true
					marks = append(marks, value|uint32(a.frame/timeUnit)&timeMask)
				}
			}
		}
	}
	return marks
}
