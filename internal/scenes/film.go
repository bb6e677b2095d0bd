package scenes

import (
	"fmt"
	"math"

	"avjepa/internal/rng"
)

// Film renders the pictures of one scene. It is not safe for concurrent use.
type Film struct {
	scene  Scene
	side   int
	rateHz float64
	way    []Path
	seed   uint64
	still  []int16 // (side, side, 3) scenery without noise, in 1/64 levels
	line   []int16 // (side, side, 3) scenery with the object
}

// Film prepares the pictures of s: side × side pixels, rateHz pictures a
// second for the given time. Picture i shows the moment i/rateHz.
func (s Scene) Film(side int, rateHz, seconds float64) *Film {
	if side < 8 || !(rateHz > 0) || !(seconds > 0) {
		panic(fmt.Sprintf("scenes: film of side %d, %g Hz, %g s", side, rateHz, seconds))
	}
	f := &Film{scene: s, side: side, rateHz: rateHz, seed: s.noise}
	f.way, _ = s.Move(rateHz, seconds)
	f.still = s.scenery(side)
	f.line = make([]int16, len(f.still))
	return f
}

// Len returns the number of pictures.
func (f *Film) Len() int { return len(f.way) }

const (
	levelUnit  = 64   // units of one of the 255 levels
	noiseSigma = .010 // camera noise, share of full scale
	noiseLen   = 1 << 16
)

// cameraNoise is a stretch of normal numbers, in units. Every picture reads it
// from a place of its own: drawing new numbers would take longer than all the
// rest of the rendering.
var cameraNoise = func() []int16 {
	r := rng.New(1, "scenes.camera")
	t := make([]int16, noiseLen)
	for i := range t {
		t[i] = int16(math.Round(r.NormFloat64() * noiseSigma * 255 * levelUnit))
	}
	return t
}()

// Render sets rgb, (side, side, 3) bytes from the top left, to picture i.
func (f *Film) Render(i int, rgb []byte) {
	if i < 0 || i >= len(f.way) || len(rgb) != len(f.still) {
		panic(fmt.Sprintf("scenes: picture %d of %d into %d bytes, want %d",
			i, len(f.way), len(rgb), len(f.still)))
	}
	copy(f.line, f.still)
	f.drawObject(f.way[i], f.scene.Angle+f.scene.Spin*float64(i)/f.rateHz)
	// Rows start at unrelated places, so that noise does not repeat in space.
	place := mix(f.seed + uint64(i))
	row := 3 * f.side
	for y := range f.side {
		place = mix(place)
		noise := cameraNoise[place%uint64(noiseLen-row):][:row]
		src, dst := f.line[y*row:][:row], rgb[y*row:][:row]
		for j, n := range noise {
			v := (int32(src[j]) + int32(n) + levelUnit/2) >> 6
			dst[j] = byte(min(max(v, 0), 255))
		}
	}
}

// mix is the finaliser of SplitMix64, a bijection that spreads neighbours.
func mix(x uint64) uint64 {
	x += 0x9E3779B97F4A7C15
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// drawObject blends the object over the scenery, in its bounding box alone.
func (f *Film) drawObject(at Path, angle float64) {
	s, side := f.scene, float64(f.side)
	radius := s.Radius()
	sin, cos := math.Sincos(angle)
	left := max(0, int((at.X-extent*radius)*side))
	right := min(f.side, int((at.X+extent*radius)*side)+2)
	top := max(0, int((1-at.Y-extent*radius)*side))
	bottom := min(f.side, int((1-at.Y+extent*radius)*side)+2)
	color, gloss := s.surface()
	perPixel := radius * side // pixels in one radius
	for py := top; py < bottom; py++ {
		dy := (1 - (float64(py)+.5)/side - at.Y) / radius
		for px := left; px < right; px++ {
			dx := ((float64(px)+.5)/side - at.X) / radius
			d := s.Kind.distance(cos*dx+sin*dy, cos*dy-sin*dx)
			cover := min(max(.5-d*perPixel, 0), 1)
			if cover == 0 {
				continue
			}
			// The highlight does not turn with the object: the light stays.
			hx, hy := dx+.35, dy-.35
			shine := gloss * max(0, 1-3*(hx*hx+hy*hy))
			p := f.line[3*(py*f.side+px):][:3]
			for c := range p {
				v := color[c] + shine*(1-color[c])
				p[c] += int16(cover * (v*255*levelUnit - float64(p[c])))
			}
		}
	}
}

// surface returns the colour of the object and the strength of its highlight.
// Polished things are light and glossy, rough ones dark and matt.
func (s Scene) surface() (color [3]float64, gloss float64) {
	light := 1.0
	if !math.IsNaN(s.Polish) {
		light, gloss = .65+.4*s.Polish, .8*s.Polish
	}
	for c, v := range s.Color {
		color[c] = min(max(v*light, 0), 1)
	}
	return color, gloss
}

// scenery returns a background that says nothing about the object except where
// its floor is: a grey gradient, half-transparent grey boxes and a floor band.
// Its brightness is that of Daylight, if the scene has it.
func (s Scene) scenery(side int) []int16 {
	r := rng.New(s.noise, "scenes.scenery")
	grey := r.Uniform(.1, .6)
	if !math.IsNaN(s.Daylight) {
		grey = .1 + .5*s.Daylight
	}
	upper, lower := grey+r.Uniform(-.06, .06), grey+r.Uniform(-.06, .06)
	level := make([]float64, side*side)
	for y := range side {
		t := (float64(y) + .5) / float64(side)
		for x := range side {
			level[y*side+x] = upper + t*(lower-upper)
		}
	}
	for range 2 + r.IntN(4) {
		x0, y0 := r.Uniform(-.1, .9), r.Uniform(-.1, .9)
		w, h := r.Uniform(.1, .4), r.Uniform(.1, .4)
		tone := r.Uniform(.1, .6)
		for y := cell(y0, side); y < cell(y0+h, side); y++ {
			for x := cell(x0, side); x < cell(x0+w, side); x++ {
				level[y*side+x] += .5 * (tone - level[y*side+x])
			}
		}
	}
	floor := (1 - s.Floor) * float64(side) // rows above it are not floor
	out := make([]int16, 3*side*side)
	for y := range side {
		shade := 1 - .35*min(max(float64(y)+1-floor, 0), 1)
		for x := range side {
			v := int16(math.Round(level[y*side+x] * shade * 255 * levelUnit))
			for c := range 3 {
				out[3*(y*side+x)+c] = v
			}
		}
	}
	return out
}

// cell returns the pixel edge next to a coordinate in [0, 1].
func cell(v float64, side int) int {
	return min(max(int(math.Round(v*float64(side))), 0), side)
}
