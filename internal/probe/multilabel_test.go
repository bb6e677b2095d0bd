package probe

import (
	"math"
	"slices"
	"strings"
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/engine/ref"
	"avjepa/internal/golden"
)

// several is a configuration for clips with several labels, and those of two clips.
func several() (OnlineConfig, [][]int) {
	c := DefaultOnline(golden.Classes)
	c.MultiLabel = true
	return c, [][]int{{0, 3}, {}}
}

// labelled sets the labels of a step.
func labelled(t *testing.T, o *Online, classes [][]int) {
	t.Helper()
	for i, c := range classes {
		if err := o.Label(i, c); err != nil {
			t.Fatal(err)
		}
	}
	o.UploadLabels()
}

// TestMultiLabelLoss holds the losses to the formula: the mean over clips and classes
// of log(1+exp(x)) − y·x.
func TestMultiLabelLoss(t *testing.T) {
	cfg, classes := several()
	m, b, o := drawn(t, goldenConfig(), cfg)
	m.Step(b, 0)
	labelled(t, o, classes)
	o.Train(m.Features())
	x := o.cx.Arena.New(2, 48)
	y := o.cx.Arena.New(2, golden.Classes)
	meanCLS(&o.cx, x, m.Features().CLS, 0, 2)
	o.Linear.Forward(&o.cx, &LinearCache{}, y, x)
	want, logits := 0.0, golden.Download(o.engine, y)
	for i, v := range logits {
		want += math.Log1p(math.Exp(float64(v)))
		if slices.Contains(classes[i/golden.Classes], i%golden.Classes) {
			want -= float64(v)
		}
	}
	want /= float64(len(logits))
	if l := o.Losses(); !(math.Abs(l.Linear-want) <= 1e-6) || !(l.Attentive > 0 && l.Unimodal > 0) {
		t.Errorf("losses %+v, want %g of the linear head", l, want)
	}
}

// TestMultiLabelGradients holds the gradients of both heads to central differences of
// what they are the gradient of: all losses, the unimodal ones by half.
func TestMultiLabelGradients(t *testing.T) {
	cfg, classes := several()
	m, b, o := drawn(t, goldenConfig(), cfg)
	e := o.engine.(*ref.Engine)
	m.Step(b, 0)
	labelled(t, o, classes)
	f := m.Features()
	total := func() float64 {
		o.Train(f)
		sum := 0.0
		for i, w := range []float64{1, .5, .5, 1} { // the engine's own float64
			sum += w * exact(e, o.report.all.Slice(i, i+1))[0]
		}
		return sum
	}
	total()
	grads := map[string][]float64{}
	for _, p := range o.Params.List() {
		grads[p.Name] = exact(e, p.Grad)
	}
	const h = 1e-5
	for _, p := range o.Params.List() {
		x := exact(e, p.Value)
		largest := 0.0
		for i := 0; i < len(x); i += 1 + len(x)/40 {
			at := func(d float64) float64 {
				moved := slices.Clone(x)
				moved[i] += d
				e.UploadFloat64(p.Value, moved)
				return total()
			}
			got, want := grads[p.Name][i], (at(h)-at(-h))/(2*h)
			if !(math.Abs(got-want) <= 1e-7*(1+math.Abs(want))) {
				t.Errorf("%s[%d] is %.9g, differences give %.9g", p.Name, i, got, want)
			}
			largest = max(largest, math.Abs(got))
		}
		if largest < 1e-6 && !strings.HasSuffix(p.Name, "in_proj_bias") {
			t.Errorf("%s has gradients of %g at most", p.Name, largest)
		}
		e.UploadFloat64(p.Value, x)
	}
}

// TestMultiLabelFillsItsArena: the memory planned is what is used, by the bytes that
// PlanOnline names too, and a step allocates nothing.
func TestMultiLabelFillsItsArena(t *testing.T) {
	for _, multi := range []bool{false, true} {
		cfg, classes := several()
		if cfg.MultiLabel = multi; !multi {
			classes = [][]int{{0}, {6}}
		}
		m, b, o := drawn(t, goldenConfig(), cfg)
		m.Step(b, 0)
		labelled(t, o, classes)
		o.Train(m.Features())
		planned, err := newOnline(engine.NewCounting(), cfg, o.model, 2, boundless)
		if err != nil {
			t.Fatal(err)
		}
		planned.rehearse()
		if p := planned.cx.Arena.Peak(); p != o.cx.Arena.Peak() {
			t.Errorf("planned %+v elements, used %+v", p, o.cx.Arena.Peak())
		}
		cls, tokens := m.Features().CLS, m.Features().Tokens
		if n := testing.AllocsPerRun(5, func() { planned.train(cls, tokens) }); n != 0 {
			t.Errorf("%g allocations in a step", n)
		}
		bytes, err := PlanOnline(cfg, o.model, 2)
		values := int64(o.Params.Values.Elems())
		labels := int64(len(o.hostLabels))
		if want := 4 * (4*values + 6 + labels + int64(o.cx.Arena.Peak().F32)); err != nil || bytes != want {
			t.Errorf("%d bytes, %v; want %d", bytes, err, want)
		}
	}
}

// TestLabels: what is no label is refused, and of what was noted before only the
// clip's own is replaced.
func TestLabels(t *testing.T) {
	cfg, _ := several()
	_, _, o := drawn(t, goldenConfig(), cfg)
	for _, bad := range [][]int{{-1}, {0, golden.Classes}} {
		if err := o.Label(1, bad); err == nil || !strings.Contains(err.Error(), "clip 1") {
			t.Errorf("labels %v: %v", bad, err)
		}
	}
	labelled(t, o, [][]int{{1, 2}, {3}})
	labelled(t, o, [][]int{{2}})
	for i, y := range golden.Download(o.engine, o.labels) {
		if (y == 1) != (i == 2 || i == golden.Classes+3) {
			t.Errorf("label %d is %v", i, y)
		}
	}
	cfg.MultiLabel = false
	_, _, o = drawn(t, goldenConfig(), cfg)
	for _, bad := range [][]int{nil, {1, 2}} {
		if err := o.Label(0, bad); err == nil {
			t.Errorf("labels %v of one", bad)
		}
	}
}

// exact returns what a tensor of the reference engine holds.
func exact(e *ref.Engine, t engine.Tensor) []float64 {
	out := make([]float64, t.Elems())
	e.DownloadFloat64(out, t)
	return out
}
