package jepa

import (
	"fmt"

	"avjepa/internal/engine"
	"avjepa/internal/nn"
	"avjepa/internal/tensor"
)

// report is everything a step reports: parts of one tensor, so that it is read
// at once.
type report struct {
	all        engine.Tensor // the following, one after the other
	invariance engine.Tensor // (1)
	gradSquare engine.Tensor // (1)
	sigreg     engine.Tensor // (tests)
	deviation  engine.Tensor // (V, K)
	means      engine.Tensor // (V, K) of the projections; nil without a group

	tests, stds int // elements of sigreg and of deviation
	host        []float32
}

func newReport(e engine.Engine, tests, views, proj int, means bool) (report, error) {
	r := report{tests: tests, stds: views * proj}
	stds := 2 + r.tests + r.stds
	n := stds
	if means {
		n += r.stds
	}
	buf, err := e.NewBuffer(engine.F32, n)
	if err != nil {
		return r, fmt.Errorf("jepa: report: %w", err)
	}
	r.all = engine.NewTensor(buf, 0, tensor.Of(n))
	r.invariance, r.gradSquare = r.all.Slice(0, 1), r.all.Slice(1, 2)
	r.sigreg = r.all.Slice(2, 2+tests)
	r.deviation = r.all.Slice(2+tests, stds).Reshape(views, proj)
	if means {
		r.means = r.all.Slice(stds, n).Reshape(views, proj)
	}
	r.host = make([]float32, n)
	return r, nil
}

// objective projects cls (V·B, D), computes the losses into the report and sets
// dCLS to the gradient of the total by cls.
func (m *Model) objective(cx *nn.Context, dCLS, cls engine.Tensor) {
	mark := cx.Arena.Mark()
	z := cx.Arena.New(m.Views(), m.batch, m.Proj)
	dz := cx.Arena.New(m.Views(), m.batch, m.Proj)
	m.project(cx, z, cls)
	m.losses(cx, dz, z)
	m.projectBackward(cx, dCLS, dz)
	if m.reducer != nil {
		m.reducer.Final(m.Projector.in.W.Grad) // its weights are behind the encoder's
	}
	cx.Arena.Release(mark)
}

// project sets z (V, B, K) from cls (V·B, D). BatchNorm sees the rows of the
// globals and those of the locals apart, and moves its running statistics for
// each.
func (m *Model) project(cx *nn.Context, z, cls engine.Tensor) {
	for i, at := range m.calls() {
		if n := at.hi - at.lo; n > 0 {
			m.Projector.Forward(cx, &m.projCaches[i],
				z.Slice(at.lo, at.hi).Reshape(n*m.batch, m.Proj),
				cls.Slice(at.lo*m.batch, at.hi*m.batch))
		}
	}
}

// projectBackward sets dCLS (V·B, D) from dz (V, B, K).
func (m *Model) projectBackward(cx *nn.Context, dCLS, dz engine.Tensor) {
	for i, at := range m.calls() {
		if n := at.hi - at.lo; n > 0 {
			m.Projector.Backward(cx, &m.projCaches[i],
				dCLS.Slice(at.lo*m.batch, at.hi*m.batch),
				dz.Slice(at.lo, at.hi).Reshape(n*m.batch, m.Proj))
		}
	}
}

// calls returns the views of the projector's two calls.
func (m *Model) calls() [2]struct{ lo, hi int } {
	return [2]struct{ lo, hi int }{{0, m.Globals}, {m.Globals, m.Views()}}
}

// losses sets dz (V, B, K) to the gradient of the total by z (V, B, K) and fills
// the report.
func (m *Model) losses(cx *nn.Context, dz, z engine.Tensor) {
	e := cx.Engine
	mark := cx.Arena.Mark()
	center := cx.Arena.New(m.batch, m.Proj)
	e.Center(center, z, m.Globals)
	e.Fill(dz, 0)
	e.PredictionLoss(engine.PredictionLossArgs{Loss: m.report.invariance, DZ: dz, Z: z,
		C: center, G: m.Globals, Weight: 1 - m.Lambda, Sum: m.Sum})
	m.regular.Step(cx, m.report.sigreg, dz, z, m.Lambda)
	m.spread(cx, z)
	cx.Arena.Release(mark)
}

// spread reports deviations, and in a group means, of the projections z (V, B, K)
// over clips. One clip has no deviation: it stays 0.
func (m *Model) spread(cx *nn.Context, z engine.Tensor) {
	mean := cx.Arena.New(m.Proj)
	for v := range m.Views() {
		rows := z.Slice(v, v+1).Reshape(m.batch, m.Proj)
		if !m.report.means.Nil() {
			mean = m.report.means.Slice(v, v+1).Reshape(m.Proj)
		}
		switch {
		case m.batch > 1:
			cx.Engine.ColumnStats(mean, m.report.deviation.Slice(v, v+1).Reshape(m.Proj), rows)
		case !m.report.means.Nil():
			cx.Engine.Copy(mean, rows.Reshape(m.Proj))
		}
	}
}
