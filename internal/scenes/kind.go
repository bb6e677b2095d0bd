package scenes

import "math"

// Kind is what an object is: its shape, colour and timbre.
type Kind int

// The kinds, in the order of their labels.
const (
	Wood Kind = iota
	Bell
	Glass
	Drum
	Saw
	Snare
	Chirp
	Reed
	kinds // how many there are
)

var kindNames = [kinds]string{
	"wood", "bell", "glass", "drum", "saw", "snare", "chirp", "reed",
}

// String returns the label of k.
func (k Kind) String() string { return kindNames[k] }

// Labels returns the labels of all kinds, in the order of the constants.
func Labels() []string { return append([]string(nil), kindNames[:]...) }

// baseColor is the colour of a kind, red, green and blue in [0, 1].
var baseColor = [kinds][3]float64{
	Wood:  {.60, .38, .16},
	Bell:  {.95, .80, .10},
	Glass: {.20, .85, .90},
	Drum:  {.85, .12, .12},
	Saw:   {.85, .20, .80},
	Snare: {.95, .95, .95},
	Chirp: {.20, .80, .20},
	Reed:  {.15, .30, .95},
}

// distance returns the signed distance of (x, y) to the outline of the kind's
// shape, negative inside. One unit is the radius of the object. Corners are
// rounded outside the shape, and the distance is only close to Euclidean near
// the outline: enough for antialiasing over one pixel.
func (k Kind) distance(x, y float64) float64 {
	ax, ay := math.Abs(x), math.Abs(y)
	switch k {
	case Wood: // square
		return max(ax, ay) - .85
	case Bell: // ring
		return math.Abs(math.Sqrt(x*x+y*y)-.72) - .28
	case Glass: // diamond
		return ax + ay - 1.1
	case Drum: // disc
		return math.Sqrt(x*x+y*y) - 1
	case Saw: // five-pointed star, cos 5θ as a polynomial of c = cos θ
		rho := math.Sqrt(x*x + y*y)
		if rho < 1e-9 {
			return -.72
		}
		c := x / rho
		c2 := c * c
		return rho - (.72 + .33*c*(c2*(16*c2-20)+5))
	case Snare: // hexagon
		return max(ay, .87*ax+.5*ay) - .9
	case Chirp: // triangle
		return max(-y-.7, .87*ax+.5*y-.55)
	case Reed: // plus
		return min(max(ax-1, ay-.36), max(ay-1, ax-.36))
	}
	panic("scenes: unknown kind")
}

// extent is the largest distance of a shape's outline from its centre, in
// radii: the reach of the square's corners.
const extent = 1.35
