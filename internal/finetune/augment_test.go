package finetune

import (
	"fmt"
	"math"
	"testing"

	"avjepa/internal/rng"
	"avjepa/internal/view"
)

// TestBeta holds the draws to mean and variance of Beta(α, α): ½ and 1/(4(2α+1)).
func TestBeta(t *testing.T) {
	for _, alpha := range []float64{.4, 1, 10} {
		r, sum, square := rng.New(4), 0.0, 0.0
		const n = 20000
		for range n {
			x := beta(r, alpha)
			if !(x >= 0 && x <= 1) {
				t.Fatalf("%v drawn", x)
			}
			sum, square = sum+x, square+(x-.5)*(x-.5)
		}
		want := 1 / (4 * (2*alpha + 1))
		if !(math.Abs(sum/n-.5) < .01 && math.Abs(square/n/want-1) < .05) {
			t.Errorf("α %v: mean %v, variance %v, want %v", alpha, sum/n, square/n, want)
		}
	}
}

// batchOf is a batch whose clip i shows 20·i everywhere, sounds at i and has class i.
func batchOf(v view.Config, n int) (*view.Batch, []float32) {
	b := &view.Batch{Size: n, GlobalVideo: make([]byte, n*v.VideoElems()),
		GlobalAudio: make([]float32, n*v.AudioElems())}
	targets := make([]float32, n*n)
	for i := range n {
		for j := range v.VideoElems() {
			b.GlobalVideo[i*v.VideoElems()+j] = byte(20 * i)
		}
		for j := range v.AudioElems() {
			b.GlobalAudio[i*v.AudioElems()+j] = float32(i)
		}
		targets[i*n+i] = 1
	}
	return b, targets
}

// TestMixup: picture, sound and targets are mixed in the same shares, with partners as
// they were; the same step makes the same choices.
func TestMixup(t *testing.T) {
	v := smallView()
	const n = 8
	m := &mixer{Augment: Augment{Mixup: .7, MixupAlpha: 10}, view: v, seed: 3}
	b, targets := batchOf(v, n)
	m.alter(b, targets, 5)
	mixed := 0
	for i := range n {
		lambda, partner, sum := 1.0, i, 0.0
		for c, y := range targets[i*n : (i+1)*n] {
			sum += float64(y)
			if c == i {
				lambda = float64(y)
			} else if y > 0 {
				partner = c
			}
		}
		if !(math.Abs(sum-1) < 1e-6) {
			t.Errorf("targets of clip %d sum to %v", i, sum)
		}
		if partner != i {
			mixed++
		}
		want := 20 * (lambda*float64(i) + (1-lambda)*float64(partner))
		if got := float64(b.GlobalVideo[i*v.VideoElems()]); !(math.Abs(got-want) <= 1.1) {
			t.Errorf("clip %d: pixel %v, want %v of %d and %d", i, got, want, i, partner)
		}
		power := func(x float64) float64 { return math.Pow(10, (x*v.MelStd+v.MelMean)/10) }
		db := 10 * math.Log10(lambda*lambda*power(float64(i))+(1-lambda)*(1-lambda)*power(float64(partner)))
		if got := float64(b.GlobalAudio[i*v.AudioElems()]); !(math.Abs(got-(db-v.MelMean)/v.MelStd) < 1e-4) {
			t.Errorf("clip %d: level %v, want %v", i, got, (db-v.MelMean)/v.MelStd)
		}
	}
	if mixed < 3 || mixed == n {
		t.Errorf("%d of %d clips are mixed", mixed, n)
	}
	again, others := batchOf(v, n)
	m.alter(again, others, 5)
	if fmt.Sprint(again.GlobalVideo, others) != fmt.Sprint(b.GlobalVideo, targets) {
		t.Error("the same step mixes otherwise")
	}
}

// TestMasks hide whole bands and whole frames, up to the number given.
func TestMasks(t *testing.T) {
	v := smallView()
	m := &mixer{Augment: Augment{FreqBands: 5, TimeFrames: 7}, view: v}
	seen := map[bool]bool{}
	for step := range 30 {
		b, targets := batchOf(v, 2)
		m.alter(b, targets, step)
		mel, frames := b.GlobalAudio[v.AudioElems():], v.MelFrames()
		bands, times := 0, 0
		for i := range v.Bands {
			if full(mel[i*frames : (i+1)*frames]) {
				bands++
			}
		}
		for j := range frames {
			column := make([]float32, v.Bands)
			for i := range column {
				column[i] = mel[i*frames+j]
			}
			if full(column) {
				times++
			}
		}
		if bands > 5 || times > 7 {
			t.Fatalf("%d bands and %d frames are hidden", bands, times)
		}
		seen[bands > 0 && times > 0] = true
	}
	if !seen[true] {
		t.Error("nothing is ever hidden")
	}
}

// full reports whether all of x is hidden.
func full(x []float32) bool {
	for _, v := range x {
		if v != 0 {
			return false
		}
	}
	return true
}
