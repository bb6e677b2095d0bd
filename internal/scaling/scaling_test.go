package scaling

import (
	"math"
	"strings"
	"testing"
)

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance*math.Abs(want)) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func counted(t *testing.T) Work {
	t.Helper()
	w, err := Count()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// The parts are the whole model: all of its parameters, and two thirds of its work
// behind the projector's forward pass, as a backward pass has twice the products of
// its forward.
func TestPartsAreTheModel(t *testing.T) {
	w := counted(t)
	values, backward := 0, 0.0
	for _, p := range w.Parts {
		values += p.Values
		backward += p.FLOPs
		if p.Values <= 0 || !(p.FLOPs > 0) {
			t.Errorf("%s has %d values and %v FLOPs", p.Name, p.Values, p.FLOPs)
		}
	}
	if values != w.Values || values != 86_637_312+6_041_728 {
		t.Errorf("%d values in the parts, %d in the model, want 92679040", values, w.Values)
	}
	near(t, "work of a clip", w.FLOPs, 5.33e12, 1e-3)
	near(t, "backward", backward, w.FLOPs*2/3, 1e-12)
	near(t, "forward", w.Forward, w.FLOPs/3, 1e-12)
	embedding := w.Parts[len(w.Parts)-1]
	// Products of patches: two video views of the globals and one local, likewise sound.
	products := 2 * 3 * (1568*1536 + 400*256) * 768.0
	if !(embedding.FLOPs >= products && embedding.FLOPs <= 2.1*products) {
		t.Errorf("the embedding's backward has %v FLOPs, its products of patches %v",
			embedding.FLOPs, products)
	}
	if w.ECFBytes() != 4*2048*17*2*4 {
		t.Errorf("ECF of %v bytes", w.ECFBytes())
	}
}

// Times of an exchange against those by hand: 1 GB over 100 GB/s in a node, 10 GB/s
// between.
func TestExchange(t *testing.T) {
	a := Assumptions{PerNode: 4, NVLink: 100e9, Network: 10e9, NVLinkHop: 1e-6, NetworkHop: 1e-5,
		Launch: 1e-3}
	const n = 1e9
	for _, c := range []struct {
		name      string
		got, want float64
	}{
		{"ring of one", a.Ring(n, 1), 0},
		{"ring in a node", a.Ring(n, 4), 1e-3 + 6*(1e-6+.25e9/100e9)},
		{"ring over nodes", a.Ring(n, 16), 1e-3 + 30*(1e-5+n/16/40e9)},
		{"hierarchical, one", a.Hierarchical(n, 1), 0},
		{"hierarchical in a node", a.Hierarchical(n, 4), a.Ring(n, 4)},
		{"hierarchical over nodes", a.Hierarchical(n, 16),
			1e-3 + 6*(1e-6+.25e9/100e9) + 6*(1e-5+.25e9/4/10e9)},
		{"the better", a.AllReduce(n, 16), math.Min(a.Ring(n, 16), a.Hierarchical(n, 16))},
		{"a small one", a.AllReduce(8, 64), a.Hierarchical(8, 64)},
	} {
		near(t, c.name, c.got, c.want, 1e-12)
	}
}

// Backward overlaps with all exchanges but the last; a single bucket with none.
func TestOverlap(t *testing.T) {
	w := counted(t)
	a := Default()
	rate := 1e12
	sum, last := 0.0, 0.0
	for _, b := range a.buckets(w, rate) {
		if !(b.at > last) {
			t.Errorf("a bucket complete at %v follows one at %v", b.at, last)
		}
		sum, last = sum+b.bytes, b.at
	}
	near(t, "all buckets", sum, float64(4*w.Values), 1e-12)
	near(t, "backward's end", last, (w.FLOPs-w.Forward)/rate, 1e-12)

	a.BucketBytes = 1 << 30
	s := Reckon(w, a, 64)
	near(t, "exposed of one bucket", s.Exposed, a.AllReduce(float64(4*w.Values), 64), 1e-12)
	if s.Slowed != 0 || s.Buckets != 1 {
		t.Errorf("%d buckets, computation slowed by %v beside nothing", s.Buckets, s.Slowed)
	}

	// So slow a network that it is never idle from the first bucket on.
	a = Default()
	a.Network = 1e6
	s = Reckon(w, a, 64)
	first := a.buckets(w, a.MatMul*a.ComputeShare/float64(a.Clips))
	near(t, "exposed of a slow network", s.Exposed,
		first[0].at+s.Busy-first[len(first)-1].at, 1e-9)
	near(t, "slowed", s.Slowed, a.Contention*(first[len(first)-1].at-first[0].at), 1e-9)
}

func TestStepIsTheSumOfItsParts(t *testing.T) {
	w, a := counted(t), Default()
	for _, gpus := range []int{1, 2, 8, 64, 512} {
		s := Reckon(w, a, gpus)
		near(t, "total", s.Total, s.Compute+s.Slowed+s.Exposed+s.ECF+s.Metrics+s.Waiting+s.Failures, 1e-12)
		near(t, "efficiency", s.Efficiency*s.Total, s.Compute, 1e-12)
		near(t, "rate", s.ClipsPerS*s.Total, float64(40*gpus), 1e-12)
	}
	near(t, "compute", Reckon(w, a, 1).Compute, 40*w.FLOPs/(.45*790e12), 1e-12)
	a.MetricsWait = false
	if m := Reckon(w, a, 512).Metrics; m != 0 {
		t.Errorf("metrics nobody waits for take %v s", m)
	}
}

// Known expectations of the greatest of n normal numbers: 0, 1/√π, 3/(2√π), 1.4236.
func TestGreatestNormal(t *testing.T) {
	if g := greatestNormal(1); !(math.Abs(g) <= 1e-9) {
		t.Errorf("of one: %v", g)
	}
	near(t, "of two", greatestNormal(2), 1/math.Sqrt(math.Pi), 1e-6)
	near(t, "of three", greatestNormal(3), 1.5/math.Sqrt(math.Pi), 1e-6)
	near(t, "of eight", greatestNormal(8), 1.42360, 1e-5)
}

func TestWaitingForStalls(t *testing.T) {
	a := Assumptions{StallChance: .5, StallLength: 2}
	near(t, "two processes", a.waiting(1, 2), 2*.75, 1e-12)
}

// No interval between checkpoints costs less than the one taken, but for what a
// first-order formula leaves out.
func TestFailures(t *testing.T) {
	a := Assumptions{GPUHours: 1000, Restart: 100, Save: 5}
	const gpus = 10
	between := 1000 * 3600. / gpus
	best := math.Inf(1)
	for interval := 10.; interval < 1e5; interval *= 1.01 {
		best = math.Min(best, a.Save/interval+(interval/2+a.Restart)/between)
	}
	near(t, "share", a.failureShare(gpus), best, 1e-4)
}

func TestFeed(t *testing.T) {
	a := Assumptions{FrameBytes: 1768, PixelRatio: 2, Frames: 10, SoundBytes: 1000, ViewSeconds: .1,
		ShardBytes: 1e6, Stream: 1e6, FirstByte: .5}
	// 10 frames of 2·1000 bytes of picture and 768 of tar, and sound.
	near(t, "clip", a.Stored().Clip, 10*2768+1000, 1e-12)
	f := a.Feed(100)
	near(t, "bytes", f.Bytes, 100*28680, 1e-12)
	near(t, "requests at a time", f.Streams, 100*(.5+.02868), 1e-12)
	near(t, "shards", f.Shards, 2.868, 1e-12)
	near(t, "cores", f.Cores, 20, 1e-12)
}

// The fewest GPUs for an epoch suffice, and the next fewer do not.
func TestGPUsFor(t *testing.T) {
	w, a := counted(t), Default()
	const day = 24 * 3600
	n := GPUsFor(w, a, day)
	if n <= a.PerNode || n%a.PerNode != 0 {
		t.Fatalf("%d GPUs", n)
	}
	rate := func(n int) float64 { return Reckon(w, a, n).ClipsPerS }
	if !(rate(n)*day >= a.Corpus && rate(n-a.PerNode)*day < a.Corpus) {
		t.Errorf("%d GPUs: %v clips/s; a node less: %v", n, rate(n), rate(n-a.PerNode))
	}
}

func TestValidate(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
	err := Assumptions{Clips: 1, ComputeShare: math.NaN(), GradBytes: 3, Spread: 1}.Validate()
	if err == nil {
		t.Fatal("nonsense is valid")
	}
	for _, want := range []string{"1 clips", "share NaN", "network of 0", "bucket of 0", "3 bytes", "spread 1"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}
