package loader

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"avjepa/internal/dataset"
	"avjepa/internal/dataset/datasettest"
	"avjepa/internal/media"
	"avjepa/internal/view"
)

// laneSet has clips of about 75 KB, a few to a shard.
func laneSet(t testing.TB, clips int, alter func(int, *media.Clip)) *dataset.Set {
	t.Helper()
	return datasettest.Make(t, datasettest.Config{Clips: clips, ShardBytes: 400 << 10, Alter: alter})
}

// batches returns the contents of some batches from step first on.
func batches(t testing.TB, clips *Clips, cfg Config, first, steps int) (out []string, l *Loader) {
	t.Helper()
	l, err := New(clips, cfg, first)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range steps {
		out = append(out, digest(t, next(t, l)))
	}
	return out, l
}

// digest is a hash of a batch, much faster than contents.
func digest(t testing.TB, b *view.Batch) string {
	t.Helper()
	h := sha256.New()
	for _, part := range []any{b.GlobalVideo, b.LocalVideo, b.GlobalAudio, b.LocalAudio} {
		if err := binary.Write(h, binary.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf("%v %x", b.Keys, h.Sum(nil))
}

// TestLanesResume makes the batches from any step on as if all before had been made,
// whatever the cache and the workers, over three epochs.
func TestLanesResume(t *testing.T) {
	set := laneSet(t, 14, nil)
	const steps = 8 // 3 an epoch
	for _, memory := range []int64{1 << 10, 600 << 10, 1 << 30} {
		cfg := Config{BatchSize: 4, Seed: 1, Workers: 1, Lanes: 4, ShuffleBytes: memory}
		want, _ := batches(t, newClips(t, set, 0), cfg, 0, steps)
		if len(slices.Compact(slices.Sorted(slices.Values(want)))) != steps {
			t.Error("two steps have equal batches")
		}
		for first := range steps {
			cache := []int64{0, 300_000, 1 << 30}[first%3]
			cfg.Workers, cfg.Ahead = 1+first%3, 1+first%2
			n := min(2, steps-first)
			got, _ := batches(t, newClips(t, set, cache), cfg, first, n)
			if !slices.Equal(got, want[first:first+n]) {
				t.Errorf("%d bytes, from step %d with %d bytes of cache: other batches", memory,
					first, cache)
			}
		}
		cfg.Lanes = 2
		if other, _ := batches(t, newClips(t, set, 0), cfg, 0, 1); other[0] == want[0] {
			t.Error("2 and 4 lanes give one order")
		}
	}
}

// TestResumeReadsWhatIsLeft: of the epoch under way only what no draw has used is read.
func TestResumeReadsWhatIsLeft(t *testing.T) {
	set := laneSet(t, 24, nil)
	ctx, stop := context.WithCancel(context.Background())
	stop() // nothing is read here
	for _, draw := range []int{0, 1, 5, 11} {
		o := newLanes(set, 1, 2, 2, 300<<10)
		p := newPrefetch(ctx, newClips(t, set, 0), o, 0, 2, 400<<10, 3, draw)
		p.wait()
		for _, l := range p.lanes {
			plan := l.plans[1]
			if len(plan.reads) != o.perLane-draw {
				t.Errorf("from draw %d: %d clips are read, want %d", draw, len(plan.reads), o.perLane-draw)
			}
			for _, r := range plan.reads {
				if !slices.Contains(plan.draws[draw:], r.clip) {
					t.Errorf("from draw %d: clip %d is read and not used", draw, r.clip)
				}
			}
		}
	}
}

// TestLanesOfProcesses: any number of processes that divides the lanes makes parts of
// the batches that one makes, each from the shards of its own lanes, also where a clip
// is broken, in its shard or behind its checksum, or cannot be read together with its
// neighbours.
func TestLanesOfProcesses(t *testing.T) {
	const size, steps = 8, 5
	dir := t.TempDir()
	set := datasettest.Make(t, datasettest.Config{Dir: dir, Clips: 26, Alter: func(i int, c *media.Clip) {
		if i == 4 {
			c.Frames[0] = []byte("not a picture")
		}
	}})
	damage(t, dir, set.Info(11))
	shard, from, n := set.Place(17)
	set = set.Through(func(read dataset.ReadAt) dataset.ReadAt {
		return func(ctx context.Context, s int, p []byte, off int64) error {
			if s == shard && off < from+n && off+int64(len(p)) > from {
				return errors.New("bad sector")
			}
			return read(ctx, s, p, off)
		}
	})
	cfg := Config{BatchSize: size, Seed: 3, Workers: 2, Lanes: 4, ShuffleBytes: 8 << 20} // runs of 6
	whole := newLoader(t, newClips(t, set, 1<<30), cfg, 1)
	var want [steps][]string
	for i := range steps {
		want[i] = slices.Clone(next(t, whole).Keys)
	}
	broken := []string{datasettest.Key(4), datasettest.Key(11), datasettest.Key(17)}
	if skipped := whole.Skipped(); len(skipped) != 3 {
		t.Errorf("skipped %v, want %v", skipped, broken)
	}
	for _, processes := range []int{2, 4} {
		for r := range processes {
			c := cfg
			c.First, c.Slots, c.Workers = r*size/processes, size/processes, 1+r
			l := newLoader(t, newClips(t, set, 0), c, 1)
			for i := range steps {
				keys := next(t, l).Keys
				if !slices.Equal(keys, want[i][c.First:c.First+c.Slots]) {
					t.Errorf("process %d of %d, step %d: clips %v, want %v", r, processes, i, keys,
						want[i][c.First:c.First+c.Slots])
				}
				for _, k := range broken {
					if slices.Contains(keys, k) {
						t.Errorf("clip %s is used", k)
					}
				}
			}
		}
	}
	for _, bad := range []Config{
		{BatchSize: 8, Lanes: 3, ShuffleBytes: 1 << 20}, {BatchSize: 8, Lanes: -1, ShuffleBytes: 1 << 20},
		{BatchSize: 8, Lanes: 4}, {BatchSize: 8, Lanes: 4, Slots: 1, ShuffleBytes: 1 << 20},
		{BatchSize: 8, Lanes: 2, First: 2, Slots: 4, ShuffleBytes: 1 << 20},
		{BatchSize: 8, Lanes: 2, ShuffleBytes: 1 << 20, Weights: make([]float64, 26)},
	} {
		if _, err := New(newClips(t, set, 0), bad, 0); err == nil || !strings.Contains(err.Error(), "lanes") {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// TestOtherLanesAreNotRead: a process reads the bytes of its own lanes alone.
func TestOtherLanesAreNotRead(t *testing.T) {
	set := laneSet(t, 64, nil)
	o := newLanes(set, 2, 4, 8, 100<<10)
	o.begin(0)
	own := map[int]bool{}
	for _, clip := range o.sequence[32:48] { // of lane 2
		shard, _, _ := set.Place(int(clip))
		own[shard] = true
	}
	var mu sync.Mutex
	others := 0
	set = set.Through(func(read dataset.ReadAt) dataset.ReadAt {
		return func(ctx context.Context, s int, p []byte, off int64) error {
			mu.Lock()
			defer mu.Unlock()
			if !own[s] {
				others++
			}
			return read(ctx, s, p, off)
		}
	})
	l := newLoader(t, newClips(t, set, 0), Config{BatchSize: 8, Seed: 2, First: 4, Slots: 2, Workers: 2,
		Lanes: 4, ShuffleBytes: 4 * 150 << 10, Ahead: 1}, 0)
	for range 3 { // 16 clips of the lane are an epoch of 8 steps: the next is far
		next(t, l)
	}
	l.Close()
	if others > 0 {
		t.Errorf("%d reads of other shards", others)
	}
	if len(own) == 8 {
		t.Fatal("the lane has all shards: the test needs others")
	}
}

// TestSlowStorage has shards that answer only when they are told to. Several reads are
// on their way at a time, each for several clips, and while none is answered the clips
// that were read before last for as many steps as memory holds.
func TestSlowStorage(t *testing.T) {
	set := datasettest.Make(t, datasettest.Config{Clips: 160, ShardBytes: 1 << 20})
	var reads, bytes, waiting, most atomic.Int64
	var slow atomic.Bool
	answer := make(chan struct{})
	late := set.Through(func(read dataset.ReadAt) dataset.ReadAt {
		return func(ctx context.Context, s int, p []byte, off int64) error {
			reads.Add(1)
			bytes.Add(int64(len(p)))
			if slow.Load() {
				most.Store(max(most.Load(), waiting.Add(1)))
				<-answer
			}
			return read(ctx, s, p, off)
		}
	})
	const size, lanes, memory = 4, 4, 4 << 20 // 20 clips a lane
	l := newLoader(t, newClips(t, late, 0), Config{BatchSize: size, Seed: 1, Workers: 2, Lanes: lanes,
		ShuffleBytes: memory}, 0)
	next(t, l)
	for n := int64(-1); n != reads.Load(); time.Sleep(20 * time.Millisecond) {
		n = reads.Load() // until memory is full
	}
	_, _, one := set.Place(0)
	if n := bytes.Load() / reads.Load(); n < one*3/2 {
		t.Errorf("a read has %d bytes, a clip about %d", n, one)
	}
	slow.Store(true)
	steps := 0
	for ; ; steps++ {
		ctx, stop := context.WithTimeout(context.Background(), 2*time.Second)
		_, _, err := l.Next(ctx)
		if stop(); err != nil {
			break
		}
	}
	// Three eighths of the memory are enough for five batches, whatever is drawn.
	if steps < 5 {
		t.Errorf("%d steps are taken while nothing is read", steps)
	}
	if most.Load() < lanes {
		t.Errorf("%d reads at a time, want one of each of %d lanes at least", most.Load(), lanes)
	}
	close(answer)
	next(t, l)
}

// TestLanesMemory: over a set much larger than what a loader may hold, memory stays
// flat, and a clip allocates little but what opening it and making its views does.
func TestLanesMemory(t *testing.T) {
	set := datasettest.Make(t, datasettest.Config{Clips: 120, ShardBytes: 2 << 20})
	views := allocatedByViews(t, set)
	const held = 2 << 20
	for _, lanes := range []int{0, 2} {
		cfg := Config{BatchSize: 4, Seed: 1, Workers: 2, Lanes: lanes, ShuffleBytes: held}
		l := newLoader(t, newClips(t, set, 0), cfg, 0)
		var m, start runtime.MemStats
		var peaks [2]uint64 // of the heap in use, of two times as many epochs
		for i := range 2 {
			runtime.ReadMemStats(&start)
			for range 8 {
				for range 10 {
					next(t, l)
				}
				runtime.GC()
				runtime.ReadMemStats(&m)
				peaks[i] = max(peaks[i], m.HeapAlloc)
			}
		}
		if grown := int64(peaks[1]) - int64(peaks[0]); grown > held/2 {
			t.Errorf("%d lanes: the heap grew from %d by %d bytes", lanes, peaks[0], grown)
		}
		// A record has 40 KB, its samples 32 KB: neither may be new for every clip.
		each := int64(m.TotalAlloc-start.TotalAlloc) / (8 * 10 * 4)
		if each -= views; each > 15_000 {
			t.Errorf("%d lanes: a clip allocates %d bytes beside its views", lanes, each)
		}
		if skipped := l.Skipped(); len(skipped) > 0 {
			t.Errorf("%d lanes: skipped %v", lanes, skipped)
		}
		if lanes > 0 {
			p := l.prefetch
			p.memory.mu.Lock()
			if p.memory.all > held*9/8 {
				t.Errorf("%d bytes for records, %d allowed", p.memory.all, held)
			}
			p.memory.mu.Unlock()
		}
		l.Close()
	}
}

// allocatedByViews returns the bytes that opening a clip and making its views allocates.
func allocatedByViews(t *testing.T, set *dataset.Set) int64 {
	m := newClips(t, set, 0).Maker
	var c dataset.Clip
	if err := set.Read(context.Background(), 0, &c); err != nil {
		t.Fatal(err)
	}
	b := m.NewBatch(1)
	var start, end runtime.MemStats
	const times = 40
	runtime.ReadMemStats(&start)
	for i := range times {
		d, err := m.Open(c.Frames, c.FPS, c.Samples)
		if err == nil {
			err = m.Fill(b, 0, d, 1, i, c.Key)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&end)
	return int64(end.TotalAlloc-start.TotalAlloc) / times
}

// TestLanesCloseLeavesNoGoroutine closes loaders whose reads are under way.
func TestLanesCloseLeavesNoGoroutine(t *testing.T) {
	set := laneSet(t, 24, nil)
	slow := set.Through(func(read dataset.ReadAt) dataset.ReadAt {
		return func(ctx context.Context, s int, p []byte, off int64) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(2 * time.Millisecond):
			}
			return read(ctx, s, p, off)
		}
	})
	before := runtime.NumGoroutine()
	for i := range 30 {
		l, err := New(newClips(t, slow, 0), Config{BatchSize: 4, Workers: 3, Lanes: 4,
			ShuffleBytes: int64(100+i) << 12}, i)
		if err != nil {
			t.Fatal(err)
		}
		for range i % 4 {
			next(t, l)
		}
		l.Close()
	}
	for i := 0; runtime.NumGoroutine() > before; i++ {
		if i == 1000 {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
		time.Sleep(time.Millisecond)
	}
}

// TestAgain: a clip that comes twice in an epoch shows other views, and resuming finds
// the same ones.
func TestAgain(t *testing.T) {
	set := datasettest.Make(t, datasettest.Config{Clips: 6})
	cfg := Config{BatchSize: 2, Seed: 1, Workers: 2, Weights: []float64{0, 1, 0, 0, 2, 0}}
	want, _ := batches(t, newClips(t, set, 0), cfg, 0, 6)
	if len(slices.Compact(slices.Sorted(slices.Values(want)))) != len(want) {
		t.Error("two batches are the same")
	}
	for first := range 6 {
		if got, _ := batches(t, newClips(t, set, 1<<30), cfg, first, 6-first); !slices.Equal(got, want[first:]) {
			t.Errorf("from step %d: other batches", first)
		}
	}
	l := newLoader(t, newClips(t, set, 0), cfg, 0)
	for range 9 {
		b := next(t, l)
		one, each := fmt.Sprint(b.Keys), len(b.GlobalAudio)/4
		if !slices.Contains([]string{"[clip0001 clip0001]", "[clip0001 clip0004]", "[clip0004 clip0001]",
			"[clip0004 clip0004]"}, one) {
			t.Errorf("a batch of %s", one)
		}
		if b.Keys[0] == b.Keys[1] && slices.Equal(b.GlobalAudio[:each], b.GlobalAudio[each:2*each]) {
			t.Error("a clip shows the same views twice in an epoch")
		}
	}
}
