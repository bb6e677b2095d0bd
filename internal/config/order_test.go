package config

import (
	"strings"
	"testing"
)

// TestResolveOrder: what is left open is chosen once, by where the data lies and how
// many processes there are, and a resumed run goes on with it.
func TestResolveOrder(t *testing.T) {
	for _, o := range []struct {
		dir, order       string
		batch, lanes     int
		processes        int
		want             string
		wantLanes, trial int // lanes in the configuration, and those that train is given
	}{
		{"data/mine", "", 40, 0, 1, "clips", 0, 0}, {"data/mine", "clips", 40, 5, 3, "clips", 5, 0},
		{"s3://bucket/mine", "", 40, 0, 1, "shards", 10, 10}, {"s3://bucket/mine", "clips", 40, 0, 1, "clips", 0, 0},
		{"data", "shards", 64, 0, 1, "shards", 16, 16}, {"data", "shards", 64, 0, 4, "shards", 16, 16},
		{"data", "shards", 60, 0, 4, "shards", 12, 12}, {"data", "shards", 41, 0, 1, "shards", 1, 1},
		{"data", "shards", 96, 0, 32, "shards", 32, 32}, {"data", "shards", 64, 2, 1, "shards", 2, 2},
	} {
		c := New()
		c.Data.Dir, c.Data.Order, c.Data.Lanes, c.Train.BatchSize = o.dir, o.order, o.lanes, o.batch
		mustNot(t, c.Validate())
		mustNot(t, c.ResolveOrder(o.processes))
		tc := c.TrainConfig(1000)
		if c.Data.Order != o.want || c.Data.Lanes != o.wantLanes || tc.Lanes != o.trial {
			t.Errorf("%+v: order %q in %d lanes, trained in %d", o, c.Data.Order, c.Data.Lanes, tc.Lanes)
		}
		if (tc.ShuffleBytes == 1<<30) != (o.trial > 0) || tc.Balanced {
			t.Errorf("%+v: %+v", o, tc)
		}
		again := New()
		mustNot(t, again.ApplyText(tc.TOML, "config.toml"))
		mustNot(t, again.ResolveOrder(1))
		if again.TOML() != c.TOML() {
			t.Errorf("%+v: resumed with another order:\n%s", o, again.TOML())
		}
	}
	c := New()
	c.Data.Order, c.Data.Lanes = OrderShards, 10
	if err := c.ResolveOrder(4); err == nil || !strings.Contains(err.Error(), "data.lanes = 10") {
		t.Errorf("10 lanes, 4 processes: %v", err)
	}
	c.Data.Lanes, c.Data.Sampling = 7, SamplingBalanced
	err := c.Validate()
	if err == nil || !strings.Contains(err.Error(), "data.lanes = 7 does not divide train.batch_size = 40") ||
		!strings.Contains(err.Error(), `data.sampling = "balanced"`) {
		t.Errorf("7 lanes, balanced: %v", err)
	}
	c.Data.Order = OrderClips
	mustNot(t, c.Validate())
	if !c.TrainConfig(100).Balanced {
		t.Error("sampling is not balanced")
	}
}
