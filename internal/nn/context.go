package nn

import (
	"avjepa/internal/engine"
	"avjepa/internal/rng"
)

// Context is what a pass over a model runs in.
type Context struct {
	Engine engine.Engine
	Arena  *engine.Arena
	Train  bool   // dropout on, BatchNorm with the batch's own statistics
	Seed   uint64 // of the run
	Step   int
	Part   int // number of the pass within the step; each has dropout masks of its own

	Rows rng.MaskRows // of the masks: which sequences of a larger batch the pass has

	Group     engine.Group // processes that share the step; nil for this one alone
	NormGroup engine.Group // those whose rows BatchNorm normalises together; nil likewise
	Reducer   *Reducer     // told which gradients are final; nil when nobody asks
}

// Final says that the gradients of all weights from the first of grad on, in order
// of registration, are final.
func (cx *Context) Final(grad engine.Tensor) {
	if cx.Reducer != nil {
		cx.Reducer.Final(grad)
	}
}

// Key names the dropout mask of a layer: the same in Forward and Backward.
func (cx *Context) Key(layer int) rng.Key {
	return rng.NewKey(cx.Seed, cx.Step, layer+cx.Part<<16)
}

// Mask returns the dropout mask of a layer for sequences of so many tokens, or for
// the first ones of such: with probability p in training, else 0.
func (cx *Context) Mask(layer int, p float64, tokens int) rng.Mask {
	if !cx.Train || p == 0 {
		return rng.Mask{}
	}
	m := rng.Mask{P: p, Key: cx.Key(layer), Rows: cx.Rows}
	m.Rows.Tokens = tokens
	return m
}
