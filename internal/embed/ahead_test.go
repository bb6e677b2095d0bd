package embed

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"avjepa/internal/dataset"
	"avjepa/internal/dataset/datasettest"
	"avjepa/internal/engine"
	"avjepa/internal/engine/cpu"
	"avjepa/internal/jepa"
	"avjepa/internal/loader"
	"avjepa/internal/media"
	"avjepa/internal/tensor"
	"avjepa/internal/view"
	"avjepa/internal/vit"
)

// countReads returns a set that counts its reads.
func countReads(set *dataset.Set, n *atomic.Int64) *dataset.Set {
	return set.Through(func(read dataset.ReadAt) dataset.ReadAt {
		return func(ctx context.Context, s int, p []byte, off int64) error {
			n.Add(1)
			return read(ctx, s, p, off)
		}
	})
}

// TestWorkers: any number of workers gives the same embeddings bit for bit, in the
// order of the clips, reads each clip once, and runs ahead no further than it may.
func TestWorkers(t *testing.T) {
	plain := datasettest.Make(t, datasettest.Config{Clips: 23, Alter: func(i int, c *media.Clip) {
		switch last := len(c.Frames) - 1; i {
		case 3:
			c.Frames[0] = nil
		case 8, 9:
			c.Frames[last] = c.Frames[last][:len(c.Frames[last])-100]
		}
	}})
	e, m := newModel(t, false)
	for _, windows := range []int{1, 2, 5} {
		cfg := Config{Views: maxViews, Windows: windows, Both: true}
		want := embed(t, e, m, newClips(t, plain), cfg)
		for _, workers := range []int{1, 2, 7} {
			var reads atomic.Int64
			cfg.Workers = workers
			clips := newClips(t, countReads(plain, &reads))
			got, err := Clips(context.Background(), e, m, clips, cfg, func(n int) {
				if lead := reads.Load() - int64(n); lead > int64(max(2, min(workers+2, 2*maxViews/windows))) {
					t.Errorf("%d windows, %d workers: %d clips are read when %d are done", windows, workers,
						reads.Load(), n)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			if reads.Load() != 23 || !slices.Equal(got.Index, want.Index) || len(got.Skipped) != len(want.Skipped) {
				t.Errorf("%d workers: %d reads, rows %v, skipped %v", workers, reads.Load(), got.Index,
					got.Skipped)
			}
			for k, v := range []Vectors{got.Audio, got.Video, got.Both} {
				w := []Vectors{want.Audio, want.Video, want.Both}[k]
				each(v, func(name string, a tensor.Array) {
					if b, _ := w.Pick(name); a.Shape != b.Shape || !slices.Equal(a.Data, b.Data) {
						t.Errorf("%d windows, %d workers: modality %d, %s differs", windows, workers, k, name)
					}
				})
			}
		}
	}
}

// TestWorkersOverlap: clips are read while others are.
func TestWorkersOverlap(t *testing.T) {
	set := datasettest.Make(t, datasettest.Config{Clips: 12})
	var now, most atomic.Int64
	slow := set.Through(func(read dataset.ReadAt) dataset.ReadAt {
		return func(ctx context.Context, s int, p []byte, off int64) error {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			time.Sleep(10 * time.Millisecond)
			return read(ctx, s, p, off)
		}
	})
	e, m := newModel(t, false)
	embed(t, e, m, newClips(t, slow), Config{Views: maxViews, Windows: 1, Workers: 4})
	if most.Load() < 2 {
		t.Error("one clip is read at a time")
	}
}

// TestCancelLeavesNoGoroutine cancels at every clip.
func TestCancelLeavesNoGoroutine(t *testing.T) {
	set := datasettest.Make(t, datasettest.Config{Clips: 9})
	e, m := newModel(t, false)
	before, why := runtime.NumGoroutine(), errors.New("enough")
	for at := 1; at < 9; at++ {
		ctx, cancel := context.WithCancelCause(context.Background())
		_, err := Clips(ctx, e, m, newClips(t, set), Config{Views: maxViews, Windows: 1, Workers: 3},
			func(n int) {
				if n == at {
					cancel(why)
				}
			})
		cancel(nil)
		if !errors.Is(err, why) {
			t.Errorf("cancelled after clip %d: %v", at, err)
		}
	}
	for i := 0; runtime.NumGoroutine() > before; i++ {
		if i == 1000 {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
		time.Sleep(time.Millisecond)
	}
}

// BenchmarkClips embeds clips of films' size with an encoder that costs little, as one
// on a GPU does beside the decoding of pictures.
func BenchmarkClips(b *testing.B) {
	set := datasettest.Make(b, datasettest.Config{Clips: 24, Seconds: 10, FPS: 8, Width: 456, Height: 256})
	e, err := cpu.New(cpu.Config{Threads: 1})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	v := view.Default()
	m, err := jepa.NewEmbedder(e, jepa.Config{
		Encoder: vit.Config{Width: 16, Depth: 1, Heads: 2, MLPRatio: 1, Frames: v.Frames, Side: v.Side,
			PatchT: 16, Patch: 224, MelBands: v.Bands, MelFrames: v.MelFrames(), PatchMel: 128, PatchMelT: 16,
			InitStd: .2},
		Hidden: 24, Proj: 8, Globals: 2, Locals: 2, Lambda: .05, Directions: 16,
		Knots: engine.Knots{Max: 5, Count: 17}}, 3, 64)
	if err != nil {
		b.Fatal(err)
	}
	maker, err := view.NewMaker(v)
	if err != nil {
		b.Fatal(err)
	}
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			for b.Loop() {
				_, err := Clips(context.Background(), e, m, loader.NewClips(set, maker, 0),
					Config{Views: 64, Windows: 1, Workers: workers}, nil)
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N*set.Len()), "ms/clip")
		})
	}
}
