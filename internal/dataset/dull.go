package dataset

import (
	"math"

	"avjepa/internal/media"
	"avjepa/internal/neardup"
)

// The flags a clip may have. Ingest leaves silent clips and still pictures out unless
// Settings.Keep names them.
const (
	FlagSilent    = "silent"     // Info.Silent
	FlagQuiet     = "quiet"      // Info.Quiet
	FlagStill     = "still"      // Info.Still
	FlagLowMotion = "low-motion" // Info.LowMotion
	FlagDuplicate = "duplicate"  // in duplicates.csv
)

// Flags returns the flags that the index has of a clip: all but FlagDuplicate.
func (f *Info) Flags() []string {
	var flags []string
	for _, x := range []struct {
		is   bool
		name string
	}{{f.Silent, FlagSilent}, {f.Quiet, FlagQuiet}, {f.Still, FlagStill},
		{f.LowMotion, FlagLowMotion}} {
		if x.is {
			flags = append(flags, x.name)
		}
	}
	return flags
}

const (
	quietDB     = -60 // RMS of full scale below which a stretch is nothing
	quietShare  = .95 // of the stretches, for a clip to be quiet
	quietPerSec = 10  // stretches in a second

	// lowMotion is the change of a cell of the picture, in levels of 255, that a still
	// filmed or encoded with noise stays below; a mouth that speaks is at 9 or more.
	lowMotion = 4
)

// describe sets what is measured of a decoded clip: its signature and flags.
func (w *worker) describe(f *Info, c *media.Clip) {
	m := w.makers.Get().(*neardup.Maker)
	defer w.makers.Put(m)
	measure(f, m, c.Frames, c.Samples)
}

// measure sets f's Signature, Quiet and LowMotion; Silent and Still are set already.
func measure(f *Info, m *neardup.Maker, frames [][]byte, samples []int16) {
	s, change, known := m.Make(frames, samples)
	f.Signature = s.String()
	f.LowMotion = known && change < lowMotion && !f.Still
	f.Quiet = !f.Silent && quiet(samples, f.SampleRateHz)
}

// quiet says whether nearly all of a sound is below quietDB.
func quiet(samples []int16, rateHz int) bool {
	n := max(1, rateHz/quietPerSec)
	low, all := 0, 0
	limit := 32768 * math.Pow(10, quietDB/20.)
	for ; len(samples) > 0; all++ {
		part := samples[:min(n, len(samples))]
		samples = samples[len(part):]
		sum := 0.
		for _, s := range part {
			sum += float64(s) * float64(s)
		}
		if sum < limit*limit*float64(len(part)) {
			low++
		}
	}
	return all > 0 && float64(low) >= quietShare*float64(all)
}
