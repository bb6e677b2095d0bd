package main

import (
	"context"
	"runtime"

	"avjepa/internal/config"
	"avjepa/internal/dataset"
	"avjepa/internal/engine"
	"avjepa/internal/jepa"
	"avjepa/internal/probe"
)

// gcPercent is by how much the Go heap may grow before garbage is collected. It
// is mostly decoded clips, which stay, and a step makes no garbage: letting it grow
// to twice its size would only cost memory.
const gcPercent = 20

// Batches that the loader has on the host: two ready, one with the caller.
const batchesAhead = 3

// onDevices returns how many batches the engine holds: one, and where it computes
// behind the caller's back that of the next step.
func onDevices(e engine.Engine) int64 {
	if e.Info().Async {
		return 2
	}
	return 1
}

// programBytes is what the process takes beside the engine's buffers and the Go
// heap: program text (33 MB of it get touched), stacks, the runtime's own tables.
const programBytes = 40 << 20

// inputBytes returns the bytes of a process's clips of a batch. Masked views are handed over as
// floats, not as the 8-bit frames that the plan counts.
func inputBytes(c *config.Config, jc jepa.Config, plan jepa.Plan, clips int) int64 {
	if !c.ViewConfig().FloatVideo() {
		return plan.Inputs
	}
	views := jc.Globals + jc.VideoLocals()
	if jc.LocalsBoth {
		views = jc.Globals + jc.Locals
	}
	e := jc.Encoder
	values := int64(views) * int64(clips) * int64(e.Frames*e.Side*e.Side*3)
	return plan.Inputs + 3*values // four bytes a value, one of them counted
}

// probeBytes returns what the online probes of a process take for so many clips a step,
// with the held-out clips that are evaluated at once; 0 without.
func probeBytes(c *config.Config, jc jepa.Config, set *dataset.Set, clips int) (int64, error) {
	p, err := onlineProbes(c, set)
	if err != nil || p == nil {
		return 0, err
	}
	heads, err := probe.PlanOnline(p.OnlineConfig, jc, clips)
	return heads + p.HeldOutBytes(jc, clips), err
}

// cachedBytes estimates the decoded clips that a process keeps in so many steps, which
// take some clips each, from several of the set.
func cachedBytes(ctx context.Context, c *config.Config, set *dataset.Set,
	steps, clips int) int64 {
	const most = 8 // clips that are decoded to know
	source, err := newClips(c, set)
	if err != nil {
		return 0
	}
	read, sum := int64(0), int64(0)
	for i := range most {
		if d, err := source.Get(ctx, i*set.Len()/most); err == nil {
			read++
			sum += d.MemoryBytes()
		}
	}
	if read == 0 {
		return 0
	}
	touched := min(set.Len(), (steps+batchesAhead-1)*clips)
	return min(int64(c.Data.CacheMB)<<20, int64(touched)*sum/read)
}

// shuffleBytes returns the records that a process of several holds in the order
// shards: its share of data.shuffle_mb, or less where the rest of an epoch and the next
// one have less. Memory is given out in sizes that are a sixteenth too large on average.
func shuffleBytes(c *config.Config, set *dataset.Set, procs int) int64 {
	if c.Data.Order != config.OrderShards {
		return 0
	}
	all := int64(0)
	for i := range set.Len() {
		_, _, n := set.Place(i)
		all += n
	}
	return min(int64(c.Data.ShuffleMB)<<20, 2*all) / int64(procs) * 17 / 16
}

// orderBytes returns what the loader notes about every clip: its place in the cache,
// and in the order of an epoch; in the order shards in two epochs of a process's lanes.
func orderBytes(c *config.Config, set *dataset.Set, procs int) int64 {
	each := 32 + 8
	switch {
	case c.Data.Order == config.OrderShards:
		each = 32 + 8 + 32/procs
	case c.Data.Sampling == config.SamplingBalanced:
		each = 32 + 8 + 20
	}
	return int64(set.Len()) * int64(each)
}

// workingBytes returns what a run takes on the host beside its batches and the clips
// it holds, both of which are given, as is what it notes about clips: that, the kernels'
// scratch, of which this process has as much once it has taken a step, the program, and
// garbage.
func workingBytes(batches, clips, notes int64) int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	live := int64(m.HeapAlloc) + notes
	return live + programBytes + (live+batches+clips)*gcPercent/100
}
