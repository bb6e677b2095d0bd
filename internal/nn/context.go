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
}

// Key names the dropout mask of a layer: the same in Forward and Backward.
func (cx *Context) Key(layer int) rng.Key {
	return rng.NewKey(cx.Seed, cx.Step, layer+cx.Part<<16)
}

// dropout returns p in training, else 0.
func (cx *Context) dropout(p float64) float64 {
	if cx.Train {
		return p
	}
	return 0
}
