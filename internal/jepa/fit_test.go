package jepa

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"avjepa/internal/engine/ref"
	"avjepa/internal/golden"
	"avjepa/internal/tensor"
	"avjepa/internal/vit"
)

// fitted returns a model of a configuration with the golden values put in.
func fitted(t *testing.T, cfg Config) (*Model, Fit, error) {
	t.Helper()
	m, err := NewEmbedder(ref.New(), cfg, 3, 2)
	if err != nil {
		t.Fatal(err)
	}
	weights := golden.Weights(t)
	if cfg.Dual {
		weights = golden.DualWeights(t)
	}
	fit, err := m.ImportFitting(weights)
	return m, fit, err
}

// TestFitOfTheSameGeometry is Import, bit for bit.
func TestFitOfTheSameGeometry(t *testing.T) {
	for _, dual := range []bool{false, true} {
		cfg := goldenConfig()
		cfg.Dual = dual
		m, fit, err := fitted(t, cfg)
		if err != nil || !fit.Exact() {
			t.Fatalf("dual %v: %+v, %v", dual, fit, err)
		}
		want := golden.Weights(t)
		if dual {
			want = golden.DualWeights(t)
		}
		for name, a := range m.Params.Export() {
			if !slices.Equal(a.Data, want[name].Data) {
				t.Errorf("dual %v: %s differs", dual, name)
			}
		}
	}
}

// TestFitOfAnotherGeometry: positions are interpolated, patches of another size and
// another projector left as they were, everything else is taken; and the model runs.
func TestFitOfAnotherGeometry(t *testing.T) {
	for _, dual := range []bool{false, true} {
		cfg := goldenConfig()
		cfg.Dual = dual
		cfg.Encoder.Frames, cfg.Encoder.Side, cfg.Encoder.MelFrames = 8, 64, 96
		m, fit, err := fitted(t, cfg)
		if err != nil || len(fit.Left) > 0 {
			t.Fatalf("dual %v: %+v, %v", dual, fit, err)
		}
		said := strings.Join(fit.Interpolated, "\n")
		for _, w := range []string{"video_spatial_embed 2×2 to 4×4", "video_time_embed 2 to 4",
			"audio_time_pos_embed 3 to 6"} {
			if !strings.Contains(said, w) {
				t.Errorf("dual %v: does not say %q:\n%s", dual, w, said)
			}
		}
		if len(fit.Interpolated) != 3 {
			t.Errorf("dual %v: interpolated %q", dual, fit.Interpolated)
		}
		out := m.Embed(vit.Group{Views: 2,
			Video: golden.Upload(t, m.engine, make([]float32, 2*3*8*64*64), 2, 3, 8, 64, 64),
			Audio: golden.Upload(t, m.engine, make([]float32, 2*32*96), 2, 32, 96)})
		for i, v := range golden.Download(m.engine, out.Projected) {
			if v-v != 0 {
				t.Fatalf("projection [%d] is %g", i, v)
			}
		}
	}
	cfg := goldenConfig()
	cfg.Encoder.Patch, cfg.Proj = 8, 16
	m, fit, err := fitted(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := NewEmbedder(ref.New(), cfg, 3, 2)
	if err != nil {
		t.Fatal(err)
	}
	initial, got, want := fresh.Params.Export(), m.Params.Export(), golden.Weights(t)
	for name, a := range got {
		switch {
		case within(name, "projector"), within(name, "encoder.embedding.video_patch_embed.projection"):
			if !slices.Equal(a.Data, initial[name].Data) {
				t.Errorf("%s has not kept its values", name)
			}
		case !strings.HasSuffix(name, "video_spatial_embed") && !slices.Equal(a.Data, want[name].Data):
			t.Errorf("%s is not that of the checkpoint", name)
		}
	}
	if left := strings.Join(fit.Left, "\n"); len(fit.Left) != 2 || !strings.Contains(left, "projector: 32") ||
		!strings.Contains(left, "video_patch_embed.projection: 48×3×2×16×16") {
		t.Errorf("left %q", fit.Left)
	}
}

// TestFitRefused: another width, depth, or another kind of encoder, and a table that
// is no square, are errors that change nothing.
func TestFitRefused(t *testing.T) {
	for name, change := range map[string]func(c *Config, weights map[string]tensor.Array){
		"width": func(c *Config, _ map[string]tensor.Array) { c.Encoder.Width = 24 },
		"depth": func(c *Config, _ map[string]tensor.Array) { c.Encoder.Depth = 3 },
		"dual":  func(c *Config, _ map[string]tensor.Array) { c.Dual = true },
		"square": func(_ *Config, w map[string]tensor.Array) {
			w["encoder.embedding.video_spatial_embed"] = tensor.New(1, 1, 3, 48)
		},
	} {
		cfg, weights := goldenConfig(), golden.Weights(t)
		change(&cfg, weights)
		m, err := NewEmbedder(ref.New(), cfg, 3, 2)
		if err != nil {
			t.Fatal(err)
		}
		before := m.Params.Export()
		fit, err := m.ImportFitting(weights)
		if !errors.Is(err, ErrUnfit) || !strings.Contains(err.Error(), "wanted") || !fit.Exact() {
			t.Errorf("%s: %+v, %v", name, fit, err)
		}
		for n, a := range m.Params.Export() {
			if !slices.Equal(a.Data, before[n].Data) {
				t.Fatalf("%s: %s was changed", name, n)
			}
		}
	}
}
