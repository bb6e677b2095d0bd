package nn

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/engine/ref"
	"avjepa/internal/tensor"
)

// sample registers a layer of every kind, in an order that mixes spared and
// decayed parameters.
func sample(t *testing.T, g Gradients) (*Params, *Block) {
	t.Helper()
	ps := NewParams()
	ps.Add("cls", tensor.Of(1, 1, 6), Normal(0.02), true)
	NewLinear(ps, "in", 3, 6, FanIn(3), FanIn(3))
	b := NewBlock(ps, "blocks", 0, BlockConfig{Width: 6, Heads: 2, Hidden: 7, InitStd: 0.1})
	NewBatchNorm(ps, "bn", 5)
	if err := ps.Build(ref.New(), g); err != nil {
		t.Fatal(err)
	}
	return ps, b
}

func TestDecayedParametersComeFirst(t *testing.T) {
	ps, _ := sample(t, WithGradients)
	end := 0
	for _, p := range ps.List() {
		if spared := p.Value.Offset() >= ps.Decayed; spared != p.Spared {
			t.Errorf("%s at %d, spared %v; decayed up to %d",
				p.Name, p.Value.Offset(), p.Spared, ps.Decayed)
		}
		if p.Value.Offset() != p.Grad.Offset() {
			t.Errorf("%s: value at %d, gradient at %d", p.Name, p.Value.Offset(), p.Grad.Offset())
		}
		end = max(end, p.Value.Offset()+p.Value.Elems())
	}
	if n := ps.Values.Elems(); end > n || n-end >= blockAlign {
		t.Errorf("parameters end at %d of %d", end, n)
	}
}

func TestQueryKeyValueAreOneMatrix(t *testing.T) {
	ps, b := sample(t, WithGradients)
	ps.Init(1)
	all := ps.Export()
	for what, whole := range map[string]*Joined{"weight": b.qkvW, "bias": b.qkvB} {
		var want []float32
		for _, part := range []string{"query", "key", "value"} {
			want = append(want, all["blocks.0.attention."+part+"."+what].Data...)
		}
		got := Arrays([]Stored{ps.stored("", whole.Value)})[""]
		if got.Shape.Dim(0) != 18 || whole.Grad.Shape() != whole.Value.Shape() {
			t.Fatalf("%s: %v and gradient %v", what, got.Shape, whole.Grad.Shape())
		}
		for i := range want {
			if got.Data[i] != want[i] {
				t.Fatalf("%s[%d] = %g, want %g", what, i, got.Data[i], want[i])
			}
		}
	}
}

func TestInitFollowsTheRule(t *testing.T) {
	ps := NewParams()
	ps.Add("normal", tensor.Of(100, 100), Normal(0.02), false)
	ps.Add("uniform", tensor.Of(100, 100), FanIn(25), false)
	ps.Add("ones", tensor.Of(100), Ones(), true)
	if err := ps.Build(ref.New(), WithoutGradients); err != nil {
		t.Fatal(err)
	}
	ps.Init(1)
	first := ps.Export()
	for name, want := range map[string]float64{
		"normal": 0.02, "uniform": 0.2 / math.Sqrt(3), "ones": 1} {
		sum := 0.0
		for _, v := range first[name].Data {
			sum += float64(v) * float64(v)
			if name == "uniform" && !(math.Abs(float64(v)) <= 0.2) {
				t.Fatalf("%g is beyond 1/√25", v)
			}
		}
		got := math.Sqrt(sum / float64(len(first[name].Data)))
		if !(math.Abs(got-want) <= 0.03*want) {
			t.Errorf("%s: root mean square %g, want %g", name, got, want)
		}
	}
	ps.Init(2)
	if ps.Export()["normal"].Data[0] == first["normal"].Data[0] {
		t.Error("two seeds give the same values")
	}
	ps.Init(1)
	if ps.Export()["normal"].Data[0] != first["normal"].Data[0] {
		t.Error("one seed gives two values")
	}
}

func TestImportTakesAllOrNothing(t *testing.T) {
	ps, _ := sample(t, WithoutGradients)
	ps.Init(1)
	want := ps.Export()
	other, _ := sample(t, WithoutGradients)
	other.Init(2)
	before := other.Export()
	broken := map[string]tensor.Array{}
	for name, a := range want {
		broken[name] = a
	}
	delete(broken, "cls")
	broken["bn.running_var"] = tensor.New(6)
	err := other.Import(broken)
	if err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Fatalf("two faults, got: %v", err)
	}
	if other.Export()["in.weight"].Data[0] != before["in.weight"].Data[0] {
		t.Error("a refused import changed a parameter")
	}
	want["bn.num_batches_tracked"] = tensor.From([]float32{7})
	if err := other.Import(want); err != nil {
		t.Fatal(err)
	}
	got := other.Export()
	for name, a := range want {
		for i := range a.Data {
			if got[name].Data[i] != a.Data[i] {
				t.Fatalf("%s[%d] = %g, want %g", name, i, got[name].Data[i], a.Data[i])
			}
		}
	}
}

func TestDropoutMasksDiffer(t *testing.T) {
	seen := map[uint64]bool{}
	for step := range 3 {
		for part := range 3 {
			for layer := range 40 {
				cx := Context{Seed: 1, Step: step, Part: part}
				seen[uint64(cx.Key(layer))] = true
			}
		}
	}
	if len(seen) != 3*3*40 {
		t.Errorf("%d masks, want %d", len(seen), 3*3*40)
	}
}

// TestMisuseNamesTheParameter: a register with a fault is our own mistake.
func TestMisuseNamesTheParameter(t *testing.T) {
	panics := func(what string, f func()) {
		t.Helper()
		defer func() {
			if s, ok := recover().(string); !ok || !strings.Contains(s, what) {
				t.Errorf("panic %q does not name %s", s, what)
			}
		}()
		f()
	}
	panics("twice.weight", func() {
		ps := NewParams()
		NewLinear(ps, "twice", 2, 2, Zeros(), Zeros())
		NewLinear(ps, "twice", 2, 2, Zeros(), Zeros())
	})
	panics("joined", func() {
		ps := NewParams()
		a := ps.Add("a", tensor.Of(2, 2), Zeros(), false)
		ps.Add("between", tensor.Of(2, 2), Zeros(), false)
		ps.Join(a, ps.Add("joined", tensor.Of(2, 2), Zeros(), false))
		if err := ps.Build(engine.NewCounting(), WithGradients); err != nil {
			t.Error(err)
		}
	})
}

func TestMisfitsAreNamedWithinBounds(t *testing.T) {
	ps := NewParams()
	for i := range 20 {
		ps.Add(fmt.Sprintf("layer.%02d", i), tensor.Of(3), Zeros(), false)
	}
	arrays := map[string]tensor.Array{"layer.00": tensor.New(3), "layer.01": tensor.New(4)}
	text := ps.Fits("", arrays).Error()
	for _, want := range []string{"layer.01 is 4, 3 wanted", "layer.02 is missing", "13 more"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q lacks %q", text, want)
		}
	}
	if n := strings.Count(text, "\n"); n != namedMisfits {
		t.Errorf("%d lines", n+1)
	}
}
