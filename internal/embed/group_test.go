package embed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"avjepa/internal/dataset"
	"avjepa/internal/dataset/datasettest"
	"avjepa/internal/engine/grouptest"
	"avjepa/internal/media"
	"avjepa/internal/tensor"
)

// TestProcesses: 1 to 4 processes, more than one of which may find nothing to embed,
// give the embeddings that one gives, bit for bit, each clip once, and name the same
// broken clips.
func TestProcesses(t *testing.T) {
	for _, c := range []struct {
		clips  int
		broken []int
	}{{9, nil}, {9, []int{0, 1, 2, 7}}, {3, []int{1}}, {2, nil}} {
		set := datasettest.Make(t, datasettest.Config{Clips: c.clips, Alter: func(i int, m *media.Clip) {
			if last := len(m.Frames) - 1; slices.Contains(c.broken, i) {
				m.Frames[last] = m.Frames[last][:len(m.Frames[last])-100]
			}
		}})
		e, m := newModel(t, false)
		cfg := Config{Views: maxViews, Windows: 2, Both: true}
		want := embed(t, e, m, newClips(t, set), cfg)
		if len(want.Index) != c.clips-len(c.broken) {
			t.Fatalf("%d clips, broken %v: rows %v", c.clips, c.broken, want.Index)
		}
		for size := 1; size <= 4; size++ {
			t.Run(fmt.Sprintf("%d clips, broken %v, %d processes", c.clips, c.broken, size),
				func(t *testing.T) { compareProcesses(t, size, set, want, cfg) })
		}
	}
}

// compareProcesses embeds the clips of a set with size processes.
func compareProcesses(t *testing.T, size int, set *dataset.Set, want *Features, cfg Config) {
	n := set.Len()
	grouptest.Run(t, size, func(p *grouptest.Process) {
		e, m := newModel(t, false)
		c, calls := cfg, 0
		c.Group = p.Group(e)
		got, err := Clips(context.Background(), e, m, newClips(t, set), c, func(int) { calls++ })
		if err != nil {
			t.Error(err)
			return
		}
		if lo, hi := n*p.Rank/size, n*(p.Rank+1)/size; calls != hi-lo {
			t.Errorf("process %d of %d embeds %d of %d clips", p.Rank, size, calls, n)
		}
		if !slices.Equal(got.Index, want.Index) || len(got.Skipped) != len(want.Skipped) {
			t.Errorf("process %d: rows %v, want %v; skipped %v", p.Rank, got.Index, want.Index,
				got.Skipped)
		}
		for key, err := range want.Skipped {
			if got.Skipped[key] == nil || got.Skipped[key].Error() != err.Error() {
				t.Errorf("process %d: clip %s: %v, want %v", p.Rank, key, got.Skipped[key], err)
			}
		}
		for k, v := range []Vectors{got.Audio, got.Video, got.Both} {
			w := []Vectors{want.Audio, want.Video, want.Both}[k]
			each(v, func(name string, a tensor.Array) {
				b, _ := w.Pick(name)
				if a.Shape != b.Shape || !slices.Equal(a.Data, b.Data) {
					t.Errorf("process %d of %d: modality %d, %s differs", p.Rank, size, k, name)
				}
			})
		}
	})
}

// TestProcessFails: what goes wrong in one process is an error in all.
func TestProcessFails(t *testing.T) {
	set := datasettest.Make(t, datasettest.Config{Clips: 6})
	why := errors.New("enough")
	grouptest.Run(t, 3, func(p *grouptest.Process) {
		e, m := newModel(t, false)
		ctx, cancel := context.WithCancelCause(context.Background())
		defer cancel(nil)
		if p.Rank == 1 {
			cancel(why)
		}
		_, err := Clips(ctx, e, m, newClips(t, set),
			Config{Views: maxViews, Windows: 1, Group: p.Group(e)}, nil)
		if p.Rank == 1 && !errors.Is(err, why) ||
			p.Rank != 1 && (err == nil || !strings.Contains(err.Error(), "process 1 failed: enough")) {
			t.Errorf("process %d: %v", p.Rank, err)
		}
	})
}
