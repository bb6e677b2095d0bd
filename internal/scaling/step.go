package scaling

import "math"

// Step is the reckoning of one training step. Times are seconds.
type Step struct {
	GPUs       int
	Compute    float64 // of a GPU alone
	Buckets    int
	Busy       float64 // exchanging gradients, hidden or not
	Slowed     float64 // by which computation is longer beside exchanges
	Exposed    float64 // gradients after backward's end
	ECF        float64 // SIGReg's exchange before backward
	Metrics    float64
	Waiting    float64 // for the slowest process
	Failures   float64 // lost work, restarts and checkpoints, spread over the steps
	Total      float64
	Efficiency float64 // Compute / Total
	ClipsPerS  float64 // of all GPUs
}

// Reckon returns what a step of so many GPUs would take. gpus is 1, or fewer than a
// node has, or whole nodes.
func Reckon(w Work, a Assumptions, gpus int) Step {
	rate := a.MatMul * a.ComputeShare / float64(a.Clips) // clips' FLOPs to seconds
	s := Step{GPUs: gpus, Compute: w.FLOPs / rate}
	if gpus > 1 {
		a.backward(w, rate, &s)
		s.ECF = a.AllReduce(w.ECFBytes(), gpus)
		if a.MetricsWait {
			s.Metrics = a.Gather(gpus)
		}
		s.Waiting = a.waiting(s.Compute, gpus)
	}
	s.Total = s.Compute + s.Slowed + s.Exposed + s.ECF + s.Metrics + s.Waiting
	s.Failures = s.Total * a.failureShare(gpus)
	s.Total += s.Failures
	s.Efficiency = s.Compute / s.Total
	s.ClipsPerS = float64(gpus*a.Clips) / s.Total
	return s
}

// backward runs through the parts in backward's order. Their gradients fill buckets;
// a full one goes to the network, which takes one at a time. Computation that runs
// beside an exchange is slower by Contention.
func (a Assumptions) backward(w Work, rate float64, s *Step) {
	ready := a.buckets(w, rate)
	s.Buckets = len(ready)
	end, free := ready[len(ready)-1].at, 0.0
	for _, b := range ready {
		d := a.AllReduce(b.bytes, s.GPUs)
		s.Busy += d
		begin := math.Max(free, b.at)
		free = begin + d
		s.Slowed += a.Contention * math.Max(0, math.Min(free, end)-begin)
	}
	// The slower computation delays the last bucket as much as it delays its own end,
	// so what is exposed stays what it is.
	s.Exposed = math.Max(0, free-end)
}

// bucket is so many bytes of gradients, complete so long after backward's begin.
type bucket struct{ bytes, at float64 }

// buckets cuts the gradients in the order in which they are complete. A bucket is
// full once it holds BucketBytes; parts are not cut, as backward leaves their
// gradients together.
func (a Assumptions) buckets(w Work, rate float64) []bucket {
	var all []bucket
	t, held := 0.0, 0.0
	for i, p := range w.Parts {
		t += p.FLOPs / rate
		held += float64(p.Values * a.GradBytes)
		if held >= float64(a.BucketBytes) || i == len(w.Parts)-1 {
			all = append(all, bucket{held, t})
			held = 0
		}
	}
	return all
}

// waiting returns how much later than the mean the last of so many processes is: the
// expected greatest of normal times with deviation Spread, and rare stalls, of which
// one in any process stops all.
func (a Assumptions) waiting(compute float64, gpus int) float64 {
	stalled := -math.Expm1(float64(gpus) * math.Log1p(-a.StallChance))
	return a.Spread*compute*greatestNormal(gpus) + a.StallLength*stalled
}

// greatestNormal returns the expected greatest of n standard normal numbers:
// ∫ (1 − Φⁿ) over positive x less ∫ Φⁿ over negative, by the trapezoid rule.
func greatestNormal(n int) float64 {
	const h = 1e-3
	sum := 0.0
	for i := -8000; i <= 8000; i++ {
		x := float64(i) * h
		below := math.Pow(.5*math.Erfc(-x/math.Sqrt2), float64(n))
		switch {
		case i < 0:
			sum -= below
		case i > 0:
			sum += 1 - below
		default:
			sum += .5 - below
		}
	}
	return sum * h
}

// failureShare returns the time that failures and saving cost, by the time without
// them, at the best interval between checkpoints, √(2·Save·T) with T the time between
// failures.
//
// Source: Young 1974, a first order approximation to the optimum checkpoint interval.
func (a Assumptions) failureShare(gpus int) float64 {
	between := a.GPUHours * 3600 / float64(gpus)
	interval := math.Sqrt(2 * a.Save * between)
	return a.Save/interval + (interval/2+a.Restart)/between
}
