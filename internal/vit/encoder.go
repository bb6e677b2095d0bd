package vit

import (
	"avjepa/internal/engine"
	"avjepa/internal/nn"
)

// Encoder is the transformer over the tokens of a view.
type Encoder struct {
	Config
	embedding embedding
	blocks    []*nn.Block
	norm      nn.LayerNorm // of the last block's output, with FinalNorm
}

// New registers an encoder's parameters under the prefix, in the names of the
// published checkpoints: prefix.embedding.* and prefix.encoder.blocks.*, those of
// one modality prefix.audio_embedding.* and prefix.audio_encoder.blocks.*, or
// video_…. It returns cfg.Validate's error.
func New(ps *nn.Params, prefix string, cfg Config) (*Encoder, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	prefix += map[Modality]string{Both: ".", AudioOnly: ".audio_", VideoOnly: ".video_"}[cfg.Modality]
	m := &Encoder{Config: cfg, embedding: newEmbedding(ps, prefix+"embedding", cfg)}
	for i := range cfg.Depth {
		m.blocks = append(m.blocks, nn.NewBlock(ps, prefix+"encoder.blocks", i, nn.BlockConfig{
			Width: cfg.Width, Heads: cfg.Heads, Hidden: cfg.hidden(), Dropout: cfg.Dropout,
			AttentionDropout: cfg.AttentionDropout, InitStd: cfg.InitStd}))
	}
	if cfg.FinalNorm {
		m.norm = nn.NewLayerNorm(ps, prefix+"encoder.layernorm", cfg.Width, 1e-5)
	}
	return m, nil
}

// embedMask is the layer number of the embedding's dropout mask; the blocks'
// begin behind it.
const embedMask = 0

// Forward runs all groups and sets c's outputs, which lie in the arena of cx:
// the caller takes a Mark before and releases it after Backward.
func (m *Encoder) Forward(cx *nn.Context, c *Cache, groups []Group, k Keeping) {
	c.layout(m.Config, groups)
	c.keeping = k
	views := 0
	for i := range c.segments {
		views += c.segments[i].views
	}
	c.CLS = cx.Arena.New(views, m.Width)
	first := 0
	for i := range c.segments {
		s, part := &c.segments[i], c.part(cx, i)
		m.embed(&part, c, i, groups, k)
		m.run(&part, s, k, c.CLSOnly)
		cx.Engine.Copy(c.CLS.Slice(first, first+s.views), s.y.Token(0))
		first += s.views
	}
}

// embed sets embedded and input of segment i.
func (m *Encoder) embed(cx *nn.Context, c *Cache, i int, groups []Group, k Keeping) {
	s := &c.segments[i]
	s.embedded = cx.Arena.New(s.views, s.tokens, m.Width)
	for g, at := range c.groups {
		if at.segment == i {
			m.embedding.forward(cx, c.of(g, s.embedded), groups[g])
		}
	}
	s.input = s.embedded
	if m.EmbedNorm {
		s.stats = nn.Stats{}
		if k != Discard {
			s.input = cx.Arena.New(s.views, s.tokens, m.Width)
			s.stats = nn.NewStats(cx.Arena, s.views*s.tokens)
		}
		m.embedding.norm.Forward(cx, s.input, s.embedded, s.stats)
	}
	if mask := cx.Mask(embedMask, m.Dropout, s.tokens); mask.P > 0 {
		cx.Engine.Dropout(s.input, s.input, mask)
	}
}

// run sends a segment through the blocks.
func (m *Encoder) run(cx *nn.Context, s *segment, k Keeping, clsOnly bool) {
	if len(s.blocks) != len(m.blocks) {
		s.blocks = make([]nn.BlockCache, len(m.blocks))
	}
	x := s.input
	var spare engine.Tensor
	for i, b := range m.blocks {
		var kept *nn.BlockCache
		if k == Keep {
			kept = &s.blocks[i]
		}
		last := clsOnly && i == len(m.blocks)-1
		switch {
		case last:
			spare = cx.Arena.New(s.views, 1, m.Width)
		case k != Discard || spare.Nil():
			spare = cx.Arena.New(s.views, s.tokens, m.Width)
		}
		if k == KeepInputs {
			s.blocks[i] = nn.BlockCache{X: x, Y: spare}
		}
		if last {
			b.ForwardCLS(cx, kept, spare, x)
		} else {
			b.Forward(cx, kept, spare, x)
		}
		x, spare = spare, x
	}
	s.before, s.last, s.y = spare, x, x
	if m.FinalNorm {
		s.y = cx.Arena.New(x.Dim(0), x.Dim(1), m.Width)
		m.norm.Forward(cx, s.y, s.last, nn.Stats{})
	}
}

// Backward adds the gradients of all parameters, after a Forward with Keep or
// KeepInputs of the same groups, in the same Context. Both give the same bits.
//
//	dCLS     (ΣViews, D)
//	dTokens  nil, or per group nil or (views, N, D): further gradients of the
//	         output tokens
func (m *Encoder) Backward(cx *nn.Context, c *Cache, groups []Group,
	dCLS engine.Tensor, dTokens []engine.Tensor) {
	first := 0
	for i := range c.segments {
		s, part := &c.segments[i], c.part(cx, i)
		if i < len(c.segments)-1 { // the last one adds to the same gradients
			part.Reducer = nil
		}
		mark := cx.Arena.Mark()
		d := m.outputGradient(&part, c, i, dCLS.Slice(first, first+s.views), dTokens)
		d = m.runBackward(&part, c, s, d)
		m.embedBackward(&part, c, i, groups, d)
		cx.Arena.Release(mark)
		first += s.views
	}
}

// outputGradient returns the gradient of segment i's y, like y.
func (m *Encoder) outputGradient(cx *nn.Context, c *Cache, i int, dCLS engine.Tensor,
	dTokens []engine.Tensor) engine.Tensor {
	y := c.segments[i].y
	d := cx.Arena.New(y.Dim(0), y.Dim(1), m.Width)
	cx.Engine.Fill(d, 0)
	cx.Engine.Copy(d.Token(0), dCLS)
	for g, dt := range dTokens {
		if c.groups[g].segment == i && !dt.Nil() {
			cx.Engine.AddTo(c.of(g, d), dt, 1)
		}
	}
	return d
}

// runBackward turns d, the gradient of y, into that of input: in place, or with
// CLSOnly in a tensor of its own.
func (m *Encoder) runBackward(cx *nn.Context, c *Cache, s *segment,
	d engine.Tensor) engine.Tensor {
	if m.FinalNorm {
		mark := cx.Arena.Mark()
		st := nn.NewStats(cx.Arena, d.Rows())
		m.norm.Forward(cx, s.y, s.last, st)
		m.norm.Backward(cx, d, d, s.last, st, engine.Set)
		cx.Arena.Release(mark)
	}
	last := len(m.blocks) - 1
	if c.CLSOnly {
		dx := cx.Arena.New(s.views, s.tokens, m.Width)
		mark := cx.Arena.Mark()
		m.blocks[last].BackwardCLS(cx, m.recall(cx, c, s, last), dx, d)
		cx.Arena.Release(mark)
		d = dx
		last--
	}
	for i := last; i >= 0; i-- {
		mark := cx.Arena.Mark()
		m.blocks[i].Backward(cx, m.recall(cx, c, s, i), d)
		cx.Arena.Release(mark)
	}
	return d
}

// recall returns what block i kept, which with KeepInputs is made again, in the
// arena.
func (m *Encoder) recall(cx *nn.Context, c *Cache, s *segment, i int) *nn.BlockCache {
	kept := &s.blocks[i]
	switch {
	case c.keeping == Keep:
		return kept
	case c.CLSOnly && i == len(m.blocks)-1:
		m.blocks[i].ForwardCLS(cx, &c.again, engine.Tensor{}, kept.X)
	default:
		m.blocks[i].Forward(cx, &c.again, engine.Tensor{}, kept.X)
	}
	return &c.again
}

// embedBackward adds the gradients of the embedding from d, that of input.
func (m *Encoder) embedBackward(cx *nn.Context, c *Cache, i int, groups []Group, d engine.Tensor) {
	s := &c.segments[i]
	if mask := cx.Mask(embedMask, m.Dropout, s.tokens); mask.P > 0 {
		cx.Engine.Dropout(d, d, mask)
	}
	if m.EmbedNorm {
		m.embedding.norm.Backward(cx, d, d, s.embedded, s.stats, engine.Set)
	}
	for g, at := range c.groups {
		if at.segment == i {
			m.embedding.backward(cx, c.of(g, d), groups[g])
		}
	}
}

// AttentionWeights returns the last block's softmax (views, A, N, N) for group g,
// from the arena. Only after a Forward with Keep.
func (m *Encoder) AttentionWeights(cx *nn.Context, c *Cache, g int) engine.Tensor {
	last := len(m.blocks) - 1
	qkv := c.segments[c.groups[g].segment].blocks[last].QKV
	return m.blocks[last].AttentionWeights(cx, c.of(g, qkv))
}

// QueryKey returns query and key of the last block for group g, side by side: (views,
// N, 2D), F32, from the arena. After any Forward, before its memory is released: they
// are made again from the block's input. Both follow nn.Block.QueryKey.
func (m *Encoder) QueryKey(cx *nn.Context, c *Cache, g int) engine.Tensor {
	before := c.segments[c.groups[g].segment].before
	return m.blocks[len(m.blocks)-1].QueryKey(cx, c.of(g, before))
}
