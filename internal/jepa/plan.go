package jepa

import (
	"avjepa/internal/engine"
	"avjepa/internal/nn"
	"avjepa/internal/vit"
)

// Plan is what a model asks of a machine, counted by running the model's own
// code on an engine without memory. Sizes are bytes.
type Plan struct {
	Parameters  int   // trained values
	Values      int64 // parameters and running statistics
	Gradients   int64
	Moments     int64 // of AdamW
	Activations int64
	Inputs      int64 // one batch, with 8-bit frames
	Other       int64 // directions, reported numbers

	// StepFLOPs is the work of one step (or of one Embed) in matrix products and
	// attention by the convention of publications: recomputation not counted.
	// AgainFLOPs is what Recompute and MicroBatch make a step compute once more.
	StepFLOPs, AgainFLOPs int64

	arena engine.ArenaSize
}

// Total returns the bytes on the device.
func (p Plan) Total() int64 {
	return p.Values + p.Gradients + p.Moments + p.Activations + p.Inputs + p.Other
}

// boundless returns the size of an arena that is measured, not allocated.
func boundless(cfg Config) engine.ArenaSize {
	s := engine.ArenaSize{F32: 1 << 48}
	if cfg.Compute == engine.BF16 {
		s.BF16 = s.F32
	}
	return s
}

// PlanTraining counts a training step of batch clips.
func PlanTraining(cfg Config, batch int) (Plan, error) { return PlanProcess(cfg, batch, 1) }

// PlanProcess counts the share of one of several processes in a training step of
// batch clips over all of them, which must divide evenly.
func PlanProcess(cfg Config, batch, processes int) (Plan, error) {
	if err := divide(batch, processes); err != nil {
		return Plan{}, err
	}
	var g engine.Group
	if processes > 1 {
		g = planned(processes)
	}
	e := engine.NewCounting()
	m, err := newTrainer(e, cfg, 0, batch/processes, boundless(cfg), g)
	if err != nil {
		return Plan{}, err
	}
	p := m.plan()
	p.Gradients = int64(m.Params.Grads.Elems()) * 4
	p.Moments = 2 * p.Gradients
	p.Other = e.Counts.TotalBytes() - p.Values - p.Gradients - boundless(cfg).Bytes()
	before := e.Counts.TotalBytes()
	b, err := m.NewBatch(engine.U8)
	if err != nil {
		return Plan{}, err
	}
	p.Inputs = e.Counts.TotalBytes() - before
	m.StepDrawn(b, 0)
	p = p.measured(m, e)
	if cfg.Recompute || cfg.MicroBatch > 0 {
		cfg.Recompute, cfg.MicroBatch = false, 0
		plain, err := PlanProcess(cfg, batch, processes)
		if err != nil {
			return Plan{}, err
		}
		p.AgainFLOPs = p.StepFLOPs - plain.StepFLOPs
		p.StepFLOPs = plain.StepFLOPs
	}
	return p, nil
}

// PlanEmbedding counts embedding views views with both modalities at once.
func PlanEmbedding(cfg Config, views int) (Plan, error) {
	e := engine.NewCounting()
	m, err := newModel(e, cfg, 0, boundless(cfg), nn.WithoutGradients)
	if err != nil {
		return Plan{}, err
	}
	p := m.plan()
	before := e.Counts.TotalBytes()
	m.Globals, m.Locals, m.batch = 1, 0, views
	b, err := m.NewBatch(engine.U8)
	if err != nil {
		return Plan{}, err
	}
	p.Inputs = e.Counts.TotalBytes() - before
	m.Embed(vit.Group{Views: views, Video: b.GlobalVideo, Audio: b.GlobalAudio})
	p = p.measured(m, e)
	if !cfg.Dual { // a picture of attention may follow; its work is not an Embed's
		if _, err := m.QueryKey(); err != nil {
			return Plan{}, err
		}
		p.arena = m.arena.Peak()
		p.Activations = p.arena.Bytes()
	}
	return p, nil
}

func (m *Model) plan() Plan {
	p := Plan{Parameters: m.Params.Count(), Values: int64(m.Params.Values.Elems()) * 4}
	for _, b := range m.Params.Buffers() {
		p.Values += int64(b.Shape.Elems()) * 4
	}
	return p
}

func (p Plan) measured(m *Model, e *engine.Counting) Plan {
	p.arena = m.arena.Peak()
	p.Activations = p.arena.Bytes()
	p.StepFLOPs = e.Counts.ModelFLOPs()
	return p
}

// planned is a group of so many processes in which nothing happens.
type planned int

func (planned) Rank() int                              { return 0 }
func (g planned) Size() int                            { return int(g) }
func (planned) Average(engine.Tensor)                  {}
func (planned) Wait()                                  {}
func (planned) Broadcast(engine.Tensor)                {}
func (planned) Exchange(mine []byte) ([][]byte, error) { return [][]byte{mine}, nil }
func (planned) Err() error                             { return nil }
