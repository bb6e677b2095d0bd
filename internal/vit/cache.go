package vit

import (
	"avjepa/internal/engine"
	"avjepa/internal/nn"
)

// Keeping says what of a Forward stays in the arena, for a Backward to follow.
type Keeping uint8

const (
	Discard    Keeping = iota // the outputs alone: no Backward
	Keep                      // all activations
	KeepInputs                // of a block its input: Backward runs the block again
)

// Cache holds the outputs of a Forward and, after one with Keep, what Backward
// needs. It can be used again and then allocates nothing.
type Cache struct {
	// CLSOnly, set before Forward, says that no other output token is wanted.
	// The last block then does at most a sixth of its work: nn.Block.ForwardCLS.
	CLSOnly bool

	CLS engine.Tensor // (ΣViews, D) embeddings of the views, group after group

	keeping  Keeping // of the last Forward
	groups   []span
	segments []segment
	again    nn.BlockCache // of the block that Backward runs again
}

// span says where the views of a group lie: in which segment, from which view.
type span struct{ segment, first, views int }

// segment is a run of views whose sequences have one length: all of them, or
// with DropAbsent those of neighbouring groups with equal numbers of tokens.
type segment struct {
	views, tokens int
	embedded      engine.Tensor // (views, N, D) tokens before the LayerNorm
	input         engine.Tensor // (views, N, D) input of the first block
	before        engine.Tensor // (views, N, D) input of the last block
	last          engine.Tensor // (views, N, D) output of it; N 1 with CLSOnly
	y             engine.Tensor // (views, N, D) output, likewise
	stats         nn.Stats      // of the embedding LayerNorm
	blocks        []nn.BlockCache
}

// Tokens returns the output tokens (views, N, D) of group g, CLS first. With
// DropAbsent those of an absent modality are not among them, and with CLSOnly
// none but the CLS is.
func (c *Cache) Tokens(g int) engine.Tensor { return c.of(g, c.segments[c.groups[g].segment].y) }

// Embedded returns the tokens (views, N, D) of group g before the embedding
// LayerNorm, and after it. Only after a Forward with Keep or KeepInputs.
func (c *Cache) Embedded(g int) (before, after engine.Tensor) {
	s := c.segments[c.groups[g].segment]
	return c.of(g, s.embedded), c.of(g, s.input)
}

// Block returns the output (views, N, D) of block i for group g. Only after a
// Forward with Keep or KeepInputs.
func (c *Cache) Block(g, i int) engine.Tensor {
	return c.of(g, c.segments[c.groups[g].segment].blocks[i].Y)
}

func (c *Cache) of(g int, t engine.Tensor) engine.Tensor {
	s := c.groups[g]
	return t.Slice(s.first, s.first+s.views)
}

// part returns the context of segment i, whose dropout masks are its own.
func (c *Cache) part(cx *nn.Context, i int) nn.Context {
	sub := *cx
	sub.Part = cx.Part*len(c.segments) + i
	return sub
}

// layout sets groups and segments.
func (c *Cache) layout(cfg Config, groups []Group) {
	c.groups, c.segments = c.groups[:0], c.segments[:0]
	for _, g := range groups {
		n := cfg.tokens(!g.Video.Nil(), !g.Audio.Nil())
		last := len(c.segments) - 1
		if last < 0 || c.segments[last].tokens != n {
			last++
			if last < cap(c.segments) {
				c.segments = c.segments[:last+1] // keeps its blocks
			} else {
				c.segments = append(c.segments, segment{})
			}
			c.segments[last].views, c.segments[last].tokens = 0, n
		}
		s := &c.segments[last]
		c.groups = append(c.groups, span{last, s.views, g.Views})
		s.views += g.Views
	}
}
