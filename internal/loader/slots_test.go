package loader

import (
	"slices"
	"testing"

	"avjepa/internal/dataset/datasettest"
	"avjepa/internal/media"
)

// part returns what slots first to first+n−1 of a view-major x (V, B, ·) hold.
func part[T any](x []T, views, batch, first, n int) (out []T) {
	each := len(x) / views / batch
	for v := range views {
		out = append(out, x[(v*batch+first)*each:][:n*each]...)
	}
	return out
}

// TestSlots: processes that make some slots each make parts of one process's batches,
// the clip that takes a broken one's place included.
func TestSlots(t *testing.T) {
	set := datasettest.Make(t, datasettest.Config{Clips: 9, Alter: func(i int, c *media.Clip) {
		if i == 4 {
			c.Frames[0] = []byte("not a picture")
		}
	}})
	const size, steps = 4, 5
	for _, slots := range []int{1, 2} {
		whole := newLoader(t, newClips(t, set, 1<<30), Config{BatchSize: size, Seed: 3, Workers: 2}, 1)
		var parts []*Loader
		for first := 0; first < size; first += slots {
			parts = append(parts, newLoader(t, newClips(t, set, 0),
				Config{BatchSize: size, First: first, Slots: slots, Seed: 3, Workers: 1}, 1))
		}
		found := false
		for range steps {
			want := next(t, whole)
			for i, l := range parts {
				b, first := next(t, l), i*slots
				if !slices.Equal(b.Keys, want.Keys[first:first+slots]) {
					t.Fatalf("slot %d: clips %v, want %v", first, b.Keys, want.Keys)
				}
				same := slices.Equal(b.GlobalVideo, part(want.GlobalVideo, 2, size, first, slots)) &&
					slices.Equal(b.GlobalAudio, part(want.GlobalAudio, 2, size, first, slots)) &&
					slices.Equal(b.LocalVideo, part(want.LocalVideo, 1, size, first, slots)) &&
					slices.Equal(b.LocalAudio, part(want.LocalAudio, 1, size, first, slots))
				if !same {
					t.Errorf("slot %d: other views", first)
				}
			}
		}
		for _, l := range parts {
			found = found || l.Skipped()[datasettest.Key(4)] != nil
		}
		if !found || whole.Skipped()[datasettest.Key(4)] == nil {
			t.Error("the broken clip was not met")
		}
	}
}
