package tsne

import (
	"context"
	"fmt"
	"math"
	"runtime"

	"avjepa/internal/kernel"
	"avjepa/internal/pca"
	"avjepa/internal/rng"
	"avjepa/internal/tensor"
)

// Config says how rows are laid out. The zero Config is the usual one.
type Config struct {
	Perplexity   float64 // about how many neighbours count; 0 means 30, at most (n−1)/3
	Iterations   int     // 0 means 1000, the first quarter of them with exaggeration
	Exaggeration float64 // of the attraction at first; 0 means 12
	Theta        float64 // of Barnes–Hut, 0…0.7; 0 means 0.5. Exact asks for all pairs.
	Exact        bool    // no approximation: work grows with n²
	Rate         float64 // of learning; 0 means max(n/(4·Exaggeration), 50)
	Seed         uint64  // of the small noise at the start, which parts equal rows
}

// MostRows bounds n: the work for exact neighbours grows with n².
const MostRows = 200_000

func (c Config) filled(n int) (Config, error) {
	fill := func(x *float64, v float64) {
		if *x == 0 {
			*x = v
		}
	}
	fill(&c.Perplexity, 30)
	fill(&c.Exaggeration, 12)
	fill(&c.Theta, .5)
	c.Perplexity = min(c.Perplexity, float64(n-1)/3)
	if c.Iterations == 0 {
		c.Iterations = 1000
	}
	if c.Exact {
		c.Theta = 0
	}
	fill(&c.Rate, math.Max(float64(n)/(4*c.Exaggeration), 50))
	switch {
	case n < 4 || n > MostRows:
		return c, fmt.Errorf("tsne: %d points: 4 to %d can be laid out", n, MostRows)
	case !(c.Perplexity >= 1):
		return c, fmt.Errorf("tsne: perplexity %v is below 1", c.Perplexity)
	case c.Iterations < 1 || c.Iterations > 100_000:
		return c, fmt.Errorf("tsne: %d iterations: 1 to 100000", c.Iterations)
	case !(c.Theta >= 0 && c.Theta <= .7):
		return c, fmt.Errorf("tsne: theta %v is outside 0 to 0.7: above, points would repel themselves",
			c.Theta)
	case !(c.Exaggeration >= 1 && c.Exaggeration <= 1000), !(c.Rate > 0 && c.Rate <= 1e6):
		return c, fmt.Errorf("tsne: exaggeration %v, rate %v: 1 to 1000, and above 0", c.Exaggeration,
			c.Rate)
	}
	return c, nil
}

// Embed returns places (n, 2) in the plane for the rows of x (n, D). progress, if it is
// not nil, is told the iterations done and all. Errors: ctx's, a bad configuration, a
// value that is no number.
func Embed(ctx context.Context, x tensor.Array, c Config, progress func(done, total int)) (
	[]float64, error) {
	n := x.Shape.Rows()
	c, err := c.filled(n)
	if err != nil {
		return nil, err
	}
	pool := kernel.NewPool(runtime.GOMAXPROCS(0))
	defer pool.Close()
	start, err := begin(x, c.Seed) // finds values that are no numbers
	if err != nil {
		return nil, err
	}
	p, err := similarities(ctx, pool, x, c.Perplexity)
	if err != nil {
		return nil, err
	}
	d := newDescent(pool, p, start, c)
	for it := range c.Iterations {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		d.step(it)
		if progress != nil {
			progress(it+1, c.Iterations)
		}
	}
	return d.y, nil
}

// begin returns the first two principal coordinates (n, 2) of x, scaled to a deviation
// of 1e-4 of the first, with a hundredth of noise.
func begin(x tensor.Array, seed uint64) ([]float64, error) {
	n, d := x.Shape.Rows(), x.Shape.Cols()
	if d < 1 {
		return nil, fmt.Errorf("tsne: %d points without features", n)
	}
	b, err := pca.Fit(x, min(2, d))
	if err != nil {
		return nil, fmt.Errorf("tsne: %w", err)
	}
	scale := 0.0
	if b.Variance[0] > 0 {
		scale = 1e-4 / math.Sqrt(b.Variance[0])
	}
	y, k, r := make([]float64, 2*n), len(b.Variance), rng.New(seed, "tsne")
	for i, v := range b.Project(x) {
		y[i/k*2+i%k] = v * scale
	}
	for i := range y {
		y[i] += 1e-6 * r.NormFloat64()
	}
	return y, nil
}

// descent moves the points down the gradient of the Kullback–Leibler divergence, with
// momentum and a gain for each coordinate.
type descent struct {
	cfg        Config
	y          []float64 // (n, 2)
	dy         []float64 // (n, 2) gradient
	move, gain []float64 // (n, 2)
	forces     forces
}

func newDescent(pool *kernel.Pool, p *sparse, y []float64, c Config) *descent {
	d := &descent{cfg: c, y: y, dy: make([]float64, len(y)), move: make([]float64, len(y)),
		gain: make([]float64, len(y))}
	for i := range d.gain {
		d.gain[i] = 1
	}
	d.forces = forces{pool: pool, p: p, y: y, dy: d.dy, theta: c.Theta}
	return d
}

// step is iteration it.
func (d *descent) step(it int) {
	exaggeration, momentum := 1.0, .8
	if it < d.cfg.Iterations/4 {
		exaggeration, momentum = d.cfg.Exaggeration, .5
	}
	d.forces.gradient(exaggeration)
	for i, g := range d.dy {
		if (g > 0) == (d.move[i] > 0) { // still uphill of where it goes: slow down
			d.gain[i] = math.Max(.01, d.gain[i]*.8)
		} else {
			d.gain[i] += .2
		}
		d.move[i] = momentum*d.move[i] - d.cfg.Rate*d.gain[i]*g
		d.y[i] += d.move[i]
	}
	center(d.y)
}

// center moves the points' mean to 0.
func center(y []float64) {
	var mean [2]float64
	for i, v := range y {
		mean[i%2] += v
	}
	for i := range y {
		y[i] -= mean[i%2] / float64(len(y)/2)
	}
}
