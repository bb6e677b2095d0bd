package optim

import "math"

// Schedule is a learning rate over the steps of a run: a straight warm-up from
// Start·Base to Base, then half a cosine down to Min.
type Schedule struct {
	Base, Start, Min float64 // Start is a factor
	Warmup, Steps    int     // Warmup steps are among Steps
}

// At returns the learning rate of step i, counted from 0. Beyond the last step
// it is Min.
func (s Schedule) At(i int) float64 {
	switch {
	case i < s.Warmup:
		return s.Base * (s.Start + (1-s.Start)*float64(i)/float64(s.Warmup))
	case i >= s.Steps:
		return s.Min
	}
	done := float64(i-s.Warmup) / float64(s.Steps-s.Warmup)
	return s.Min + (s.Base-s.Min)*(1+math.Cos(math.Pi*done))/2
}
