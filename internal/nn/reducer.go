package nn

import "avjepa/internal/engine"

// DefaultBucket is how many gradients are averaged at a time at least: 25 MiB.
// Fewer would wait for the network's latency more often, more would start later.
const DefaultBucket = 25 << 20 / 4

// Reducer averages the gradients of a register over the processes of a group while
// the backward pass still runs. The gradients of the weights lie in the order of
// registration, which is that of the forward pass, so they become final from the
// end towards the beginning: what lies behind the watermark is final, and is handed
// to the group as soon as it fills a bucket. Biases, norms and positions, behind
// the weights, are few and come last.
//
//	r.Begin()
//	…backward; layers call Context.Final
//	r.Finish() // Grads are the means over all processes
type Reducer struct {
	Bucket int // gradients; DefaultBucket if 0

	group      engine.Group
	params     *Params
	final, end int // gradients final…end−1 are final and not yet handed over
}

// NewReducer returns the reducer of a built register with gradients.
func NewReducer(ps *Params, g engine.Group) *Reducer {
	return &Reducer{params: ps, group: g}
}

// Begin starts a backward pass, all of whose gradients are still to come.
func (r *Reducer) Begin() { r.final, r.end = r.params.Decayed, r.params.Decayed }

// Final says that the gradients of all weights from the first of grad on, in order
// of registration, will not change any more. It panics when they come out of order
// or are no weights': that is a layer's mistake.
func (r *Reducer) Final(grad engine.Tensor) {
	at := grad.Offset()
	if grad.Buffer() != r.params.Grads.Buffer() || at > r.final || at >= r.params.Decayed {
		panic("nn: gradients become final out of order")
	}
	r.final = at
	bucket := r.Bucket
	if bucket == 0 {
		bucket = DefaultBucket
	}
	if r.end-r.final >= bucket {
		r.average(r.final, r.end)
		r.end = r.final
	}
}

// Finish averages what is left and makes every later operation see the averages.
func (r *Reducer) Finish() {
	r.average(0, r.end)
	r.average(r.params.Decayed, r.params.Grads.Elems())
	r.group.Wait()
}

func (r *Reducer) average(lo, hi int) {
	if lo < hi {
		r.group.Average(r.params.Grads.Slice(lo, hi))
	}
}

// Broadcast replaces all values, running statistics included, by process 0's. Counters
// stay each process's own: those of process 0, which saves them, count for all.
func (ps *Params) Broadcast(g engine.Group) {
	g.Broadcast(ps.Values)
	for _, b := range ps.buffers {
		g.Broadcast(b.Value)
	}
}
