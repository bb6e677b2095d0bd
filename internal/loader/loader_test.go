package loader

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"avjepa/internal/dataset"
	"avjepa/internal/dataset/datasettest"
	"avjepa/internal/media"
	"avjepa/internal/view"
)

// smallConfig makes views of 0.64 s that draw windows, crops and flips.
func smallConfig() view.Config {
	c := view.Default()
	c.Seconds, c.Frames, c.Side, c.Resize, c.Bands = .64, 4, 16, 18, 16
	return c
}

func newClips(t testing.TB, set *dataset.Set, cache int64) *Clips {
	t.Helper()
	m, err := view.NewMaker(smallConfig())
	if err != nil {
		t.Fatal(err)
	}
	return NewClips(set, m, cache)
}

func newLoader(t testing.TB, clips *Clips, cfg Config, first int) *Loader {
	t.Helper()
	l, err := New(clips, cfg, first)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func next(t testing.TB, l *Loader) *view.Batch {
	t.Helper()
	b, _, err := l.Next(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// contents is a copy of a batch as text that differs when any view does.
func contents(b *view.Batch) string {
	return fmt.Sprint(b.Keys, b.GlobalVideo, b.LocalVideo, b.GlobalAudio, b.LocalAudio)
}

func TestOrder(t *testing.T) {
	const n, size = 11, 3
	l := newLoader(t, newClips(t, datasettest.Make(t, datasettest.Config{Clips: n}), 1<<30),
		Config{BatchSize: size, Seed: 5, Workers: 3}, 0)
	if StepsPerEpoch(n, size) != 3 {
		t.Fatalf("%d steps an epoch, want 3", StepsPerEpoch(n, size))
	}
	var epochs []string
	left := map[string]bool{}
	for epoch := range 4 {
		var seen []string
		for range 3 {
			seen = append(seen, next(t, l).Keys...)
		}
		for i, p := range Order(5, epoch, n)[:9] {
			if seen[i] != datasettest.Key(p) {
				t.Fatalf("epoch %d: place %d is %s, want %s", epoch, i, seen[i], datasettest.Key(p))
			}
		}
		epochs = append(epochs, strings.Join(seen, " "))
		slices.Sort(seen)
		if len(slices.Compact(seen)) != 9 {
			t.Errorf("epoch %d has a clip twice: %v", epoch, seen)
		}
		for i := range n {
			if !slices.Contains(seen, datasettest.Key(i)) {
				left[datasettest.Key(i)] = true
			}
		}
	}
	slices.Sort(epochs)
	if len(slices.Compact(epochs)) != 4 {
		t.Error("two epochs have the same order")
	}
	if len(left) < 3 {
		t.Errorf("the same clips %v are left over in every epoch", left)
	}
	if slices.Equal(Order(5, 0, n), Order(6, 0, n)) {
		t.Error("seeds 5 and 6 give the same order")
	}
}

// TestResume makes the batches from any step on as if all before had been made,
// whatever the cache and the workers.
func TestResume(t *testing.T) {
	set := datasettest.Make(t, datasettest.Config{Clips: 7})
	const steps = 8
	var want []string
	l := newLoader(t, newClips(t, set, 1<<30), Config{BatchSize: 3, Seed: 1, Workers: 1}, 0)
	for range steps {
		want = append(want, contents(next(t, l)))
	}
	if slices.Contains(want[1:], want[0]) {
		t.Error("two steps have equal batches")
	}
	for first := range steps {
		for _, cache := range []int64{0, 100_000, 1 << 30} {
			l, err := New(newClips(t, set, cache),
				Config{BatchSize: 3, Seed: 1, Workers: 1 + first%3, Ahead: 1 + first%2}, first)
			if err != nil {
				t.Fatal(err)
			}
			for step := first; step < min(first+3, steps); step++ {
				if contents(next(t, l)) != want[step] {
					t.Errorf("from step %d with %d bytes of cache: step %d differs", first, cache, step)
				}
			}
			l.Close()
		}
	}
}

// TestBrokenClip has one clip whose bytes in the shard are damaged and one that
// holds no pictures: others take their places.
func TestBrokenClip(t *testing.T) {
	for _, cache := range []int64{0, 1 << 30} {
		dir := t.TempDir()
		set := datasettest.Make(t, datasettest.Config{Dir: dir, Clips: 6,
			Alter: func(i int, c *media.Clip) {
				if i == 4 {
					c.Frames[0] = []byte("no picture")
				}
			}})
		damage(t, dir, set.Info(2))
		l := newLoader(t, newClips(t, set, cache), Config{BatchSize: 6, Workers: 2}, 0)
		for range 3 {
			b := next(t, l)
			if slices.Contains(b.Keys, "") || slices.Contains(b.Keys, datasettest.Key(2)) ||
				slices.Contains(b.Keys, datasettest.Key(4)) {
				t.Errorf("a batch of %v", b.Keys)
			}
		}
		skipped := l.Skipped()
		if len(skipped) != 2 || !errors.Is(skipped[datasettest.Key(2)], dataset.ErrCorrupt) ||
			!strings.Contains(fmt.Sprint(skipped[datasettest.Key(4)]), datasettest.Key(4)) {
			t.Errorf("skipped %v", skipped)
		}
	}
}

// damage changes a byte of a clip in its shard.
func damage(t *testing.T, dir string, info dataset.Info) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.tar"))
	if err != nil || len(paths) != 1 {
		t.Fatalf("shards %v, %v", paths, err)
	}
	f, err := os.OpenFile(paths[0], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{0xff, 0xfe, 0xfd}, info.Offset+info.Bytes/2); err != nil {
		t.Fatal(err)
	}
}

// TestBrokenFrame has a clip with one picture cut short: which views can be made
// of it, and so every batch, must not depend on the cache.
func TestBrokenFrame(t *testing.T) {
	set := datasettest.Make(t, datasettest.Config{Clips: 4, Seconds: 3, FPS: 10,
		Alter: func(i int, c *media.Clip) {
			if i == 1 {
				c.Frames[29] = c.Frames[29][:len(c.Frames[29])-100]
			}
		}})
	var batches [2][]string
	var used int
	for i, cache := range []int64{0, 1 << 30} {
		l := newLoader(t, newClips(t, set, cache), Config{BatchSize: 4, Workers: 2}, 0)
		for range 20 {
			b := next(t, l)
			batches[i] = append(batches[i], contents(b))
			if slices.Contains(b.Keys, datasettest.Key(1)) {
				used++
			}
		}
	}
	if !slices.Equal(batches[0], batches[1]) {
		t.Error("batches depend on the cache")
	}
	if used == 0 || used == 40 {
		t.Errorf("the clip is in %d of 40 batches: the test needs some, not all", used)
	}
}

func TestNothingToRead(t *testing.T) {
	set := datasettest.Make(t, datasettest.Config{Clips: 5, Alter: func(_ int, c *media.Clip) {
		c.Frames[2] = nil
	}})
	l := newLoader(t, newClips(t, set, 1<<30), Config{BatchSize: 2, Workers: 2}, 0)
	if _, _, err := l.Next(context.Background()); !errors.Is(err, ErrNoClip) ||
		!strings.Contains(err.Error(), "5 clips") {
		t.Errorf("error %v", err)
	}
	if len(l.Skipped()) != 5 {
		t.Errorf("skipped %v", l.Skipped())
	}
	for _, size := range []int{0, 1, 6} {
		if _, err := New(newClips(t, set, 0), Config{BatchSize: size}, 0); !errors.Is(err, ErrNoClip) {
			t.Errorf("batches of %d: %v", size, err)
		}
	}
}

func TestCache(t *testing.T) {
	set := datasettest.Make(t, datasettest.Config{Clips: 8})
	clips := newClips(t, set, 1<<30)
	d, err := clips.Get(context.Background(), 0)
	if err != nil {
		t.Fatal(err)
	}
	one := d.MemoryBytes()
	if again, _ := clips.Get(context.Background(), 0); again != d || clips.CachedBytes() != one {
		t.Errorf("clip 0 is not kept: %d bytes, want %d", clips.CachedBytes(), one)
	}
	clips = newClips(t, set, 3*one+one/2)
	for range 2 {
		for i := range set.Len() {
			if _, err := clips.Get(context.Background(), i); err != nil {
				t.Fatal(err)
			}
			if clips.CachedBytes() > 3*one+one/2 {
				t.Fatalf("%d bytes are kept, %d allowed", clips.CachedBytes(), 3*one+one/2)
			}
		}
	}
	if clips.CachedBytes() != 3*one {
		t.Errorf("%d bytes are kept, want three clips of %d", clips.CachedBytes(), one)
	}
	late, err := clips.Get(context.Background(), 7)
	if err != nil {
		t.Fatal(err)
	}
	if late.MemoryBytes() >= one {
		t.Errorf("a clip beyond the cache has %d bytes: it was decoded whole", late.MemoryBytes())
	}
	if none := newClips(t, set, 0); none.CachedBytes() != 0 {
		t.Error("a cache of nothing holds something")
	}
}

func TestCloseLeavesNoGoroutine(t *testing.T) {
	set := datasettest.Make(t, datasettest.Config{Clips: 6})
	before := runtime.NumGoroutine()
	for _, taken := range []int{0, 1, 5} {
		l, err := New(newClips(t, set, 1<<30), Config{BatchSize: 2, Workers: 3}, 0)
		if err != nil {
			t.Fatal(err)
		}
		for range taken {
			next(t, l)
		}
		l.Close()
		l.Close()
		for i := 0; runtime.NumGoroutine() > before; i++ {
			if i == 1000 { // a goroutine is counted until it has left, a moment after Done
				t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
			}
			time.Sleep(time.Millisecond)
		}
	}
}

func TestNextWaitsNoLongerThanAsked(t *testing.T) {
	set := datasettest.Make(t, datasettest.Config{Clips: 6})
	l := newLoader(t, newClips(t, set, 1<<30), Config{BatchSize: 2, Workers: 1}, 0)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var err error
	for range 100 { // a ready batch may win over the cancelled context
		if _, _, err = l.Next(ctx); err != nil {
			break
		}
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// BenchmarkNext makes batches of the demo's geometry from cached clips: 32
// pixels, 64 mel bands, windows of 2.56 s in clips of 3.2 s.
func BenchmarkNext(b *testing.B) {
	set := datasettest.Make(b, datasettest.Config{Clips: 128, Seconds: 3.2, FPS: 12.5,
		Width: 48, Height: 48})
	c := view.Default()
	c.Seconds, c.Side, c.Resize, c.Bands = 2.56, 32, 32, 64
	c.Windows, c.LocalCrop = view.WindowsOne, false
	m, err := view.NewMaker(c)
	if err != nil {
		b.Fatal(err)
	}
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			const size = 64
			l := newLoader(b, NewClips(set, m, 1<<30),
				Config{BatchSize: size, Seed: 1, Workers: workers}, 0)
			for range 8 {
				next(b, l)
			}
			b.ReportAllocs()
			for b.Loop() {
				next(b, l)
			}
			perClip := float64(b.Elapsed().Microseconds()) / float64(b.N*size)
			b.ReportMetric(perClip, "µs/clip")
		})
	}
	b.Run("fill alone", func(b *testing.B) {
		clips := NewClips(set, m, 1<<30)
		batch := m.NewBatch(1)
		for n := 0; b.Loop(); n++ {
			d, err := clips.Get(context.Background(), n%64)
			if err == nil {
				err = m.Fill(batch, 0, d, 1, n, "clip")
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N), "µs/clip")
	})
}
