package loader

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"avjepa/internal/dataset"
)

// paperSet returns a set of clips of the given bytes, dealt to shards in order, which
// has an index and no more: its shards are holes.
func paperSet(t testing.TB, bytes []int64, shards int, labels func(i int) []string) *dataset.Set {
	t.Helper()
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "index.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	enc, ends := json.NewEncoder(f), make([]int64, shards)
	for i, n := range bytes {
		shard := i * shards / len(bytes)
		c := dataset.Info{Key: fmt.Sprintf("clip%06d", (i*7919+5)%1_000_003), Seconds: 1, FPS: 8, FrameCount: 8,
			Width: 4, Height: 4, Shard: shard, Offset: ends[shard], Bytes: n}
		if labels != nil {
			c.Labels = labels(i)
		}
		ends[shard] += n
		if err := enc.Encode(&c); err != nil {
			t.Fatal(err)
		}
	}
	for i, end := range ends {
		path := filepath.Join(dir, fmt.Sprintf("shard-%06d.tar", i))
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, end); err != nil {
			t.Fatal(err)
		}
	}
	set, err := dataset.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func sizes(n int, size func(i int) int64) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = size(i)
	}
	return out
}

// TestLanes: an epoch takes no clip twice and as many as fit into batches, each clip
// from the lane that it belongs to, whatever the sizes; what a lane holds never exceeds
// its bound but for a single clip; and epochs differ, also in what is left over.
func TestLanes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, c := range []struct{ n, shards, lanes, batch int }{
		{8, 1, 1, 2}, {8, 8, 4, 4}, {9, 2, 2, 4}, {11, 3, 3, 3}, {101, 1, 4, 8}, {101, 10, 8, 8},
		{100, 7, 5, 50}, {257, 257, 16, 16}, {1000, 13, 1, 40}, {1003, 40, 20, 40}, {64, 3, 64, 64},
	} {
		for _, most := range []int64{1, 5000, 60_000, 1 << 40} {
			set := paperSet(t, sizes(c.n, func(int) int64 { return 1024 + 512*r.Int64N(20) }), c.shards, nil)
			o := newLanes(set, 3, c.lanes, c.batch, most)
			left := map[int32]bool{}
			orders := map[string]bool{}
			for epoch := range 5 {
				o.begin(epoch)
				all := slices.Clone(o.sequence)
				slices.Sort(all)
				for i, clip := range all {
					if int(clip) != i {
						t.Fatalf("%v: epoch %d is no permutation", c, epoch)
					}
				}
				var used []int32
				for l := range c.lanes {
					var p lanePlan
					o.plan(&p, epoch, l)
					checkPlan(t, o, &p, l)
					used = append(used, p.draws...)
				}
				orders[fmt.Sprint(used)] = true
				slices.Sort(used)
				if len(used) != c.n/c.batch*c.batch || len(slices.Compact(slices.Clone(used))) != len(used) {
					t.Fatalf("%v: epoch %d has %d clips, some twice", c, epoch, len(used))
				}
				for i := range int32(c.n) {
					if _, there := slices.BinarySearch(used, i); !there {
						left[i] = true
					}
				}
			}
			if len(orders) < 3 { // few clips have few orders
				t.Errorf("%v, bound %d: 5 epochs have %d orders", c, most, len(orders))
			}
			if over := c.n % c.batch; over > 0 && len(left) < 2*over && len(left) < c.n {
				t.Errorf("%v, bound %d: the same %d clips are left over in 5 epochs", c, most, len(left))
			}
		}
	}
}

// checkPlan replays a lane's plan: clips come in the order of reading, and are drawn
// from those it may hold.
func checkPlan(t *testing.T, o *lanes, p *lanePlan, l int) {
	t.Helper()
	n := len(o.sequence)
	in := o.sequence[l*n/o.count : (l+1)*n/o.count]
	if len(p.draws) != o.perLane || len(p.reads) != o.perLane {
		t.Fatalf("lane %d: %d draws, %d reads, want %d", l, len(p.draws), len(p.reads), o.perLane)
	}
	at := 0
	for _, r := range p.reads {
		for at < len(in) && in[at] != r.clip {
			at++
		}
		if at == len(in) || p.draws[r.draw] != r.clip {
			t.Fatalf("lane %d: clip %d is not read in order, or drawn elsewhere", l, r.clip)
		}
	}
	held, bytes, next := map[int32]bool{}, int64(0), 0
	for draw, clip := range p.draws {
		for next < len(in) {
			_, _, b := o.set.Place(int(in[next]))
			if len(held) > 0 && bytes+b > o.most {
				break
			}
			held[in[next]], bytes, next = true, bytes+b, next+1
		}
		if !held[clip] {
			t.Fatalf("lane %d: draw %d is clip %d, which is not held", l, draw, clip)
		}
		_, _, b := o.set.Place(int(clip))
		delete(held, clip)
		bytes -= b
	}
}

// TestLanesMix holds how far neighbours of a shard come apart to what follows from the
// draws: of b clips held, each draw takes one. Once both are held, either is drawn
// first; the other then stays a number of draws that is geometric with 1/b. So k draws
// or fewer lie between a share 1 − (1 − 1/b)ᵏ of neighbours.
func TestLanesMix(t *testing.T) {
	const n, held, size = 20_000, 100, 1024
	set := paperSet(t, sizes(n, func(int) int64 { return size }), 40, nil)
	o := newLanes(set, 9, 2, 2, held*size)
	o.begin(4)
	for l := range 2 {
		var p lanePlan
		o.plan(&p, 4, l)
		at := map[int32]int{}
		for i, clip := range p.draws {
			at[clip] = i
		}
		for _, k := range []int{1, 10, 100, 400} {
			near, pairs := 0, 0
			for i := 1; i < len(p.reads)-held; i++ {
				d := at[p.reads[i].clip] - at[p.reads[i-1].clip]
				pairs++
				if max(d, -d) <= k {
					near++
				}
			}
			got, want := float64(near)/float64(pairs), 1-math.Pow(1-1./held, float64(k))
			// Pairs that overlap are not independent: twice the deviation of those that are.
			if tol := 4 * 2 * math.Sqrt(want*(1-want)/float64(pairs)); !(math.Abs(got-want) <= tol) {
				t.Errorf("lane %d: %.4f of neighbours are within %d draws, want %.4f ± %.4f",
					l, got, k, want, tol)
			}
		}
	}
}

// TestBalanced draws classes of very different sizes about equally often, no clip
// without a label, and the same epoch again.
func TestBalanced(t *testing.T) {
	labels := func(i int) []string {
		switch {
		case i < 10:
			return []string{"rare"}
		case i < 20:
			return []string{"rare", "common"}
		case i < 1000:
			return []string{"common"}
		}
		return nil
	}
	set := paperSet(t, sizes(1200, func(int) int64 { return 1024 }), 2, labels)
	weights := Balanced(set)
	for i := range set.Len() {
		want := 0.
		for _, l := range set.Labels(i) {
			want += map[string]float64{"rare": 1000 / 20.01, "common": 1000 / 990.01}[l]
		}
		if !(math.Abs(weights[i]-want) <= 1e-9) {
			t.Fatalf("clip with %v weighs %v, want %v", set.Labels(i), weights[i], want)
		}
	}
	w, err := newWeighted(weights, 5)
	if err != nil {
		t.Fatal(err)
	}
	count, total := map[string]int{}, 0
	var first []int32
	for epoch := range 50 {
		w.begin(epoch)
		seen := map[int32]int32{}
		for k, i := range w.clips {
			if len(set.Labels(int(i))) == 0 {
				t.Fatal("a clip without a label is drawn")
			}
			if w.again[k] != seen[i] {
				t.Fatalf("draw %d: clip %d was drawn %d times before, noted %d", k, i, seen[i], w.again[k])
			}
			seen[i]++
			for _, l := range set.Labels(int(i)) {
				count[l]++
			}
			total++
		}
		if epoch == 0 {
			first = slices.Clone(w.clips)
		} else if slices.Equal(first, w.clips) {
			t.Error("two epochs are the same")
		}
	}
	// Of the weight 10·a + 10·(a+b) + 980·b, rare clips have 20·a + 10·b.
	a, b := 1000/20.01, 1000/990.01
	want := (20*a + 10*b) / (20*a + 990*b)
	got := float64(count["rare"]) / float64(total)
	if tol := 5 * math.Sqrt(want*(1-want)/float64(total)); !(math.Abs(got-want) <= tol) {
		t.Errorf("%.4f of the clips are rare, want %.4f ± %.4f", got, want, tol)
	}
	if w.begin(0); !slices.Equal(first, w.clips) {
		t.Error("an epoch drawn again differs")
	}
	for _, bad := range [][]float64{{0, 0}, {1, -1}, {1, math.NaN()}, {1, math.Inf(1)}} {
		if _, err := newWeighted(bad, 1); err == nil {
			t.Errorf("weights %v are accepted", bad)
		}
	}
}
