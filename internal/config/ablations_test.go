package config

import (
	"io/fs"
	"path"
	"strings"
	"testing"

	"avjepa/internal/view"
)

// ablations are what the presets that are laid over another one change, and the keys
// they may touch.
var ablations = map[string]struct {
	tables string
	holds  func(c *Config) bool
}{
	"dual":        {"model", func(c *Config) bool { j, _ := c.JEPAConfig(); return j.Dual }},
	"lambda-0":    {"loss", func(c *Config) bool { return c.Loss.Lambda == 0 }},
	"lambda-0.03": {"loss", func(c *Config) bool { return c.Loss.Lambda == 0.03 }},
	"lambda-0.10": {"loss", func(c *Config) bool { return c.Loss.Lambda == 0.10 }},
	"lambda-1":    {"loss", func(c *Config) bool { return c.Loss.Lambda == 1 }},
	"locals-4":    {"view", func(c *Config) bool { return c.View.Locals == 4 }},
	"locals-6":    {"view", func(c *Config) bool { return c.View.Locals == 6 }},
	"locals-8":    {"view", func(c *Config) bool { return c.View.Locals == 8 }},
	"no-masking": {"mask", func(c *Config) bool {
		j, _ := c.JEPAConfig()
		v := c.ViewConfig()
		v.Masking.TubeAspect, v.Masking.TubePatch = 0, 0 // of a block that has no area
		return j.LocalsBoth && v.LocalModality == view.LocalBoth && v.Masking == view.Masking{}
	}},
	"vit-s": {"model", func(c *Config) bool {
		e, _ := c.EncoderConfig()
		return e.Width == 384 && e.Depth == 12 && e.Heads == 6
	}},
}

// TestAblations lays every one over the presets that people train with: it changes
// what it says and nothing else, and the result can be used.
func TestAblations(t *testing.T) {
	files, err := fs.Glob(presets, presetFolders[1]+"/*.toml")
	mustNot(t, err)
	if len(files) != len(ablations) {
		t.Errorf("ablations %v, %d are tested", files, len(ablations))
	}
	for _, file := range files {
		name := strings.TrimSuffix(path.Base(file), ".toml")
		for _, base := range []string{"demo", "tiny", "paper"} {
			plain, c := New(), New()
			mustNot(t, plain.ApplyPreset(base))
			mustNot(t, c.ApplyPreset(base+","+name))
			if err := c.Validate(); err != nil {
				t.Errorf("%s over %s: %v", name, base, err)
			}
			a := ablations[name]
			if a.holds == nil || !a.holds(c) || a.holds(plain) {
				t.Errorf("%s over %s does not do what it is called", name, base)
				continue
			}
			was := plain.Settings()
			for i, s := range c.Settings() {
				if s.Value != was[i].Value && (!strings.HasPrefix(s.Key, a.tables+".") ||
					s.Origin != "preset "+name) {
					t.Errorf("%s over %s changes %s to %v (%s)", name, base, s.Key, s.Value, s.Origin)
				}
			}
			roundTrip(t, base+","+name, c)
		}
	}
	for _, bad := range []string{"", "demo,", ",", "demo,,dual", "ablations/dual", "demo dual",
		strings.Repeat("demo,", 1000) + "demo"} {
		if err := New().ApplyPreset(bad); err == nil {
			t.Errorf("%.30q is a preset", bad)
		}
	}
}
