package dataset

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"avjepa/internal/store"
	"avjepa/internal/store/storetest"
)

func openStore(t *testing.T, s *storetest.Server, prefix string) *store.Store {
	t.Helper()
	at, err := store.Open(t.Context(), s.Location(prefix), store.Config{Keys: s.Keys,
		Retry: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// checksums returns those of the clips of a set by key, all read back.
func checksums(t *testing.T, set *Set) map[string]uint32 {
	t.Helper()
	sums := make(map[string]uint32)
	var c Clip
	for i := range set.Len() {
		if err := set.Read(t.Context(), i, &c); err != nil {
			t.Fatal(err)
		}
		sums[c.Key] = c.CRC
	}
	return sums
}

func sameClips(t *testing.T, what string, got, want map[string]uint32) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d clips, want %d", what, len(got), len(want))
	}
	for key, sum := range want {
		if got[key] != sum {
			t.Errorf("%s: clip %s is %08x, want %08x", what, key, got[key], sum)
		}
	}
}

// A dataset that goes to a store is the one that stays here, whatever happens on the
// way: interrupts, a lost workplace, a server that dies and comes back.
func TestIngestIntoStore(t *testing.T) {
	server := storetest.S3(t)
	entries := sources(t, makeFiles(t, manyFiles(60)))
	cfg := testConfig(t.TempDir(), entries)
	if _, err := Ingest(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	here, err := Open(cfg.Dir)
	if err != nil {
		t.Fatal(err)
	}
	want := checksums(t, here)

	cfg.Store, cfg.Dir = openStore(t, server, "set"), t.TempDir()
	for stop := range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		arrived := 0
		cfg.Sent = func(int64) {
			if arrived++; arrived > 1 {
				cancel()
			} else if stop == 0 {
				server.Kill()
				server.Restart(300 * time.Millisecond)
			}
		}
		if _, err := Ingest(ctx, cfg); !errors.Is(err, context.Canceled) {
			t.Fatalf("stop %d: %v", stop, err)
		}
		if stop == 1 { // as on another machine
			cfg.Dir = t.TempDir()
		}
	}
	cfg.Sent = nil
	if _, err := Ingest(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(cfg.Dir, "shard-*.tar"))
	if err != nil || len(left) > 0 {
		t.Errorf("in the workplace are still %v (%v)", left, err)
	}
	there, err := OpenStore(t.Context(), cfg.Store)
	if err != nil {
		t.Fatal(err)
	}
	sameClips(t, "in the store", checksums(t, there), want)

	cfg.Entries = append(slices.Clone(entries),
		sources(t, makeFiles(t, map[string]string{"late.mp4": "3 usable"}))...)
	if sum, err := Ingest(t.Context(), cfg); err != nil || sum.Clips != len(want)+1 {
		t.Errorf("with one more: %d clips (%v)", sum.Clips, err)
	}
	if there, err = OpenStore(t.Context(), cfg.Store); err != nil || there.Len() != len(want)+1 {
		t.Errorf("with one more: %v", err)
	}
}

// While a server is away its clips are waited for.
func TestReadThroughRestart(t *testing.T) {
	server := storetest.S3(t)
	cfg := testConfig(t.TempDir(), sources(t, makeFiles(t, manyFiles(30))))
	cfg.Store = openStore(t, server, "set")
	if _, err := Ingest(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	set, err := OpenStore(t.Context(), cfg.Store)
	if err != nil {
		t.Fatal(err)
	}
	var c Clip
	for i := range set.Len() {
		if i == set.Len()/2 {
			server.Kill()
			server.Restart(500 * time.Millisecond)
		}
		if err := set.Read(t.Context(), i, &c); err != nil {
			t.Fatal(err)
		}
	}
}

// A finished dataset can be read from a plain web server, which takes none.
func TestReadOverHTTP(t *testing.T) {
	cfg := testConfig(t.TempDir(), sources(t, makeFiles(t, manyFiles(20))))
	if _, err := Ingest(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	here, err := Open(cfg.Dir)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(http.FileServer(http.Dir(cfg.Dir)))
	defer web.Close()
	at, err := store.Open(t.Context(), web.URL, store.Config{Retry: -1})
	if err != nil {
		t.Fatal(err)
	}
	there, err := OpenStore(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	sameClips(t, "over HTTP", checksums(t, there), checksums(t, here))

	nowhere := httptest.NewServer(http.NotFoundHandler())
	defer nowhere.Close()
	if at, err = store.Open(t.Context(), nowhere.URL, store.Config{Retry: -1}); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenStore(t.Context(), at); !errors.Is(err, ErrNotDataset) {
		t.Errorf("a location without a dataset: %v", err)
	}
	cfg.Dir, cfg.Store = t.TempDir(), at
	if _, err := Ingest(t.Context(), cfg); !errors.Is(err, store.ErrUnsupported) {
		t.Errorf("ingest into a web server: %v", err)
	}
}
