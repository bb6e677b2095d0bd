package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"avjepa/internal/dataset/datasettest"
)

// TestRun takes samples of a small set in both orders.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	datasettest.Make(t, datasettest.Config{Dir: dir, Clips: 24, ShardBytes: 200 << 10})
	for _, order := range []string{"clips", "shards"} {
		var out bytes.Buffer
		o := options{data: dir, order: order, preset: "demo", minutes: 2. / 60, workers: 1, shuffleMB: 1,
			json: true, every: 100 * time.Millisecond}
		err := run(context.Background(), o, &out)
		if err != nil && !strings.Contains(err.Error(), "memory grew") { // of so short a run it may
			t.Fatalf("order %s: %v", order, err)
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		for _, line := range lines {
			var s sample
			if err := json.Unmarshal([]byte(line), &s); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			if !(s.Clips > 0 && s.PerS > 0 && s.PerCore > 0 && s.RSSBytes > 1<<20 && s.Wait >= 0 && s.Wait < 1.01) ||
				s.Skipped != 0 {
				t.Errorf("order %s: %+v", order, s)
			}
		}
		if len(lines) < 3 {
			t.Errorf("order %s: %d samples", order, len(lines))
		}
	}
	for _, o := range []options{{data: t.TempDir(), order: "clips", preset: "demo"},
		{data: dir, order: "random", preset: "demo", shuffleMB: 1}, {data: dir, order: "clips", preset: "no"}} {
		if err := run(context.Background(), o, new(bytes.Buffer)); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
}

func TestGrown(t *testing.T) {
	rss := func(mb ...int64) (out []sample) {
		for _, n := range mb {
			out = append(out, sample{RSSBytes: n << 20})
		}
		return out
	}
	for _, ok := range [][]sample{rss(1, 100, 105), rss(10, 20, 100, 110, 100, 119), rss(9, 9, 7, 7, 7, 1, 7)} {
		if err := grown(ok); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range [][]sample{nil, rss(1, 2), rss(100, 100, 106), rss(1, 1, 100, 100, 100, 111)} {
		if grown(bad) == nil {
			t.Errorf("%v is accepted", bad)
		}
	}
}
