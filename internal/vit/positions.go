package vit

import (
	"fmt"
	"math"

	"avjepa/internal/nn"
	"avjepa/internal/tensor"
)

// Position is a table of learned positions: those of an axis, or of the places of a
// square frame, row by row.
type Position struct {
	*nn.Param      // (1, n, 1, D) or (1, 1, n, D)
	Square    bool // n is a square: both its axes are interpolated
}

// Positions returns the tables of the encoder.
func (m *Encoder) Positions() []Position {
	e, all := &m.embedding, []Position(nil)
	if m.Modality != VideoOnly {
		all = append(all, Position{e.audioFreq, false}, Position{e.audioTime, false})
	}
	if m.Modality != AudioOnly {
		all = append(all, Position{e.videoTime, false}, Position{e.videoArea, true})
	}
	return all
}

// Projections returns the names of the layers that embed patches, whose weights have
// the size of a patch: each has a .weight and a .bias.
func (m *Encoder) Projections() []string {
	var all []string
	for _, w := range []*nn.Param{m.embedding.video.W, m.embedding.audio.W} {
		if w != nil {
			all = append(all, w.Name[:len(w.Name)-len(".weight")])
		}
	}
	return all
}

// Interpolate returns a table of another geometry as one of p's, and says what it
// did: "14×14 to 7×7 places". The table spans the same extent of a view before and
// after: place i of n lies at (i+½)/n of it. Axes are interpolated one by one with
// the cubic kernel of Keys (a = −½), which is widened where places become fewer, and
// whose weights are scaled to a sum of 1 at the borders: bicubic with antialiasing,
// as is usual for vision transformers.
//
// Source: Keys 1981, "Cubic convolution interpolation for digital image processing".
func (p Position) Interpolate(a tensor.Array) (tensor.Array, string, error) {
	d := p.Shape.Cols()
	if a.Shape.Rank() != p.Shape.Rank() || a.Shape.Cols() != d {
		return a, "", fmt.Errorf("vit: %s is %v, %v wanted: positions of another width cannot be "+
			"interpolated", p.Name, a.Shape, p.Shape)
	}
	from, to := a.Shape.Rows(), p.Shape.Rows()
	out := tensor.Array{Shape: p.Shape}
	if !p.Square {
		out.Data = resample(a.Data, 1, from, to, d)
		return out, fmt.Sprintf("%d to %d places", from, to), nil
	}
	h, w := root(from), root(to)
	if h*h != from || w*w != to {
		return a, "", fmt.Errorf("vit: %s has %d places, %d wanted: both must be squares, such as %d "+
			"and %d, to be interpolated", p.Name, from, to, h*h, w*w)
	}
	rows := resample(a.Data, 1, h, w, h*d) // (w, h, D): the columns are still as they were
	out.Data = resample(rows, w, h, w, d)
	return out, fmt.Sprintf("%d×%d to %d×%d places", h, h, w, w), nil
}

// root returns the whole number nearest to √n.
func root(n int) int { return int(math.Round(math.Sqrt(float64(n)))) }

// resample returns x (blocks, from, d) with the middle axis interpolated to to.
func resample(x []float32, blocks, from, to, d int) []float32 {
	y, sum := make([]float32, blocks*to*d), make([]float64, d)
	for i := range to {
		first, weights := cubicWeights(i, from, to)
		for b := range blocks {
			clear(sum)
			for k, w := range weights {
				row := x[(b*from+first+k)*d:][:d]
				for j, v := range row {
					sum[j] += w * float64(v)
				}
			}
			for j, v := range sum {
				y[(b*to+i)*d+j] = float32(v)
			}
		}
	}
	return y
}

// cubicWeights returns what place i of to takes of places first, first+1 … of from.
func cubicWeights(i, from, to int) (first int, weights []float64) {
	step := float64(from) / float64(to)
	width := max(1, step)
	center := (float64(i)+0.5)*step - 0.5
	first = max(0, int(math.Ceil(center-2*width)))
	last := min(from-1, int(math.Floor(center+2*width)))
	sum := 0.0
	for k := first; k <= last; k++ {
		w := cubic((float64(k) - center) / width)
		weights = append(weights, w)
		sum += w
	}
	for k := range weights {
		weights[k] /= sum
	}
	return first, weights
}

// cubic is Keys' kernel with a = −½: it gives back polynomials of degree 2.
func cubic(x float64) float64 {
	switch x = math.Abs(x); {
	case x < 1:
		return (1.5*x-2.5)*x*x + 1
	case x < 2:
		return ((-0.5*x+2.5)*x-4)*x + 2
	}
	return 0
}
