package probe

import (
	"math"
	"strings"
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/engine/ref"
	"avjepa/internal/golden"
	"avjepa/internal/jepa"
	"avjepa/internal/nn"
	"avjepa/internal/optim"
	"avjepa/internal/tensor"
)

// goldenRate is the learning rate of encoder and projector in the golden steps.
const goldenRate = 5e-4

// together is a model and its probes with their optimisers.
type together struct {
	model       *jepa.Model
	online      *Online
	encoderOpt  *optim.AdamW
	probeOpt    *optim.AdamW
	batch       *jepa.Batch
	labels      []int
	jointly     bool // one clip over all parameters
	encoderOnly bool // the probes do not run
}

func newTogether(t *testing.T, e engine.Engine, jointly bool) *together {
	t.Helper()
	s := &together{model: goldenModel(t, e), jointly: jointly}
	s.online = goldenOnline(t, e, DefaultOnline(golden.Classes))
	s.batch, s.labels = goldenBatch(golden.Open(t, "loss.safetensors"), e)
	cfg := OnlineOptim()
	if jointly {
		cfg.Clip = optim.Default().Clip
	}
	var err error
	if s.encoderOpt, err = optim.New(e, s.model.Params, optim.Default()); err != nil {
		t.Fatal(err)
	}
	if s.probeOpt, err = optim.New(e, s.online.Params, cfg); err != nil {
		t.Fatal(err)
	}
	return s
}

// step takes one with the directions of the golden step of that number.
func (s *together) step(t *testing.T, directions []float32, i int) {
	t.Helper()
	size := len(directions) / 3
	setDirections(s.model, directions[i*size:(i+1)*size])
	s.model.StepDrawn(s.batch, i)
	square := s.model.GradSquare()
	if !s.encoderOnly {
		if err := s.online.Step(s.model.Features(), s.labels); err != nil {
			t.Fatal(err)
		}
		if s.jointly {
			square = s.online.JointSquare(square)
			s.probeOpt.Step(OnlineLR, square)
		} else {
			s.probeOpt.Step(OnlineLR, engine.Tensor{})
		}
	}
	s.encoderOpt.Step(goldenRate, square)
}

func TestGoldenJointSteps(t *testing.T) {
	golden.OnEngines(t, func(t *testing.T, e engine.Engine) {
		g := golden.Open(t, "steps.safetensors")
		directions := g.Array("directions").Data
		s := newTogether(t, e, true)
		seen := map[string][]float32{}
		note := func(name string, v float64) { seen[name] = append(seen[name], float32(v)) }
		for i := range 3 {
			s.step(t, directions, i)
			if i == 0 && e.Info().Name != "ref" {
				decided := newTogether(t, ref.New(), true)
				decided.step(t, directions, 0)
				pinUndetermined(g, s.model.Params, decided.model.Params)
			}
			l, p := s.model.Losses(), s.online.Losses()
			note("total", l.Total)
			note("invariance", l.Invariance)
			note("sigreg", l.SIGReg)
			note("grad_norm_ssl", l.GradNorm)
			note("probe_loss", p.Linear)
			note("att_probe_loss", p.Attentive)
			note("unimodal_probe_loss", p.Unimodal)
			note("grad_norm_all", norm(e, s.online.report.joint))
		}
		for name, values := range seen {
			g.Check("losses and norms of 3 steps", "joint."+name, values...)
		}
		for _, ps := range []*nn.Params{s.model.Params, s.online.Params} {
			goldenParams(g, ps)
		}
		g.Table("losses and norms of 3 steps", "encoder, projector", "probes",
			"without a true gradient")
	})
}

// pinUndetermined sets to the reference engine's value what the first step cannot
// decide in float32: Adam's first step is ±rate by the sign of the gradient
// alone, so an entry whose gradient is smaller than the tolerance of gradients
// may go either way, and the losses of the next steps with it.
func pinUndetermined(steps *golden.File, ps, decided *nn.Params) {
	t := steps.T
	t.Helper()
	first := golden.Open(t, "loss.safetensors")
	all, want, pinned := ps.Export(), decided.Export(), 0
	for _, p := range ps.List() {
		if steps.Bound["joint3."+p.Name].Class == "Z" {
			continue // its gradient is 0 everywhere
		}
		got := all[p.Name].Data
		for i, grad := range first.Array("grad." + p.Name).Data {
			if math.Abs(float64(grad)) > first.Bound["grad."+p.Name].Atol {
				continue
			}
			d := math.Abs(float64(got[i]) - float64(want[p.Name].Data[i]))
			if !(d <= 2.01*goldenRate) {
				t.Errorf("%s[%d] is %g from the reference, more than two steps", p.Name, i, d)
			}
			got[i] = want[p.Name].Data[i]
			pinned++
		}
	}
	if pinned > 100 {
		t.Errorf("%d entries have a gradient below its tolerance", pinned)
	}
	if err := ps.Import(all); err != nil {
		t.Fatal(err)
	}
}

// goldenParams checks all parameters and running statistics after three steps.
// Those without a true gradient wander by the learning rate in float32: they
// have wide tolerances of their own and a line of their own in the table.
func goldenParams(g *golden.File, ps *nn.Params) {
	for name, a := range ps.Export() {
		level := "encoder, projector"
		switch {
		case strings.HasSuffix(name, "num_batches_tracked"):
			continue
		case g.Bound["joint3."+name].Class == "Z":
			level = "without a true gradient"
		case strings.Contains(name, "probe"):
			level = "probes"
		}
		g.Check(level, "joint3."+name, a.Data...)
	}
}

// TestProbesLeaveTheEncoderAlone: with a clip of its own the encoder takes the
// same steps bit for bit whether probes are trained beside it or not, while a
// joint clip slows it down.
func TestProbesLeaveTheEncoderAlone(t *testing.T) {
	golden.OnEngines(t, func(t *testing.T, e engine.Engine) {
		directions := golden.Open(t, "steps.safetensors").Array("directions").Data
		alone := newTogether(t, e, false)
		alone.encoderOnly = true
		beside, joint := newTogether(t, e, false), newTogether(t, e, true)
		for i := range 3 {
			for _, s := range []*together{alone, beside, joint} {
				s.step(t, directions, i)
			}
		}
		want := alone.model.Params.Export()
		if name, i := firstDifference(want, beside.model.Params.Export()); name != "" {
			t.Errorf("%s[%d] differs where probes are trained", name, i)
		}
		if name, _ := firstDifference(want, joint.model.Params.Export()); name == "" {
			t.Error("a joint clip changed nothing")
		}
		l := beside.online.Losses()
		before := golden.Open(t, "loss.safetensors").Array("probe_loss.linear_ls0").Data[0]
		if !(l.Linear < float64(before)) {
			t.Errorf("the probe did not learn: %g after %g", l.Linear, before)
		}
	})
}

// firstDifference returns a name and index at which two sets of arrays differ in
// their bits; "" when they do not.
func firstDifference(a, b map[string]tensor.Array) (name string, i int) {
	for name, x := range a {
		for i := range x.Data {
			if math.Float32bits(x.Data[i]) != math.Float32bits(b[name].Data[i]) {
				return name, i
			}
		}
	}
	return "", 0
}
