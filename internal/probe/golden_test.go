package probe

import (
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/golden"
	"avjepa/internal/jepa"
	"avjepa/internal/sigreg"
)

// goldenConfig is the model that made the golden vectors.
func goldenConfig() jepa.Config {
	return jepa.Config{Encoder: golden.Encoder(), Hidden: golden.Hidden, Proj: golden.Proj,
		Globals: golden.Globals, Locals: golden.Locals, Lambda: 0.05,
		Directions: golden.Directions, Knots: sigreg.DefaultKnots, KeepTokens: true}
}

func goldenModel(t *testing.T, e engine.Engine) *jepa.Model {
	t.Helper()
	m, err := jepa.New(e, goldenConfig(), 1, golden.Clips)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Params.Import(golden.Weights(t)); err != nil {
		t.Fatal(err)
	}
	return m
}

func goldenOnline(t *testing.T, e engine.Engine, cfg OnlineConfig) *Online {
	t.Helper()
	o, err := NewOnline(e, cfg, goldenConfig(), 1, golden.Clips)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Params.Import(golden.Weights(t)); err != nil {
		t.Fatal(err)
	}
	return o
}

// goldenBatch returns the inputs of loss.safetensors, and the labels.
func goldenBatch(g *golden.File, e engine.Engine) (*jepa.Batch, []int) {
	b, labels := jepa.Batch(g.Batch(e)), make([]int, golden.Clips)
	for i, l := range g.Int64("in.label") {
		labels[i] = int(l)
	}
	return &b, labels
}

// setDirections uploads directions (K, M), as they are stored.
func setDirections(m *jepa.Model, columns []float32) { m.SetDirections(golden.Rows(columns)) }
