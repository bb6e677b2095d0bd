package optim

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/engine/ref"
	"avjepa/internal/nn"
	"avjepa/internal/tensor"
)

func TestScheduleMatchesGolden(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "testdata", "golden", "schedule.json"))
	if err != nil {
		t.Fatal(err)
	}
	var g struct {
		N, Warmup int
		Base      float64
		EtaMin    float64 `json:"eta_min"`
		Start     float64 `json:"start_factor"`
		LR        []float64
		ProbeBase float64   `json:"probe_base"`
		ProbeLR   []float64 `json:"probe_lr"`
	}
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	if len(g.LR) != g.N+1 || len(g.ProbeLR) != g.N+1 {
		t.Fatalf("%d and %d rates for %d steps", len(g.LR), len(g.ProbeLR), g.N)
	}
	s := Schedule{Base: g.Base, Start: g.Start, Min: g.EtaMin, Warmup: g.Warmup, Steps: g.N}
	probe := s
	probe.Base = g.ProbeBase
	for i := range g.LR {
		if d := math.Abs(s.At(i) - g.LR[i]); !(d <= 1e-15) {
			t.Errorf("rate of step %d is %g, want %g", i, s.At(i), g.LR[i])
		}
		if d := math.Abs(probe.At(i) - g.ProbeLR[i]); !(d <= 1e-15) {
			t.Errorf("probe rate of step %d is %g, want %g", i, probe.At(i), g.ProbeLR[i])
		}
	}
}

func TestScheduleWithoutWarmup(t *testing.T) {
	s := Schedule{Base: 1, Min: 0.1, Steps: 4}
	if s.At(0) != 1 || s.At(4) != 0.1 || s.At(9) != 0.1 {
		t.Errorf("rates %g, %g, %g, want 1, 0.1, 0.1", s.At(0), s.At(4), s.At(9))
	}
}

// pair is a register of a weight and a bias of one value each, set to 2, with
// gradients 3 and 4.
func pair(t *testing.T) (engine.Engine, *nn.Params) {
	t.Helper()
	e, ps := ref.New(), nn.NewParams()
	ps.Add("bias", tensor.Of(1), nn.Zeros(), true)
	ps.Add("weight", tensor.Of(1, 1), nn.Zeros(), false)
	if err := ps.Build(e, nn.WithGradients); err != nil {
		t.Fatal(err)
	}
	for i, p := range ps.List() {
		e.Upload(p.Value, []float32{2})
		e.Upload(p.Grad, []float32{float32(4 - i)})
	}
	return e, ps
}

func values(ps *nn.Params) (weight, bias float64) {
	all := ps.Export()
	return float64(all["weight"].Data[0]), float64(all["bias"].Data[0])
}

func TestFirstStepMovesByTheRateAndDecays(t *testing.T) {
	for _, decay := range []Decay{DecayAll, DecayWeights} {
		e, ps := pair(t)
		cfg := Default()
		cfg.WeightDecay, cfg.Decay = 0.5, decay
		o, err := New(e, ps, cfg)
		if err != nil {
			t.Fatal(err)
		}
		o.Step(0.1, engine.Tensor{})
		// The first step of Adam is lr·sign(g); decay takes lr·wd·p = 0.1.
		wantWeight, wantBias := 2-0.1-0.1, 2-0.1-0.1
		if decay == DecayWeights {
			wantBias = 2 - 0.1
		}
		weight, bias := values(ps)
		if !(math.Abs(weight-wantWeight) <= 1e-6) || !(math.Abs(bias-wantBias) <= 1e-6) {
			t.Errorf("decay %q: %g and %g, want %g and %g", decay, weight, bias,
				wantWeight, wantBias)
		}
	}
}

func TestClippingScalesByTheGivenNorm(t *testing.T) {
	for _, given := range []bool{false, true} {
		e, ps := pair(t) // gradients of norm 5
		cfg := Default()
		cfg.Clip, cfg.Eps = 1, 1 // with eps 1 the step depends on the scale
		o, err := New(e, ps, cfg)
		if err != nil {
			t.Fatal(err)
		}
		var square engine.Tensor
		norm := 5.0
		if given {
			norm = 10
			square = engine.NewTensor(mustBuffer(t, e, 1), 0, tensor.Of(1))
			e.Upload(square, []float32{100})
		}
		o.Step(0.1, square)
		g := 3 / norm // of the weight, clipped
		want := 2*(1-0.1*0.05) - 0.1*g/(g+1)
		if weight, _ := values(ps); !(math.Abs(weight-want) <= 1e-6) {
			t.Errorf("weight %g, want %g", weight, want)
		}
	}
}

func mustBuffer(t *testing.T, e engine.Engine, n int) engine.Buffer {
	t.Helper()
	buf, err := e.NewBuffer(engine.F32, n)
	if err != nil {
		t.Fatal(err)
	}
	return buf
}

func TestResumedOptimizerStepsAlike(t *testing.T) {
	e, ps := pair(t)
	o, err := New(e, ps, Default())
	if err != nil {
		t.Fatal(err)
	}
	o.Step(0.1, engine.Tensor{})
	e2, ps2 := pair(t)
	o2, err := New(e2, ps2, Default())
	if err != nil {
		t.Fatal(err)
	}
	if err := ps2.Import(ps.Export()); err != nil {
		t.Fatal(err)
	}
	if err := o2.Import(nn.Arrays(o.Stored()), o.Taken); err != nil {
		t.Fatal(err)
	}
	o.Step(0.1, engine.Tensor{})
	o2.Step(0.1, engine.Tensor{})
	w, b := values(ps)
	w2, b2 := values(ps2)
	if !(math.Abs(w-w2) <= 1e-6) || !(math.Abs(b-b2) <= 1e-6) {
		t.Errorf("resumed: %g and %g, want %g and %g", w2, b2, w, b)
	}
	if err := o2.Import(ps.Export(), 1); err == nil {
		t.Error("moments that are missing were accepted")
	}
}

func TestValidateListsEveryFault(t *testing.T) {
	err := Config{Beta1: 1, Beta2: -1, Eps: math.NaN(), WeightDecay: -1, Clip: -1, Decay: "some"}.
		Validate()
	if err == nil || strings.Count(err.Error(), "\n") != 5 {
		t.Errorf("six faults, got: %v", err)
	}
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
}
