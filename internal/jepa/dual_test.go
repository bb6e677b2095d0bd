package jepa

import (
	"slices"
	"strings"
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/engine/ref"
	"avjepa/internal/golden"
	"avjepa/internal/vit"
)

// TestDualValidate: a configuration describes both modalities.
func TestDualValidate(t *testing.T) {
	cfg := dualConfig()
	cfg.Encoder.Modality = vit.AudioOnly
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "both modalities") {
		t.Errorf("an encoder of one modality: %v", err)
	}
	shared := goldenConfig()
	if a, b := shared.Tokens(), dualConfig().Tokens(); a != 15 || b != 16 {
		t.Errorf("%d tokens of a view, %d with two encoders", a, b)
	}
}

// TestTowersHaveMasksOfTheirOwn: with the same values, as many tokens and nothing to
// see, both encoders give the same CLS, but for dropout.
func TestTowersHaveMasksOfTheirOwn(t *testing.T) {
	for _, dropout := range []float64{0, 0.3} {
		cfg := dualConfig()
		cfg.Encoder.MelFrames, cfg.Encoder.Dropout = 64, dropout // 8 tokens of each
		m, err := New(ref.New(), cfg, 1, 2)
		if err != nil {
			t.Fatal(err)
		}
		values := m.Params.Export()
		for name, a := range values {
			switch {
			case strings.Contains(name, "_pos_embed"), strings.Contains(name, "video_time_embed"),
				strings.Contains(name, "video_spatial_embed"):
				clear(a.Data)
			case strings.Contains(name, "encoder.audio_") && !strings.Contains(name, "patch_embed"):
				values[strings.Replace(name, "encoder.audio_", "encoder.video_", 1)] = a
			}
		}
		if err := m.Params.Import(values); err != nil {
			t.Fatal(err)
		}
		b, err := m.NewBatch(engine.F32)
		if err != nil {
			t.Fatal(err)
		}
		m.Step(b, 3)
		cls := golden.Download(m.engine, m.cls)
		half := len(cls) / 2
		if same := slices.Equal(cls[:half], cls[half:]); same != (dropout == 0) {
			t.Errorf("dropout %g: the same CLS of both encoders: %v", dropout, same)
		}
	}
}
