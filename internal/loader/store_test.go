package loader

import (
	"os"
	"slices"
	"testing"
	"time"

	"avjepa/internal/dataset"
	"avjepa/internal/dataset/datasettest"
	"avjepa/internal/store"
	"avjepa/internal/store/storetest"
)

// An epoch goes on when its store dies in the middle and comes back: every clip once,
// in the order of an epoch that nothing happened to.
func TestEpochThroughRestart(t *testing.T) {
	server := storetest.S3(t)
	dir := t.TempDir()
	here := datasettest.Make(t, datasettest.Config{Dir: dir, Clips: 96, ShardBytes: 150_000})
	at, err := store.Open(t.Context(), server.Location("set"), store.Config{Keys: server.Keys,
		Retry: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Type().IsRegular() && f.Name()[0] != '.' {
			if err := at.Upload(t.Context(), f.Name(), dir+"/"+f.Name(), nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	there, err := dataset.OpenStore(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	epoch := func(set *dataset.Set, middle func()) (keys []string) {
		cfg := Config{BatchSize: 4, Seed: 3, Workers: 2, Lanes: 2, ShuffleBytes: 1 << 20}
		l, err := New(newClips(t, set, 0), cfg, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		for step := range set.Len() / cfg.BatchSize {
			if step == 8 {
				middle()
			}
			b, _, err := l.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, b.Keys...)
		}
		if n := len(l.Skipped()); n > 0 {
			t.Errorf("%d clips were passed over", n)
		}
		return keys
	}
	want := epoch(here, func() {})
	got := epoch(there, func() {
		server.Kill()
		server.Restart(500 * time.Millisecond)
	})
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	slices.Sort(got)
	if once := slices.Compact(got); len(once) != here.Len() {
		t.Errorf("%d different clips of %d", len(once), here.Len())
	}
}
