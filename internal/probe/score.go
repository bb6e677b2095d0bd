package probe

import (
	"fmt"

	"avjepa/internal/engine"
	"avjepa/internal/jepa"
	"avjepa/internal/vit"
)

// Score embeds a group of at most B views with model, without dropout, and
// returns both heads' logits (views, C); attentive is nil without that head. Of
// a group with one modality only that modality's tokens are attended to.
func (o *Online) Score(model *jepa.Model, g vit.Group) (linear, attentive []float32) {
	if g.Views > o.batch {
		panic(fmt.Sprintf("probe: %d views to score, memory for %d", g.Views, o.batch))
	}
	cls := model.Embed(g).CLS
	y, z := o.classify(cls, model.Features().Tokens)
	linear = make([]float32, y.Elems())
	o.engine.Download(linear, y)
	if !z.Nil() {
		attentive = make([]float32, z.Elems())
		o.engine.Download(attentive, z)
	}
	return linear, attentive
}

// classify returns the logits of cls (R, D), and those of the patches among tokens
// (R, N, D), from the arena.
func (o *Online) classify(cls engine.Tensor, tokens []jepa.Tokens) (linear, attentive engine.Tensor) {
	cx, r := &o.cx, cls.Dim(0)
	cx.Arena.Release(engine.Mark{})
	linear = cx.Arena.New(r, o.Classes)
	var c LinearCache
	o.Linear.Forward(cx, &c, linear, cls)
	if o.Attentive == nil {
		return linear, attentive
	}
	attentive = cx.Arena.New(r, o.Classes)
	x := cx.Arena.New(r, patches(tokens), o.model.Encoder.Width)
	meanTokens(cx, x, tokens)
	var a AttentiveCache
	o.Attentive.Forward(cx, &a, attentive, x)
	return linear, attentive
}
