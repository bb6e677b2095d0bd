package nn

import (
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/engine/ref"
	"avjepa/internal/tensor"
)

// TestReducerOrder: a layer whose weights become final before those behind them, or
// that names no weights, is found out.
func TestReducerOrder(t *testing.T) {
	ps := NewParams()
	first := ps.Add("first", tensor.Of(4, 4), Zeros(), false)
	second := ps.Add("second", tensor.Of(4, 4), Zeros(), false)
	bias := ps.Add("bias", tensor.Of(4), Zeros(), true)
	if err := ps.Build(ref.New(), WithGradients); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		grads []engine.Tensor
		fault bool
	}{
		{"backward", []engine.Tensor{second.Grad, first.Grad}, false},
		{"forward", []engine.Tensor{first.Grad, second.Grad}, true},
		{"a bias", []engine.Tensor{bias.Grad}, true},
		{"a value", []engine.Tensor{second.Value}, true},
	} {
		r := NewReducer(ps, nil)
		r.Begin()
		fault := func() (fault bool) {
			defer func() { fault = recover() != nil }()
			for _, g := range c.grads {
				r.Final(g)
			}
			return false
		}()
		if fault != c.fault {
			t.Errorf("%s: found out %v, want %v", c.name, fault, c.fault)
		}
	}
}
