package scenes

import (
	"bytes"
	"math"
	"testing"
)

// silhouette returns the centre of the object in pictures' sides, y up, and
// its area in pixels: the pixels where picture and scenery differ clearly.
func silhouette(rgb []byte, still []int16, side int) (p Path, area float64) {
	for y := range side {
		for x := range side {
			j := 3 * (y*side + x)
			diff := 0.0
			for c := range 3 {
				diff = max(diff, math.Abs(float64(rgb[j+c])-float64(still[j+c])/levelUnit))
			}
			if diff < 40 {
				continue
			}
			area++
			p.X += (float64(x) + .5) / float64(side)
			p.Y += 1 - (float64(y)+.5)/float64(side)
		}
	}
	p.X /= area
	p.Y /= area
	return p, area
}

// The picture shows the object where it is, as large as it is, at each moment.
func TestFilmShowsTheMotion(t *testing.T) {
	const side = 64
	fill := [kinds]float64{ // area over radius², of the outlines in distance
		Wood: 2.89, Bell: math.Pi * (1 - .44*.44), Glass: 2.42, Drum: math.Pi,
		Saw: math.Pi * (.72*.72 + .33*.33/2), Snare: 2.8, Chirp: 1.88, Reed: 2.36,
	}
	rgb := make([]byte, 3*side*side)
	var areas [kinds]float64
	for i := range 80 {
		s := NewScene(3, i, Cues{})
		s.Color = baseColor[s.Kind]
		if s.Kind == Wood || s.Kind == Snare {
			s.Color = [3]float64{1, 0, 0} // clear of every grey
		}
		film := s.Film(side, 12.5, 3.2)
		if film.Len() != 40 {
			t.Fatalf("scene %d: %d pictures, want 40", i, film.Len())
		}
		way, _ := s.Move(12.5, 3.2)
		for n := 0; n < 40; n += 13 {
			film.Render(n, rgb)
			p, area := silhouette(rgb, film.still, side)
			off := math.Hypot(p.X-way[n].X, p.Y-way[n].Y) * side
			// The centroid of the triangle is not its centre.
			tol := .7
			if s.Kind == Chirp {
				tol = .5 + .2*s.Radius()*side
			}
			if !(off < tol) {
				t.Errorf("scene %d (%s): object %.2f pixels off at picture %d", i, s.Kind, off, n)
			}
			areas[s.Kind] += area / math.Pow(s.Radius()*side, 2) / 40
		}
	}
	for k, a := range areas {
		if !(math.Abs(a/fill[k]-1) < .15) {
			t.Errorf("%s fills %.2f radii², want %.2f", Kind(k), a, fill[k])
		}
	}
}

// Pictures are the same bytes again, in whatever order they are made.
func TestFilmIsDeterministic(t *testing.T) {
	s := NewScene(3, 9, Cues{Polish: true})
	a, b := s.Film(48, 12.5, 3.2), s.Film(48, 12.5, 3.2)
	first := make([]byte, 3*48*48)
	again := make([]byte, 3*48*48)
	a.Render(4, first)
	b.Render(30, again)
	if bytes.Equal(first, again) {
		t.Error("pictures 4 and 30 are equal")
	}
	a.Render(5, again)
	if bytes.Equal(first[:3*48], again[:3*48]) {
		t.Error("pictures 4 and 5 have the same noise in their top row")
	}
	b.Render(4, again)
	if !bytes.Equal(first, again) {
		t.Error("picture 4 differs after picture 30 was made")
	}
}

// Camera noise and scenery have the same distribution in both splits: means of
// brightness and of the difference between neighbouring pixels agree.
func TestNothingTellsTheSplit(t *testing.T) {
	cfg := Default()
	const side, n = 32, 320
	var mean, varOf [2][2]float64
	rgb := make([]byte, 3*side*side)
	for k, split := range []Split{Train, HeldOut} {
		for i := range n {
			film := cfg.Scene(split, i).Film(side, 12.5, .4)
			film.Render(i%film.Len(), rgb)
			sum, rough := 0.0, 0.0
			for j := 3; j < len(rgb); j++ {
				sum += float64(rgb[j]) / float64(len(rgb))
				rough += math.Abs(float64(rgb[j])-float64(rgb[j-3])) / float64(len(rgb))
			}
			for f, v := range [2]float64{sum, rough} {
				mean[k][f] += v / n
				varOf[k][f] += v * v / n
			}
		}
	}
	for f, name := range []string{"brightness", "roughness"} {
		var se float64
		for k := range 2 {
			se += (varOf[k][f] - mean[k][f]*mean[k][f]) / n
		}
		z := (mean[0][f] - mean[1][f]) / math.Sqrt(se)
		if !(math.Abs(z) < 3) {
			t.Errorf("%s tells the split: %.3f and %.3f, z %.1f", name, mean[0][f], mean[1][f], z)
		}
	}
}

func TestCameraNoise(t *testing.T) {
	s := NewScene(3, 1, Cues{})
	film := s.Film(48, 12.5, 3.2)
	rgb := make([]byte, 3*48*48)
	film.Render(0, rgb)
	var sum, sq, n float64
	for j, v := range rgb[:3*48*6] { // the top rows, free of the object here
		d := float64(v) - float64(film.line[j])/levelUnit
		sum, sq, n = sum+d, sq+d*d, n+1
	}
	sigma := math.Sqrt(sq/n - sum*sum/n/n)
	if !(math.Abs(sum/n) < .5 && math.Abs(sigma-noiseSigma*255) < .4) {
		t.Errorf("noise of mean %.2f and deviation %.2f levels, want 0 and %.2f",
			sum/n, sigma, noiseSigma*255)
	}
}

// Polish is seen: the same object is lighter all over, and has a highlight.
func TestPolishIsSeen(t *testing.T) {
	s := NewScene(3, 2, Cues{Polish: true})
	s.Color = [3]float64{.6, .6, .6}
	levels := func(polish float64) (plain, lightest int16) {
		s.Polish = polish
		film := s.Film(48, 12.5, .4)
		clear(film.line)
		film.drawObject(Path{.5, .5}, 0)
		for _, v := range film.line {
			lightest = max(lightest, v)
		}
		at := 3 * (24*48 + 24 + int(s.Radius()*48/2)) // right of the centre
		return film.line[at], lightest
	}
	rough, roughest := levels(0)
	smooth, shine := levels(1)
	if rough != 6364 || roughest != rough {
		t.Errorf("rough levels %d to %d, want 6364 (.39 of full)", rough, roughest)
	}
	if !(float64(smooth) > 1.5*float64(rough) && float64(shine) > 1.2*float64(smooth)) {
		t.Errorf("polished levels %d to %d, rough %d", smooth, shine, rough)
	}
}

// A picture shows the rotation of its moment: an angle is a turn anticlockwise.
func TestFilmTurns(t *testing.T) {
	s := NewScene(3, 2, Cues{})
	s.Kind, s.Size, s.Color = Chirp, 1, [3]float64{1, 0, 0}
	rgb := make([]byte, 3*64*64)
	centre := func(angle, spin float64, n int) (x, y float64) {
		s.Angle, s.Spin = angle, spin
		film := s.Film(64, 12.5, 1)
		film.way[n] = Path{.5, .5}
		film.Render(n, rgb)
		p, _ := silhouette(rgb, film.still, 64)
		return p.X - .5, p.Y - .5
	}
	// The triangle's centroid lies below its centre, so it shows the angle.
	_, down := centre(0, 0, 0)
	x, y := centre(math.Pi/2, 0, 0)
	if !(down < -.015 && math.Abs(x+down) < .006 && math.Abs(y) < .006) {
		t.Errorf("centroid at %.3f, after a quarter turn at (%.3f, %.3f)", down, x, y)
	}
	x2, y2 := centre(0, math.Pi/2, 0)
	if !(math.Abs(x2) < .006 && math.Abs(y2-down) < .006) {
		t.Errorf("a spin turns the first picture: (%.3f, %.3f)", x2, y2)
	}
	x3, _ := centre(0, math.Pi/2, 12)
	if !(math.Abs(x3+down) < .008) {
		t.Errorf("after .96 s at a quarter turn a second centroid at x %.3f, want %.3f", x3, -down)
	}
}

// Daylight is seen and heard: it alone sets the grey and the noise floor.
func TestDaylight(t *testing.T) {
	for i := range 8 {
		s := NewScene(3, i, Cues{Daylight: true})
		measure := func(daylight float64) (grey, db float64) {
			s.Daylight = daylight
			for _, v := range s.scenery(48) {
				grey += float64(v) / (levelUnit * 255 * 3 * 48 * 48)
			}
			hiss := make([]float32, 64000)
			s.hiss(testRateHz, hiss)
			p := 0.0
			for _, v := range hiss {
				p += float64(v) * float64(v) / float64(len(hiss))
			}
			return grey, 10 * math.Log10(p)
		}
		night, quiet := measure(0)
		day, loud := measure(1)
		if !(day > night+.25 && math.Abs(quiet+55) < .5 && math.Abs(loud+38) < .5) {
			t.Errorf("scene %d: grey %.2f to %.2f, noise %.1f to %.1f dB", i, night, day, quiet, loud)
		}
	}
}

func BenchmarkFilm(b *testing.B) {
	rgb := make([]byte, 48*48*3)
	for i := range b.N {
		film := NewScene(1, i, Cues{Polish: true}).Film(48, 12.5, 3.2)
		for j := range film.Len() {
			film.Render(j, rgb)
		}
	}
}
