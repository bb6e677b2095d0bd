package scenes

import (
	"math"

	"avjepa/internal/rng"
)

// Scene is everything that decides a scene. Lengths are in sides of the square
// picture, times in seconds, y points up, and speeds are per second.
type Scene struct {
	Kind        Kind
	Size        float64    // u in [0, 1]
	Polish      float64    // in [0, 1]; NaN without Cues.Polish
	Daylight    float64    // in [0, 1]; NaN without Cues.Daylight
	Color       [3]float64 // red, green, blue; may lie slightly outside [0, 1]
	Angle       float64    // rotation at time 0, radians
	Spin        float64    // radians per second
	X, Y        float64    // centre at time 0
	VX, VY      float64
	Floor       float64 // height of the floor
	Gravity     float64 // downward acceleration
	Restitution float64 // share of speed kept in a bounce off the floor

	noise uint64 // seed of the rest: scenery, camera, hiss
}

// Cues are properties that are both seen and heard beyond kind, size and
// impacts. Each is a number of the scene, uniform in [0, 1] and independent of
// all others.
type Cues struct {
	// Polish: polished things look lighter and glossier, and ring up to twice
	// as long; rough ones look darker and ring down to half as long.
	Polish bool `json:"polish"`

	// Daylight: bright scenery is noisy, dark scenery is quiet, as day and
	// night are. Without it brightness and noise floor are independent.
	Daylight bool `json:"daylight"`
}

// NewScene returns the scene of a seed and an index ≥ 0. Every eight scenes
// from an index divisible by eight hold each kind once. A cue changes nothing
// of the scene but what it is about.
func NewScene(seed uint64, index int, cues Cues) Scene {
	order := rng.New(seed, "scenes.kind", index/int(kinds)).Perm(int(kinds))
	r := rng.New(seed, "scenes.scene", index)
	s := Scene{Kind: Kind(order[index%int(kinds)]), Size: r.Float64()}
	s.Angle = r.Uniform(0, 2*math.Pi)
	s.Spin = r.Uniform(-2, 2)
	for c, base := range baseColor[s.Kind] {
		s.Color[c] = base*r.Uniform(.85, 1.1) + r.Uniform(-.06, .06)
	}
	radius := s.Radius()
	s.Floor = r.Uniform(.03, .12)
	s.Gravity = r.Uniform(2, 4.5)
	s.X = r.Uniform(radius, 1-radius)
	s.Y = max(r.Uniform(.45, 1-radius), s.Floor+radius+.1)
	s.VX = r.Uniform(.1, .7)
	if r.Float64() < .5 {
		s.VX = -s.VX
	}
	s.VY = r.Uniform(-.6, .6)
	s.Restitution = r.Uniform(.80, .97)
	s.noise = r.Uint64()
	s.Polish, s.Daylight = r.Float64(), r.Float64()
	if !cues.Polish {
		s.Polish = math.NaN()
	}
	if !cues.Daylight {
		s.Daylight = math.NaN()
	}
	return s
}

// Radius returns the object's radius, .08 to .20 of the side.
func (s Scene) Radius() float64 { return .08 * math.Pow(2.5, s.Size) }

// PitchHz returns the pitch f of the object's strikes: 220 Hz for the largest
// object, 1045 Hz for the smallest. Kinds build their partials on it.
func (s Scene) PitchHz() float64 { return 220 * math.Pow(.2/s.Radius(), 1.7) }

// Impact is a hit on the floor or a wall.
type Impact struct {
	Time  float64 // seconds from the start of the scene
	Speed float64 // across the surface that was hit
	Wall  bool
}

// stepsPerSecond is the resolution of the motion: impacts lie on this grid.
const stepsPerSecond = 1000

// quietSpeed is the slowest hit on the floor that makes a sound.
const quietSpeed = .15

// Path is a point of the object's way.
type Path struct{ X, Y float64 }

// Move lets the object fly for the given time. It returns its places at
// 0, 1/rateHz, 2/rateHz, … before the end, and the impacts in order of time.
func (s Scene) Move(rateHz, seconds float64) ([]Path, []Impact) {
	const dt = 1.0 / stepsPerSecond
	radius := s.Radius()
	x, y, vx, vy := s.X, s.Y, s.VX, s.VY
	way := make([]Path, 0, int(math.Ceil(seconds*rateHz)))
	var impacts []Impact
	steps := int(math.Round(seconds * stepsPerSecond))
	for i := range steps {
		t := float64(i) * dt
		if t+dt/2 >= float64(len(way))/rateHz {
			way = append(way, Path{x, y})
		}
		vy -= s.Gravity * dt
		x += vx * dt
		y += vy * dt
		if y < s.Floor+radius && vy < 0 {
			y = s.Floor + radius
			if -vy > quietSpeed {
				impacts = append(impacts, Impact{Time: t + dt, Speed: -vy})
			}
			vy *= -s.Restitution
		}
		if (x < radius && vx < 0) || (x > 1-radius && vx > 0) {
			x = min(max(x, radius), 1-radius)
			impacts = append(impacts, Impact{Time: t + dt, Speed: math.Abs(vx), Wall: true})
			vx = -vx
		}
	}
	return way, impacts
}
