package loader

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"

	"avjepa/internal/dataset"
	"avjepa/internal/rng"
)

// StepsPerEpoch returns floor(clips / batch size): every clip of an epoch is
// seen at most once, and the clips left over differ from epoch to epoch.
func StepsPerEpoch(clips, batchSize int) int { return clips / batchSize }

// Order returns the order of n clips in an epoch: the order "clips".
func Order(seed uint64, epoch, n int) []int {
	p := make([]int, n)
	reorder(p, rng.New(0), seed, epoch)
	return p
}

// reorder sets p to the order of an epoch, drawn from r started anew.
func reorder(p []int, r *rng.Stream, seed uint64, epoch int) {
	r.Restart(seed, "order", epoch)
	for i := range p {
		p[i] = i
	}
	r.Shuffle(len(p), func(i, j int) { p[i], p[j] = p[j], p[i] })
}

// Balanced returns a weight for each clip of a set: the sum over its labels of
// 1000 / (clips with the label + 0.01), so that an epoch drawn by them has about as
// many clips of every label. A clip without a label has none and is never drawn:
// there is no class it could help to balance.
//
// Source: spec §6, the class-balanced sampling of AudioSet.
func Balanced(set *dataset.Set) []float64 {
	count := map[string]int{}
	for i := range set.Len() {
		for _, l := range set.Labels(i) {
			count[l]++
		}
	}
	weights := make([]float64, set.Len())
	for i := range weights {
		for _, l := range set.Labels(i) {
			weights[i] += 1000 / (float64(count[l]) + .01)
		}
	}
	return weights
}

// Orders says which clips the epochs of a Loader in the order "clips" have: what is
// trained on the features of clips then takes them as a Loader would.
type Orders struct {
	seed     uint64
	clips    []int
	random   *rng.Stream
	weighted *weighted // with weights
}

// NewOrders returns those of n clips, or with weights those drawn by them: see
// Config.Weights, whose errors it returns.
func NewOrders(n int, seed uint64, weights []float64) (*Orders, error) {
	o := &Orders{seed: seed, clips: make([]int, n), random: rng.New(0)}
	if weights == nil {
		return o, nil
	}
	if len(weights) != n {
		panic(fmt.Sprintf("loader: %d weights of %d clips", len(weights), n))
	}
	var err error
	o.weighted, err = newWeighted(weights, seed)
	return o, err
}

// Epoch returns the clips of an epoch in their order, valid until the next call.
func (o *Orders) Epoch(epoch int) []int {
	if o.weighted == nil {
		reorder(o.clips, o.random, o.seed, epoch)
		return o.clips
	}
	o.weighted.begin(epoch)
	for i, c := range o.weighted.clips {
		o.clips[i] = int(c)
	}
	return o.clips
}

// weighted draws epochs of as many clips as there are weights, with replacement.
type weighted struct {
	sums   []float64 // of the weights up to and with each clip's, to the last above 0
	random *rng.Stream
	seed   uint64
	clips  []int32 // of the epoch
	again  []int32 // how often each was drawn in the epoch before
	drawn  []int32 // by clip
}

func newWeighted(weights []float64, seed uint64) (*weighted, error) {
	w := &weighted{random: rng.New(0), seed: seed}
	sum := 0.
	for i, x := range weights {
		if !(x >= 0 && x <= math.MaxFloat32) {
			return nil, fmt.Errorf("loader: weight %v of clip %d is outside [0, 2¹²⁸)", x, i)
		}
		sum += x
		w.sums = append(w.sums, sum)
	}
	for n := len(w.sums); n > 1 && w.sums[n-1] == w.sums[n-2]; n-- {
		w.sums = w.sums[:n-1] // rounding could make a draw end there
	}
	if sum == 0 {
		return nil, fmt.Errorf("loader: %w: no clip has a weight above 0 (data.sampling = "+
			"\"balanced\" draws clips with labels alone): use \"uniform\"", ErrNoClip)
	}
	n := len(weights)
	w.clips, w.again, w.drawn = make([]int32, n), make([]int32, n), make([]int32, n)
	return w, nil
}

// begin draws an epoch.
func (w *weighted) begin(epoch int) {
	w.random.Restart(w.seed, "weighted", epoch)
	clear(w.drawn)
	last := len(w.sums) - 1
	for k := range w.clips {
		x := w.random.Float64() * w.sums[last]
		i := sort.Search(last, func(i int) bool { return w.sums[i] > x })
		w.clips[k], w.again[k] = int32(i), w.drawn[i]
		w.drawn[i]++
	}
}

// lanes is the order "shards" of a set: what is read one after the other lies one
// after the other. See docs/architecture.md, Data.
type lanes struct {
	set     *dataset.Set
	seed    uint64
	count   int
	perLane int     // clips that a lane gives in an epoch
	most    int64   // bytes of records among which a lane draws
	byPlace []int32 // clips by shard and offset
	starts  []int32 // of each shard in byPlace, and len(byPlace)

	random   *rng.Stream
	shuffled []int32 // shards of an epoch
	sequence []int32 // clips of an epoch, of all lanes
	pool     []int32
}

// read is a clip that a lane reads.
type read struct {
	clip int32
	draw int32 // it is the clip of this draw of the epoch
}

// lanePlan is what a lane does in an epoch.
type lanePlan struct {
	draws []int32 // clips in the order they are used
	reads []read  // of the draws, in the order they are read
	drawn []int32 // scratch
}

func newLanes(set *dataset.Set, seed uint64, count, batch int, most int64) *lanes {
	n := set.Len()
	o := &lanes{set: set, seed: seed, count: count, most: most, random: rng.New(0),
		perLane: StepsPerEpoch(n, batch) * batch / count, byPlace: make([]int32, n)}
	for i := range o.byPlace {
		o.byPlace[i] = int32(i)
	}
	slices.SortFunc(o.byPlace, func(a, b int32) int {
		s, at, _ := set.Place(int(a))
		t, to, _ := set.Place(int(b))
		return cmp.Or(cmp.Compare(s, t), cmp.Compare(at, to))
	})
	before := -1
	for i, clip := range o.byPlace {
		if shard, _, _ := set.Place(int(clip)); shard != before {
			o.starts, before = append(o.starts, int32(i)), shard
		}
	}
	o.shuffled = make([]int32, len(o.starts))
	o.starts = append(o.starts, int32(n))
	o.sequence = make([]int32, n)
	return o
}

// begin sets the sequence to that of an epoch: the shards in random order, the clips
// of each by offset, and all of it turned by a random number of clips, for else one
// or few shards would be cut into the same lanes in every epoch.
func (o *lanes) begin(epoch int) {
	o.random.Restart(o.seed, "shards", epoch)
	s := o.shuffled
	for i := range s {
		s[i] = int32(i)
	}
	o.random.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] })
	n := len(o.sequence)
	at := o.random.IntN(n)
	for _, shard := range s {
		for _, clip := range o.byPlace[o.starts[shard]:o.starts[shard+1]] {
			o.sequence[at] = clip
			if at++; at == n {
				at = 0
			}
		}
	}
}

// plan sets p to what lane does in the epoch that begin began. It holds as many clips
// as fit into its share of memory, reads on whenever there is room, and draws one of
// those it holds. Nothing is read for that: the index knows the sizes.
func (o *lanes) plan(p *lanePlan, epoch, lane int) {
	n := len(o.sequence)
	in := o.sequence[lane*n/o.count : (lane+1)*n/o.count]
	p.draws, p.reads = p.draws[:0], p.reads[:0]
	p.drawn = slices.Grow(p.drawn[:0], len(in))[:len(in)]
	for i := range p.drawn {
		p.drawn[i] = -1
	}
	o.random.Restart(o.seed, "lane", epoch, lane)
	pool, held, next := o.pool[:0], int64(0), 0
	for draw := range o.perLane {
		for next < len(in) {
			_, _, bytes := o.set.Place(int(in[next]))
			if len(pool) > 0 && held+bytes > o.most {
				break
			}
			pool, held, next = append(pool, int32(next)), held+bytes, next+1
		}
		j := o.random.IntN(len(pool))
		at := pool[j]
		pool[j] = pool[len(pool)-1]
		pool = pool[:len(pool)-1]
		_, _, bytes := o.set.Place(int(in[at]))
		held -= bytes
		p.drawn[at] = int32(draw)
		p.draws = append(p.draws, in[at])
	}
	o.pool = pool
	for i, draw := range p.drawn {
		if draw >= 0 {
			p.reads = append(p.reads, read{in[i], draw})
		}
	}
}
