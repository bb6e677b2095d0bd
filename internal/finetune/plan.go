package finetune

import (
	"avjepa/internal/engine"
	"avjepa/internal/vit"
)

// Plan is what a run asks of a machine, counted by running the network's own code on an
// engine without memory. Sizes are bytes.
type Plan struct {
	Parameters  int   // of encoder and heads
	Trained     int   // of them
	Values      int64 // of the parameters
	Gradients   int64
	Moments     int64 // of AdamW
	Activations int64
	Inputs      int64

	// StepFLOPs is the work of a step, EncodeFLOPs that of one view through encoder and
	// heads without a backward, HeadFLOPs that of a step of the heads alone: in matrix
	// products and attention, recomputation not counted.
	StepFLOPs, EncodeFLOPs, HeadFLOPs int64
}

// Total returns the bytes on the device.
func (p Plan) Total() int64 {
	return p.Values + p.Gradients + p.Moments + p.Activations + p.Inputs
}

// PlanTraining counts a step of batch clips, views at once, that show a modality.
func PlanTraining(m Model, views, batch int, modality vit.Modality) (Plan, error) {
	plain := m
	plain.Recompute = false
	e := engine.NewCounting()
	n, err := newNetwork(e, plain, views, Training, boundless(m))
	if err != nil {
		return Plan{}, err
	}
	p := Plan{Parameters: n.Backbone.Count() + n.Heads.Count(), Trained: n.Heads.Count(),
		Values: 4 * int64(n.Backbone.Values.Elems()+n.Heads.Values.Elems()),
		Inputs: int64(n.video.Elems()) + 4*int64(n.audio.Elems())}
	p.Gradients = 4 * int64(n.Heads.Grads.Elems())
	if !m.Frozen {
		p.Trained, p.Gradients = p.Parameters, p.Values
	}
	p.Moments = 2 * p.Gradients
	count := func(f func()) int64 {
		before := e.Counts.ModelFLOPs()
		f()
		return e.Counts.ModelFLOPs() - before
	}
	targets := make([]float32, views*m.Classes)
	n.begin(0)
	step := count(func() { n.encodeStep(n.group(views, modality), targets, &Objective{}, 1) })
	p.StepFLOPs = step * int64(batch) / int64(views)
	heads := count(func() { n.headsStep(targets, &Objective{}, 1, false) })
	p.HeadFLOPs = heads * int64(batch) / int64(views)
	p.EncodeFLOPs = count(func() { n.classify(n.group(views, modality)) }) / int64(views)

	full, err := newNetwork(engine.NewCounting(), m, views, Training, boundless(m))
	if err != nil {
		return Plan{}, err
	}
	full.rehearse()
	p.Activations = full.cx.Arena.Peak().Bytes()
	return p, nil
}

// KeptBytes returns what the features of training and validation clips take that a run
// with a frozen encoder keeps.
func KeptBytes(m Model, trained, validated int, modality vit.Modality) (int64, error) {
	n, err := newNetwork(engine.NewCounting(), m, 1, Scoring, boundless(m))
	if err != nil {
		return 0, err
	}
	inputs := Inputs(modality)
	return n.keepBytes(trained, inputs[:1]) + n.keepBytes(validated, inputs), nil
}
