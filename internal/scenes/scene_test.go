package scenes

import (
	"math"
	"testing"
)

// Every block of eight scenes holds each kind once, in every split, and the
// order of kinds is not the same in all blocks.
func TestKindsAreBalanced(t *testing.T) {
	cfg := Default()
	for _, split := range []Split{Train, HeldOut} {
		firsts := map[Kind]bool{}
		for block := range 20 {
			var seen [kinds]int
			for i := range int(kinds) {
				s := cfg.Scene(split, block*int(kinds)+i)
				seen[s.Kind]++
				if i == 0 {
					firsts[s.Kind] = true
				}
			}
			for k, n := range seen {
				if n != 1 {
					t.Fatalf("%s block %d: %d scenes of kind %s", split, block, n, Kind(k))
				}
			}
		}
		if len(firsts) < 4 {
			t.Errorf("%s: only %d kinds start a block", split, len(firsts))
		}
	}
}

// Splits share no scene, and a scene depends on seed and index alone.
func TestScenesAreOfTheirSeed(t *testing.T) {
	cfg := Default()
	sizes := map[float64]string{}
	for _, split := range []Split{Train, HeldOut} {
		for i := range 300 {
			s := cfg.Scene(split, i)
			if old, ok := sizes[s.Size]; ok {
				t.Fatalf("%s %d has the size of %s", split, i, old)
			}
			sizes[s.Size] = string(split)
		}
	}
	a, b := NewScene(5, 40, Cues{}), NewScene(5, 40, Cues{Polish: true, Daylight: true})
	if !math.IsNaN(a.Polish) || !math.IsNaN(a.Daylight) ||
		!(b.Polish >= 0 && b.Polish < 1 && b.Daylight >= 0 && b.Daylight < 1) {
		t.Errorf("polish, daylight %g, %g without, %g, %g with",
			a.Polish, a.Daylight, b.Polish, b.Daylight)
	}
	a.Polish, a.Daylight = b.Polish, b.Daylight
	if a != b {
		t.Errorf("cues changed the scene:\n%+v\n%+v", a, b)
	}
	if NewScene(6, 40, Cues{}).Size == a.Size || NewScene(5, 41, Cues{}).Size == a.Size {
		t.Error("another seed or index gives the same size")
	}
}

// Between impacts the way is a parabola, the object stays inside, and impacts
// are where the object touches.
func TestMove(t *testing.T) {
	total := 0
	for i := range 200 {
		s := NewScene(11, i, Cues{})
		way, impacts := s.Move(stepsPerSecond, 3.2)
		if len(way) != 3200 {
			t.Fatalf("scene %d: %d places, want 3200", i, len(way))
		}
		r := s.Radius()
		for _, p := range way {
			if !(p.X > r-.01 && p.X < 1-r+.01 && p.Y > s.Floor+r-.01) {
				t.Fatalf("scene %d: centre at %+v with radius %g", i, p, r)
			}
		}
		free := 3.2
		if len(impacts) > 0 {
			free = impacts[0].Time
		}
		for _, share := range []float64{.3, .9} {
			tt := math.Floor(share*free*stepsPerSecond) / stepsPerSecond
			p := way[int(math.Round(tt*stepsPerSecond))]
			x, y := s.X+s.VX*tt, s.Y+s.VY*tt-s.Gravity*tt*tt/2
			if !(math.Abs(p.X-x) < .005 && math.Abs(p.Y-y) < .005) {
				t.Errorf("scene %d: at %g s in (%g, %g), want (%g, %g)", i, tt, p.X, p.Y, x, y)
			}
		}
		for n, hit := range impacts {
			k := min(int(math.Round(hit.Time*stepsPerSecond)), len(way)-1)
			p := way[k]
			gap := p.Y - s.Floor - r
			if hit.Wall {
				gap = min(p.X-r, 1-r-p.X)
			}
			if !(math.Abs(gap) < .004) {
				t.Errorf("scene %d: impact %d at %g s is %g away", i, n, hit.Time, gap)
			}
			if n > 0 && hit.Time < impacts[n-1].Time {
				t.Errorf("scene %d: impacts out of order", i)
			}
		}
		total += len(impacts)
	}
	if mean := float64(total) / 200; !(mean > 4 && mean < 9) {
		t.Errorf("%g impacts a scene, want about 6", mean)
	}
}

func TestSizeGivesPitch(t *testing.T) {
	for _, c := range []struct{ size, radius, pitch float64 }{
		{0, .08, 1044.53}, {1, .2, 220}, {.5, .12649, 479.37},
	} {
		s := Scene{Size: c.size}
		if !(math.Abs(s.Radius()-c.radius) < 1e-4 && math.Abs(s.PitchHz()-c.pitch) < .1) {
			t.Errorf("size %g: radius %g, pitch %g, want %g, %g",
				c.size, s.Radius(), s.PitchHz(), c.radius, c.pitch)
		}
	}
}
