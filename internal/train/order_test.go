package train

import (
	"errors"
	"strings"
	"testing"
)

// TestResumeInLanes holds a run in lanes that is resumed in the middle of an epoch to
// one in one go; processes, each with lanes of its own, read the same clips. With other
// lanes, memory or sampling a run is not resumed.
func TestResumeInLanes(t *testing.T) {
	cfg := tinyConfig(7)
	cfg.Lanes, cfg.ShuffleBytes = 2, 200<<10
	whole := newTrial(t)
	whole.mustRun(cfg)
	parts := whole.in("parts")
	cfg.Resume, cfg.StopAfter = true, 3
	parts.mustRun(cfg)
	cfg.StopAfter = 0
	parts.mustRun(cfg)
	parts.same(whole, "3 + 4 and 7 steps in lanes")
	plain := whole.in("plain")
	plain.mustRun(tinyConfig(7))
	if plain.metrics()[0].Total == whole.metrics()[0].Total {
		t.Error("the order is the same without lanes")
	}

	two := whole.in("two")
	two.model.GlobalNorm = true
	one := two.in("one")
	cfg.Resume = false
	one.mustRun(cfg)
	_, errs := two.group(2, cfg, nil)
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	for i, m := range two.metrics() {
		if want := one.metrics()[i].Total; !(abs(m.Total-want) <= 1e-3*want) {
			t.Errorf("step %d: loss %g in two processes, %g in one", m.Step, m.Total, want)
		}
	}

	cfg.Resume = true
	for want, change := range map[string]func(c *Config){
		"in 1 lanes of":              func(c *Config) { c.Lanes = 1 },
		"in 2 lanes of 204801 bytes": func(c *Config) { c.ShuffleBytes++ },
		"in batches of 4, seed":      func(c *Config) { c.Lanes = 0 },
		"in batches of 4, balanced":  func(c *Config) { c.Lanes, c.Balanced = 0, true },
	} {
		other := cfg
		change(&other)
		_, err := whole.run(t.Context(), other)
		if !errors.Is(err, ErrMismatch) || !strings.Contains(err.Error(), want) ||
			!strings.Contains(err.Error(), "order shards in 2 lanes of 204800 bytes in all") {
			t.Errorf("resumed with another order, %s: %v", want, err)
		}
	}
}

// TestBalancedRun trains on clips of which one class has most, and resumes.
func TestBalancedRun(t *testing.T) {
	cfg := tinyConfig(6)
	cfg.Balanced = true
	whole := newTrial(t)
	whole.mustRun(cfg)
	parts := whole.in("parts")
	cfg.Resume, cfg.StopAfter = true, 3
	parts.mustRun(cfg)
	cfg.StopAfter = 0
	parts.mustRun(cfg)
	parts.same(whole, "3 + 3 and 6 steps of balanced epochs")
}

func abs(x float64) float64 { return max(x, -x) }
