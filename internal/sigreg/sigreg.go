// Package sigreg is the sketched isotropic Gaussian regulariser: it pulls the
// distribution of embeddings towards N(0, I) by comparing, along random
// directions, their empirical characteristic function (ECF) with the normal
// one at a few knots.
//
//	reg, err := sigreg.New(e, sigreg.Config{Directions: 2048, Knots: sigreg.DefaultKnots}, 128)
//	reg.Draw(seed, step)                       // the same on every process
//	reg.Step(cx, loss, dz, z, lambda)          // z (V, B, K); dz added to
//
// Source: LeJEPA, arXiv:2511.08544; paper, section 2. Unit constants on
// [−5, 5]: rows from N(0, I) give 1.0594 in expectation, equal rows at 0 give
// 0.40892·N.
package sigreg

import (
	"errors"
	"fmt"
	"math"

	"avjepa/internal/engine"
	"avjepa/internal/nn"
	"avjepa/internal/rng"
	"avjepa/internal/tensor"
)

// DefaultKnots are the published code's: 17 knots on [−5, 5].
var DefaultKnots = engine.Knots{Max: 5, Count: 17}

// Config describes the regulariser.
type Config struct {
	Directions int          // M, drawn anew each step
	Knots      engine.Knots // LeJEPA's own package: {3, 17, Half: true}
	Pooled     bool         // one test over the rows of all views, not one per view
}

// Validate returns every fault of the configuration, joined.
func (c Config) Validate() error {
	var errs []error
	if c.Directions < 1 {
		errs = append(errs, fmt.Errorf("sigreg: %d directions, at least 1 needed", c.Directions))
	}
	if c.Knots.Count < 2 {
		errs = append(errs, fmt.Errorf("sigreg: %d knots, at least 2 needed", c.Knots.Count))
	}
	if !(c.Knots.Max > 0) {
		errs = append(errs, fmt.Errorf("sigreg: knots up to %g, must be above 0", c.Knots.Max))
	}
	return errors.Join(errs...)
}

// Regularizer is SIGReg for embeddings of one dimension.
type Regularizer struct {
	Config
	engine     engine.Engine
	directions engine.Tensor // (M, K) rows of unit length
	host       []float32     // (M, K)
	stream     *rng.Stream
}

// New allocates the directions for embeddings of dim values. They are zero
// until Draw or SetDirections.
func New(e engine.Engine, cfg Config, dim int) (*Regularizer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	n := cfg.Directions * dim
	buf, err := e.NewBuffer(engine.F32, n)
	if err != nil {
		return nil, fmt.Errorf("sigreg: directions: %w", err)
	}
	return &Regularizer{Config: cfg, engine: e, host: make([]float32, n), stream: rng.New(0),
		directions: engine.NewTensor(buf, 0, tensor.Of(cfg.Directions, dim))}, nil
}

// Draw sets the directions of a step: independent normal vectors scaled to unit
// length, from the seed and the step alone.
func (r *Regularizer) Draw(seed uint64, step int) {
	draw(r.stream, r.host, r.directions.Cols(), seed, step)
	r.engine.Upload(r.directions, r.host)
}

func draw(r *rng.Stream, rows []float32, dim int, seed uint64, step int) {
	r.Restart(seed, "directions", step)
	r.FillNormal(rows, 1)
	for lo := 0; lo < len(rows); lo += dim {
		row, sum := rows[lo:lo+dim], 0.0
		for _, v := range row {
			sum += float64(v) * float64(v)
		}
		scale := float32(1 / math.Sqrt(sum))
		for i := range row {
			row[i] *= scale
		}
	}
}

// SetDirections sets the directions (M, K) to given ones.
func (r *Regularizer) SetDirections(rows []float32) { r.engine.Upload(r.directions, rows) }

// Losses returns how many losses Step sets: V, or 1 when pooled.
func (r *Regularizer) Losses(views int) int {
	if r.Pooled {
		return 1
	}
	return views
}

// Step computes the statistic of z and its gradient. With cx.Group it is that of
// the rows of all processes, of which each has B; the mean of dz's parts over
// processes, as that of all gradients, is then the gradient of the whole.
//
//	loss  (Losses(V))  set: of every view, unweighted
//	dz    (V, B, K)    added to: weight · d(mean of loss)/dz; nil for none
//	z     (V, B, K)
func (r *Regularizer) Step(cx *nn.Context, loss, dz, z engine.Tensor, weight float64) {
	e, k, m := cx.Engine, z.Dim(2), r.Directions
	views, rows := z.Dim(0), z.Dim(1)
	if r.Pooled {
		views, rows = 1, views*rows
	}
	mark := cx.Arena.Mark()
	p := cx.Arena.New(views, rows, m)
	e.Linear(engine.LinearArgs{Y: p, X: z, W: r.directions})
	ecf := cx.Arena.New(views, m, r.Knots.Count, 2)
	e.ECF(engine.ECFArgs{E: ecf, P: p, Knots: r.Knots})
	args := engine.SIGRegArgs{Loss: loss, E: ecf, Knots: r.Knots,
		N: float64(rows), Weight: weight}
	if g := cx.Group; g != nil {
		g.Average(ecf)
		g.Wait()
		args.N *= float64(g.Size())
	}
	if !dz.Nil() {
		args.DE = cx.Arena.New(views, m, r.Knots.Count, 2)
	}
	e.SIGReg(args)
	if !dz.Nil() {
		dp := cx.Arena.New(views, rows, m)
		e.ECFBackward(engine.ECFBackwardArgs{DP: dp, P: p, DE: args.DE, Knots: r.Knots})
		e.LinearInput(engine.LinearInputArgs{DX: dz.Reshape(views*rows, k), DY: dp,
			W: r.directions, Mode: engine.Add})
	}
	cx.Arena.Release(mark)
}
