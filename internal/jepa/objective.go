package jepa

import (
	"avjepa/internal/engine"
	"avjepa/internal/nn"
)

// projectorCall is a run of the projector over views lo to hi−1 of those that are
// encoded: BatchNorm sees them apart from the others, and moves its running
// statistics once for each call. The globals of all towers come first, then their
// locals.
type projectorCall struct {
	lo, hi int
	cache  projectorCache
}

// addCall appends a call, unless it is of no views.
func (m *Model) addCall(lo, hi int) {
	if lo < hi {
		m.calls = append(m.calls, projectorCall{lo: lo, hi: hi})
	}
}

// objective projects cls (E·B, D), computes the losses into the report and sets
// dCLS to the gradient of the total by cls.
func (m *Model) objective(cx *nn.Context, dCLS, cls engine.Tensor) {
	mark := cx.Arena.Mark()
	z := cx.Arena.New(m.encoded, m.batch, m.Proj)
	dz := cx.Arena.New(m.encoded, m.batch, m.Proj)
	m.project(cx, z, cls)
	m.losses(cx, dz, z)
	m.projectBackward(cx, dCLS, dz)
	if m.reducer != nil {
		m.reducer.Final(m.Projector.in.W.Grad) // its weights are behind the encoders'
	}
	cx.Arena.Release(mark)
}

// project sets z (E, B, K) from cls (E·B, D).
func (m *Model) project(cx *nn.Context, z, cls engine.Tensor) {
	for i := range m.calls {
		c := &m.calls[i]
		m.Projector.Forward(cx, &c.cache,
			z.Slice(c.lo, c.hi).Reshape((c.hi-c.lo)*m.batch, m.Proj),
			cls.Slice(c.lo*m.batch, c.hi*m.batch))
	}
}

// projectBackward sets dCLS (E·B, D) from dz (E, B, K).
func (m *Model) projectBackward(cx *nn.Context, dCLS, dz engine.Tensor) {
	for i := range m.calls {
		c := &m.calls[i]
		m.Projector.Backward(cx, &c.cache,
			dCLS.Slice(c.lo*m.batch, c.hi*m.batch),
			dz.Slice(c.lo, c.hi).Reshape((c.hi-c.lo)*m.batch, m.Proj))
	}
}

// losses sets dz (E, B, K) to the gradient of the total by z (E, B, K) and fills
// the report.
func (m *Model) losses(cx *nn.Context, dz, z engine.Tensor) {
	cx.Engine.Fill(dz, 0)
	m.predict(cx, dz, z)
	test := 0
	for _, t := range m.Towers {
		n := m.regular.Losses(t.views)
		m.regular.Step(cx, m.report.sigreg.Slice(test, test+n), t.of(dz), t.of(z),
			m.Lambda/float64(len(m.Towers)))
		test += n
	}
	m.spread(cx, z)
}

// of returns the tower's views of z (E, B, K) or its gradient.
func (t *Tower) of(z engine.Tensor) engine.Tensor { return z.Slice(t.first, t.first+t.views) }

// predict reports the prediction loss of every tower's views and adds the gradient
// of their mean.
func (m *Model) predict(cx *nn.Context, dz, z engine.Tensor) {
	e, mark := cx.Engine, cx.Arena.Mark()
	center := cx.Arena.New(m.batch, m.Proj)
	for i, t := range m.Towers {
		to := m.Towers[t.target]
		e.Center(center, to.of(z), to.globals)
		args := engine.PredictionLossArgs{Loss: m.report.invariance.Slice(i, i+1), Z: t.of(z),
			C: center, G: t.globals, Weight: (1 - m.Lambda) / float64(len(m.Towers)), Sum: m.Sum}
		if to == t {
			args.DZ = t.of(dz)
			e.PredictionLoss(args)
			continue
		}
		e.PredictionLoss(args)
		m.predictAcross(cx, dz, t, to, args)
	}
	cx.Arena.Release(mark)
}

// predictAcross adds the gradient of tower t's prediction loss, whose center c is the
// mean of another tower's G globals, to dz (E, B, K). The center stands as one more
// view, its own center, before the V views of t: it adds nothing to the squares, but
// their mean is over V+1 views, and its gradient is that of c, 1/G of it for each
// global.
func (m *Model) predictAcross(cx *nn.Context, dz engine.Tensor, t, to *Tower,
	args engine.PredictionLossArgs) {
	e, mark := cx.Engine, cx.Arena.Mark()
	views := 1 + t.views
	x, dx := cx.Arena.New(views, m.batch, m.Proj), cx.Arena.New(views, m.batch, m.Proj)
	e.Copy(x.Slice(0, 1).Reshape(m.batch, m.Proj), args.C)
	e.Copy(x.Slice(1, views), args.Z)
	e.Fill(dx, 0)
	e.PredictionLoss(engine.PredictionLossArgs{Loss: cx.Arena.New(1), DZ: dx, Z: x, C: args.C, G: 1,
		Weight: args.Weight * float64(views) / float64(t.views), Sum: m.Sum})
	e.AddTo(t.of(dz), dx.Slice(1, views), 1)
	for g := range to.globals {
		e.AddTo(to.of(dz).Slice(g, g+1), dx.Slice(0, 1), 1/float32(to.globals))
	}
	cx.Arena.Release(mark)
}

// spread reports deviations, and in a group means, of the projections z (E, B, K)
// over clips. One clip has no deviation: it stays 0.
func (m *Model) spread(cx *nn.Context, z engine.Tensor) {
	mark := cx.Arena.Mark()
	mean := cx.Arena.New(m.Proj)
	for v := range m.encoded {
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
	cx.Arena.Release(mark)
}
