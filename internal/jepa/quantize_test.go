package jepa

import (
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"avjepa/internal/engine/cpu"
	"avjepa/internal/engine/ref"
	"avjepa/internal/golden"
	"avjepa/internal/kernel"
	"avjepa/internal/vit"
)

// TestQuantize: the published weights in bytes give nearly the same embeddings,
// and not the very same.
func TestQuantize(t *testing.T) {
	if !kernel.HasInt8() {
		const reason = "no AVX-512 VNNI, so the engine has no 8-bit products"
		if slices.Contains(strings.Split(os.Getenv("AVJEPA_REQUIRE"), ","), "vnni") {
			t.Fatal("AVJEPA_REQUIRE has vnni: " + reason)
		}
		t.Skip(reason)
	}
	e, err := cpu.New(cpu.Config{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for _, dual := range []bool{false, true} {
		cfg, weights := goldenConfig(), golden.Weights(t)
		if cfg.Dual = dual; dual {
			weights = golden.DualWeights(t)
		}
		m, err := NewEmbedder(e, cfg, 1, 2)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Params.Import(weights); err != nil {
			t.Fatal(err)
		}
		quantize(t, m)
	}
}

// quantize compares a model's embeddings before and after, of all modalities.
func quantize(t *testing.T, m *Model) {
	g, e := golden.Open(t, "encoder.safetensors"), m.engine
	both := vit.Group{Views: 2,
		Video: golden.Upload(t, e, g.Array("video").Data, 2, 3, 4, 32, 32),
		Audio: golden.Upload(t, e, g.Array("audio").Data, 2, 32, 48)}
	embed := func() (all [][]float32) {
		for _, group := range []vit.Group{both, {Views: 2, Audio: both.Audio}, {Views: 2, Video: both.Video}} {
			x := m.Embed(group)
			all = append(all, golden.Download(e, x.CLS), golden.Download(e, x.Projected),
				golden.Download(e, x.Patches))
		}
		return all
	}
	floats := embed()
	if err := m.Quantize(); err != nil {
		t.Fatal(err)
	}
	for k, bytes := range embed() {
		name := []string{"both", "audio", "video"}[k/3] + []string{" CLS", " projection", " mean patch"}[k%3]
		var xy, xx, yy float64
		for i, x := range floats[k] {
			y := float64(bytes[i])
			xy, xx, yy = xy+float64(x)*y, xx+float64(x)*float64(x), yy+y*y
		}
		if far := 1 - xy/math.Sqrt(xx*yy); !(far > 1e-8 && far <= 1e-3) {
			t.Errorf("dual %v: %s: 1 − cosine is %.2g, want rounding to bytes, at most 1e-3",
				m.Dual, name, far)
		}
	}
}

// TestQuantizeRefused by a model that trains and by an engine that cannot.
func TestQuantizeRefused(t *testing.T) {
	m, err := New(ref.New(), goldenConfig(), 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Quantize(); err == nil {
		t.Error("a model that trains was quantised")
	}
	m, err = NewEmbedder(ref.New(), goldenConfig(), 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Quantize(); err == nil {
		t.Error("the reference engine claims to have 8-bit products")
	}
}
