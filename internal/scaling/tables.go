package scaling

import (
	"fmt"
	"math"
)

// Table is one table of the page, by the name of its marks.
type Table struct{ Name, Text string }

// sizes are the numbers of GPUs that the tables speak of.
var sizes = []int{8, 64, 512}

// Tables returns all tables of docs/scaling.md in its order.
func Tables(w Work, a Assumptions) []Table {
	return []Table{
		{"assumptions", assumptionTable(a)},
		{"volume", volumeTable(w, a)},
		{"exchange", exchangeTable(w, a)},
		{"step", stepTable(w, a)},
		{"changes", changeTable(w, a)},
		{"stored", storedTable(a)},
		{"feed", feedTable(w, a)},
		{"epoch", epochTable(w, a)},
		{"cost", costTable(w, a)},
	}
}

func assumptionTable(a Assumptions) string {
	rows := [][]string{{"assumption", "value", "from"}}
	for _, x := range a.List() {
		rows = append(rows, []string{x.What, x.Value, x.Source})
	}
	return table(rows)
}

func volumeTable(w Work, a Assumptions) string {
	grads := float64(w.Values * a.GradBytes)
	c := w.Config
	return table([][]string{
		{"what", "of", "a process and step", "when"},
		{"gradients", fmt.Sprintf("%s parameters", grouped(itoa(w.Values))), size(grads),
			"in buckets, while backward runs"},
		{"SIGReg's ECF", fmt.Sprintf("V·M·Q·2 = %d·%d·%d·2 float32", c.Views(), c.Directions,
			c.Knots.Count), size(w.ECFBytes()), "between the loss's forward and backward"},
		{"BatchNorm's means, if synchronised",
			fmt.Sprintf("2 layers · 2 runs · 2·%d float32, forward and backward", c.Hidden),
			size(float64(2 * 2 * 2 * c.Hidden * 4 * 2)), "in the projector; off as the paper has it"},
		{"metrics", "losses, deviation, clips/s", "under 1 kB", "after the step, between hosts"},
		{"parameters", "from process 0, once a run", size(float64(w.Values * 4)), "at the start"},
	})
}

func exchangeTable(w Work, a Assumptions) string {
	rows := [][]string{{"GPUs", "sent by a GPU", "all gradients: ring", "hierarchical",
		"one bucket: ring", "hierarchical", "ECF: the better"}}
	n := float64(w.Values * a.GradBytes)
	largest := 0.0
	for _, b := range a.buckets(w, 1) {
		largest = math.Max(largest, b.bytes)
	}
	for _, gpus := range sizes {
		rows = append(rows, []string{itoa(gpus), size(2 * n * float64(gpus-1) / float64(gpus)),
			millis(a.Ring(n, gpus)), millis(a.Hierarchical(n, gpus)),
			millis(a.Ring(largest, gpus)), millis(a.Hierarchical(largest, gpus)),
			millis(a.AllReduce(w.ECFBytes(), gpus))})
	}
	return table(rows)
}

func stepTable(w Work, a Assumptions) string {
	rows := [][]string{{"GPUs", "compute", "exchange of gradients, hidden or not",
		"compute slowed by it", "exposed", "ECF", "metrics", "slowest process", "failures",
		"step", "efficiency", "clips/s"}}
	for _, gpus := range append([]int{1}, sizes...) {
		s := Reckon(w, a, gpus)
		rows = append(rows, []string{itoa(gpus), millis(s.Compute), millis(s.Busy), millis(s.Slowed),
			millis(s.Exposed), millis(s.ECF), millis(s.Metrics), millis(s.Waiting),
			millis(s.Failures), millis(s.Total), tenths(s.Efficiency), three(s.ClipsPerS)})
	}
	return table(rows)
}

// change is one assumption made otherwise.
type change struct {
	name string
	make func(*Assumptions)
}

var changes = []change{
	{"as above", func(*Assumptions) {}},
	{"compute at 40 % of the product's rate", func(a *Assumptions) { a.ComputeShare = .4 }},
	{"at 50 %", func(a *Assumptions) { a.ComputeShare = .5 }},
	{"gradients in bf16", func(a *Assumptions) { a.GradBytes = 2 }},
	{"a bucket for every part of the network", func(a *Assumptions) { a.BucketBytes = 1 }},
	{"buckets of 100 MiB", func(a *Assumptions) { a.BucketBytes = 100 << 20 }},
	{"one bucket: nothing overlaps", func(a *Assumptions) { a.BucketBytes = 1 << 30 }},
	{"half the network", func(a *Assumptions) { a.Network /= 2 }},
	{"one port of 100 Gbit/s a node", func(a *Assumptions) {
		a.Network, a.NetworkHop = .8*12.5e9/float64(a.PerNode), 30e-6
	}},
	{"the same, gradients in bf16", func(a *Assumptions) {
		a.Network, a.NetworkHop, a.GradBytes = .8*12.5e9/float64(a.PerNode), 30e-6, 2
	}},
	{"metrics fetched during the next step", func(a *Assumptions) { a.MetricsWait = false }},
	{"no spread, no stalls", func(a *Assumptions) { a.Spread, a.StallChance = 0, 0 }},
	{"spread of 3 %", func(a *Assumptions) { a.Spread = .03 }},
	{"stalls of 1 s", func(a *Assumptions) { a.StallLength = 1 }},
	{"failures ten times as often", func(a *Assumptions) { a.GPUHours /= 10 }},
	{"10 clips a GPU instead of 40", func(a *Assumptions) { a.Clips = 10 }},
}

func changeTable(w Work, a Assumptions) string {
	head := []string{"change"}
	for _, gpus := range sizes {
		head = append(head, fmt.Sprintf("%d GPUs", gpus))
	}
	rows := [][]string{append(head, fmt.Sprintf("exposed at %d, ms", sizes[len(sizes)-1]))}
	for _, c := range changes {
		b := a
		c.make(&b)
		row, exposed := []string{c.name}, 0.0
		for _, gpus := range sizes {
			s := Reckon(w, b, gpus)
			row, exposed = append(row, tenths(s.Efficiency)), s.Exposed
		}
		rows = append(rows, append(row, millis(exposed)))
	}
	return table(rows)
}

func storedTable(a Assumptions) string {
	rows := [][]string{{"frames", "frames of a clip", "sound", "clip",
		fmt.Sprintf("%.0f million clips", a.Corpus/1e6), "shards", "clips a shard", "index"}}
	square := a
	square.PixelRatio = 1
	for _, x := range []struct {
		name string
		a    Assumptions
	}{{"224 × 224, measured", square}, {"456 × 256, by pixels", a}} {
		s := x.a.Stored()
		rows = append(rows, []string{x.name, size(s.Frames), size(s.Sound), size(s.Clip),
			size(s.Clip * a.Corpus), three(s.Clip * a.Corpus / a.ShardBytes), three(a.ShardBytes / s.Clip),
			size(a.IndexBytes * a.Corpus)})
	}
	return table(rows)
}

func feedTable(w Work, a Assumptions) string {
	rows := [][]string{{"GPUs", "clips/s", "from the store", "a node", "requests/s, one a clip",
		"of them at a time", "shards/s, whole ones", "cores that make views", "a GPU"}}
	for _, gpus := range sizes {
		f := a.Feed(Reckon(w, a, gpus).ClipsPerS)
		nodes := math.Ceil(float64(gpus) / float64(a.PerNode))
		rows = append(rows, []string{itoa(gpus), three(f.ClipsPerS), rate(f.Bytes),
			rate(f.Bytes / nodes), three(f.Requests), three(f.Streams), three(f.Shards),
			three(f.Cores), three(f.Cores / float64(gpus))})
	}
	return table(rows)
}

func epochTable(w Work, a Assumptions) string {
	rows := [][]string{{"one epoch", "clips/s", "from the store", "requests/s", "cores", "GPUs"}}
	add := func(name string, seconds float64, gpus int) {
		f := a.Feed(a.Corpus / seconds)
		rows = append(rows, []string{name, three(f.ClipsPerS), rate(f.Bytes), three(f.Requests),
			three(f.Cores), itoa(gpus)})
	}
	const day = 24 * 3600
	for _, gpus := range sizes {
		s := a.Corpus / Reckon(w, a, gpus).ClipsPerS
		add(fmt.Sprintf("as fast as they go: %s h", three(s/3600)), s, gpus)
	}
	add("in a day", day, GPUsFor(w, a, day))
	add("in a week", 7*day, GPUsFor(w, a, 7*day))
	return table(rows)
}

func costTable(w Work, a Assumptions) string {
	rows := [][]string{{"an epoch on", "GPU hours", "lost to scaling", "core hours of views",
		"read from the store", "requests"}}
	for _, gpus := range sizes {
		s := Reckon(w, a, gpus)
		hours := a.Corpus / s.ClipsPerS / 3600 * float64(gpus)
		f := a.Feed(a.Corpus) // all clips in a second
		rows = append(rows, []string{fmt.Sprintf("%d GPUs", gpus), three(hours),
			three(hours * (1 - s.Efficiency)), three(f.Cores / 3600), size(f.Bytes),
			three(f.Requests/1e6) + " million"})
	}
	return table(rows)
}
