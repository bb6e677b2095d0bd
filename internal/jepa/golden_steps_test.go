package jepa

import (
	"strings"
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/optim"
)

func TestGoldenSteps(t *testing.T) {
	onEngines(t, func(t *testing.T, e engine.Engine) {
		g := openGolden(t, "steps.safetensors")
		m := goldenModel(t, e)
		b := goldenBatch(openGolden(t, "loss.safetensors"), e)
		cfg := optim.Default() // the paper's: decay on all parameters, clip at 5
		opt, err := optim.New(e, m.Params, cfg)
		if err != nil {
			t.Fatal(err)
		}
		directions := g.array("directions").Data // (3, K, M)
		size := len(directions) / 3
		var totals, invariances, sigregs, norms []float32
		for step := range 3 {
			m.SetDirections(rowsOf(directions[step*size:(step+1)*size], 32, 64))
			m.StepDrawn(b, step)
			l := m.Losses()
			totals = append(totals, float32(l.Total))
			invariances = append(invariances, float32(l.Invariance))
			sigregs = append(sigregs, float32(l.SIGReg))
			norms = append(norms, float32(l.GradNorm))
			opt.Step(5e-4, m.GradSquare())
			if step == 0 {
				goldenParams(g, m, "parameters after 1 step", "ssl1.")
			}
		}
		goldenParams(g, m, "parameters after 3 steps", "ssl3.")
		g.check("losses of 3 steps", "ssl.total", totals)
		g.check("losses of 3 steps", "ssl.invariance", invariances)
		g.check("losses of 3 steps", "ssl.sigreg", sigregs)
		g.check("losses of 3 steps", "ssl.grad_norm_ssl", norms)
		g.table("losses of 3 steps", "parameters after 1 step", "parameters after 3 steps")
	})
}

// goldenParams checks all parameters and running statistics. Those whose true
// gradient is 0 wander by the learning rate in float32: they have wide
// tolerances of their own and a line of their own in the table.
func goldenParams(g *golden, m *Model, level, prefix string) {
	for name, a := range m.Params.Export() {
		if strings.HasSuffix(name, "num_batches_tracked") {
			continue
		}
		l := level
		if g.bound[prefix+name].Class == "Z" {
			l = "without a true gradient"
		}
		g.check(l, prefix+name, a.Data)
	}
}
