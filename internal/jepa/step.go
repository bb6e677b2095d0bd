package jepa

import (
	"avjepa/internal/engine"
	"avjepa/internal/rng"
	"avjepa/internal/vit"
)

// Step computes the losses of a batch and sets the gradients of all parameters: in
// a group those of the batch of all processes, the same bits in each. Dropout masks
// and directions depend on the seed and the step alone. It waits for nothing.
//
// With a MicroBatch the encoder takes the clips part after part, twice: BatchNorm,
// center and SIGReg need all projections before there is a gradient of any. The
// first pass leaves the CLS of all views and keeps no activations but those of
// the last part; projector, losses and the gradient of the CLS are those of the
// whole batch; the second pass runs every other part again, with the same masks,
// and backward from its rows of that gradient. So the gradients are the whole
// batch's but for the order of the sums over clips, at the cost of one more
// forward of all parts but one.
func (m *Model) Step(b *Batch, step int) {
	m.regular.Draw(m.seed, step)
	m.StepDrawn(b, step)
}

// SetDirections sets the directions (M, K), rows of unit length, for StepDrawn.
func (m *Model) SetDirections(rows []float32) { m.regular.SetDirections(rows) }

// StepDrawn is Step with the directions as they are.
func (m *Model) StepDrawn(b *Batch, step int) {
	if m.regular == nil {
		panic("jepa: Step of a model that was made to embed only")
	}
	m.cx.Train, m.cx.Step = true, step
	m.arena.Release(engine.Mark{})
	m.Params.ZeroGrads()
	if m.reducer != nil {
		m.reducer.Begin()
	}
	for _, t := range m.Towers {
		t.cache.CLSOnly = !m.KeepTokens
	}
	keep := vit.Keep
	if m.Recompute {
		keep = vit.KeepInputs
	}
	rows, d := m.encoded*m.batch, m.Config.Encoder.Width
	m.cls = m.arena.New(rows, d)
	if len(m.Towers) > 1 {
		m.joint = m.arena.New(m.Views()*m.batch, d)
	}
	dCLS := m.arena.New(rows, d)
	mark, last := m.arena.Mark(), m.parts()-1
	for i := range last {
		m.encode(b, i, vit.Discard)
		m.arena.Release(mark)
	}
	m.encode(b, last, keep)
	m.objective(&m.cx, dCLS, m.cls)
	m.encodeBackward(last, dCLS, last == 0)
	for i := range last {
		m.arena.Release(mark)
		m.encode(b, i, keep)
		m.encodeBackward(i, dCLS, i == last-1)
	}
	if m.reducer != nil {
		m.reducer.Finish()
	}
	m.engine.SquaredNorm(m.report.gradSquare, m.Params.Grads)
}

// parts returns the number of micro-batches of a step.
func (m *Model) parts() int {
	if m.MicroBatch == 0 {
		return 1
	}
	return (m.batch + m.MicroBatch - 1) / m.MicroBatch
}

// clips returns the bounds lo…hi−1 of the clips of a part.
func (m *Model) clips(part int) (lo, hi int) {
	if m.MicroBatch == 0 {
		return 0, m.batch
	}
	return part * m.MicroBatch, min((part+1)*m.MicroBatch, m.batch)
}

// encode runs the encoders over a part and sets its rows of the CLS.
func (m *Model) encode(b *Batch, part int, k vit.Keeping) {
	lo, hi := m.clips(part)
	n := hi - lo
	m.cx.Rows = rng.MaskRows{First: m.first + lo, Run: n, Stride: m.total}
	for i, t := range m.Towers {
		t.layOut(m, b, lo, hi)
		m.cx.Part = i // so that towers have masks of their own
		t.Encoder.Forward(&m.cx, &t.cache, t.groups, k)
		for v := range t.views {
			m.engine.Copy(clipsOf(m.cls, m.batch, t.first+v, lo, hi), t.cache.CLS.Slice(v*n, (v+1)*n))
		}
	}
}

// encodeBackward adds the gradients of the encoders from a part's rows of dCLS
// (E·B, D), after encode of that part. With final no other part follows. The last
// tower comes first: gradients become final from the end.
func (m *Model) encodeBackward(part int, dCLS engine.Tensor, final bool) {
	lo, hi := m.clips(part)
	n := hi - lo
	if final {
		m.cx.Reducer = m.reducer
	}
	for i := len(m.Towers) - 1; i >= 0; i-- {
		t := m.Towers[i]
		d := m.arena.New(t.views*n, dCLS.Dim(1))
		for v := range t.views {
			m.engine.Copy(d.Slice(v*n, (v+1)*n), clipsOf(dCLS, m.batch, t.first+v, lo, hi))
		}
		m.cx.Part = i
		t.Encoder.Backward(&m.cx, &t.cache, t.groups, d, nil)
	}
	m.cx.Reducer = nil
}

// GradSquare returns the squared norm (1) of the gradients of the last Step.
func (m *Model) GradSquare() engine.Tensor { return m.report.gradSquare }
