package jepa

import (
	"avjepa/internal/engine"
	"avjepa/internal/vit"
)

// Embedding holds what a view can be represented by.
type Embedding struct {
	CLS       engine.Tensor // (views, D); with two towers the mean of those that see the view
	Projected engine.Tensor // (views, K) of the CLS, with running statistics
	Patches   engine.Tensor // (views, D) mean of the present modalities' tokens
}

// Embed runs views without dropout and with the running statistics. The result
// is valid until the next Step or Embed.
func (m *Model) Embed(g vit.Group) Embedding {
	cx := &m.cx
	cx.Train = false
	m.arena.Release(engine.Mark{})
	m.cls = engine.Tensor{}
	for _, t := range m.Towers {
		t.groups = t.groups[:0]
		if t.takes(kind{g.Views, !g.Audio.Nil(), !g.Video.Nil()}) {
			t.groups = append(t.groups, t.see(g))
			t.cache.CLSOnly = false
			t.Encoder.Forward(cx, &t.cache, t.groups, vit.Discard)
		}
	}
	d := m.Config.Encoder.Width
	out := Embedding{CLS: m.meanCLS(g.Views), Projected: m.arena.New(g.Views, m.Proj),
		Patches: m.arena.New(g.Views, d)}
	mark := m.arena.Mark()
	m.Projector.Forward(cx, &m.calls[0].cache, out.Projected, out.CLS)
	m.arena.Release(mark)
	m.meanPatches(out.Patches)
	return out
}

// meanCLS returns the mean (views, D) of the CLS of the towers that saw the views.
func (m *Model) meanCLS(views int) engine.Tensor {
	var seen []engine.Tensor
	for _, t := range m.Towers {
		if len(t.groups) > 0 {
			seen = append(seen, t.cache.CLS)
		}
	}
	if len(seen) == 1 {
		return seen[0]
	}
	y := m.arena.New(views, m.Config.Encoder.Width)
	m.engine.Fill(y, 0)
	for _, x := range seen {
		m.engine.AddTo(y, x, 1/float32(len(seen)))
	}
	return y
}

// meanPatches sets y (views, D) to the mean of the tokens of the modalities that
// the views have, every token counting alike.
func (m *Model) meanPatches(y engine.Tensor) {
	all := m.Features().Tokens
	if len(all) == 1 {
		m.meanTokens(y, all[0])
		return
	}
	mark := m.arena.Mark()
	part, count := m.arena.New(y.Dim(0), y.Dim(1)), 0
	for _, t := range all {
		count += t.Hi - t.Lo
	}
	m.engine.Fill(y, 0)
	for _, t := range all {
		m.meanTokens(part, t)
		m.engine.AddTo(y, part, float32(t.Hi-t.Lo)/float32(count))
	}
	m.arena.Release(mark)
}

// meanTokens sets y (views, D) to the mean of the patches among tokens.
func (m *Model) meanTokens(y engine.Tensor, t Tokens) {
	if t.Hi-t.Lo == 1 { // ColumnStats needs two rows
		m.engine.Copy(y, t.All.Token(t.Lo))
		return
	}
	mark, d := m.arena.Mark(), y.Dim(1)
	std := m.arena.New(d)
	for v := range y.Dim(0) {
		view := t.All.Slice(v, v+1).Reshape(t.All.Dim(1), d)
		m.engine.ColumnStats(y.Slice(v, v+1).Reshape(d), std, view.Slice(t.Lo, t.Hi))
	}
	m.arena.Release(mark)
}
