package train

import (
	"fmt"
	"hash/fnv"

	"avjepa/internal/checkpoint"
	"avjepa/internal/dataset"
	"avjepa/internal/engine"
	"avjepa/internal/jepa"
	"avjepa/internal/loader"
	"avjepa/internal/nn"
	"avjepa/internal/optim"
	"avjepa/internal/probe"
)

// Probes says how classifiers learn beside the encoder, from its features alone: they
// show how a run is doing, and change nothing of it. The clips need labels: see Labels.
type Probes struct {
	probe.OnlineConfig
	LR      float64        // peak; follows the encoder's schedule
	Every   int            // steps between evaluations, 0 for an epoch; the last step has one too
	HeldOut *loader.Clips  // clips with labels that are evaluated
	Clips   int            // most of them, drawn by the run's seed; 0 for all
	Observe func(ProbeLog) // called with every evaluation, unless nil

	// Say is told, in a sentence, when probes start anew in a run that is resumed,
	// unless it is nil.
	Say func(text string)
}

// Labels returns what probes need to know of a set's labels: the number of classes, and
// whether clips have more than one. Every clip must have one.
func Labels(set *dataset.Set) (classes int, several bool, err error) {
	bare, first := 0, ""
	for i := range set.Len() {
		switch n := len(set.Labels(i)); {
		case n > 1:
			several = true
		case n == 0:
			if bare++; first == "" {
				first = set.Key(i)
			}
		}
	}
	const mend = "ingest them from folders named by class or from a list with labels, or train " +
		"without online probes (probe.online=false)"
	if bare == set.Len() {
		return 0, false, fmt.Errorf("train: none of the %d clips has a label, which online probes "+
			"learn to tell: %s", bare, mend)
	}
	if bare > 0 {
		return 0, false, fmt.Errorf("train: %d of %d clips have no label, which online probes "+
			"learn to tell (the first is %.80q): %s", bare, set.Len(), first, mend)
	}
	if classes = len(set.Classes()); classes < 2 {
		return 0, false, fmt.Errorf("train: all clips have the label %.80q, and online probes are to "+
			"tell classes apart: %s", set.Labels(0)[0], mend)
	}
	return classes, several, nil
}

// prober is the probes of a run in progress.
type prober struct {
	Probes
	online   *probe.Online
	opt      *optim.AdamW
	schedule optim.Schedule
	set      *dataset.Set // trained on
	classes  string       // fingerprint of the classes, in their order
	lr       float64      // of the step that is queued
	one      []int        // classes of a clip

	pick      []int // held-out clips that are evaluated
	evaluated int   // step of the last evaluation; −1 for none
	log       *probeLog
	scorer
}

// newProber returns the probes of a run for steps of batch clips of this process.
func newProber(c *Config, e engine.Engine, model *jepa.Model, set *dataset.Set) (*prober, error) {
	_, batch := model.Clips()
	p := &prober{Probes: *c.Probes, schedule: c.Schedule, set: set, evaluated: -1,
		classes: classesOf(set)}
	p.schedule.Base = p.LR
	var err error
	if p.online, err = probe.NewOnline(e, p.OnlineConfig, model.Config, c.Seed, batch); err != nil {
		return nil, err
	}
	if p.opt, err = optim.New(e, p.online.Params, probe.OnlineOptim()); err != nil {
		return nil, err
	}
	for i := range set.Len() { // all of them now, so that no step can fail
		if err := p.label(0, set, i); err != nil {
			return nil, fmt.Errorf("train: clip %s: %w", set.Key(i), err)
		}
	}
	return p, p.openHeldOut(c, e, model)
}

// label notes the classes of clip i of a set as those of a place in the batch.
func (p *prober) label(place int, set *dataset.Set, i int) error {
	p.one = p.one[:0]
	for _, l := range set.Labels(i) {
		p.one = append(p.one, set.Class(l))
	}
	return p.online.Label(place, p.one)
}

// labels notes the classes of the clips of a batch to come.
func (p *prober) labels(keys []string) {
	for i, key := range keys {
		if err := p.label(i, p.set, p.set.Find(key)); err != nil {
			panic("train: clip " + key + ": " + err.Error()) // newProber has tried
		}
	}
}

// step queues a step of the probes behind the encoder's. In a group the gradients are
// averaged: all processes take the same step.
func (p *prober) step(model *jepa.Model) {
	p.online.Train(model.Features())
	if g := model.Group(); g != nil {
		g.Average(p.online.Params.Grads)
		g.Wait()
	}
	p.opt.Step(p.lr, engine.Tensor{})
}

// stored returns what a checkpoint holds of the probes.
func (p *prober) stored() []nn.Stored {
	return append(p.online.Params.Stored(), p.opt.Stored()...)
}

// state is what a checkpoint says of them beside the numbers.
func (p *prober) state() *ProbeState { return &ProbeState{Taken: p.opt.Taken, Classes: p.classes} }

// resume sets the probes to those of a checkpoint. Where it has none, or others, they
// keep their initial values.
func (p *prober) resume(f *checkpoint.File, s State) error {
	why := ""
	switch {
	case s.Probes == nil:
		why = "has none"
	case s.Probes.Classes != p.classes:
		why = "has those of other classes"
	default:
		arrays, err := Arrays(f)
		if err != nil {
			return err
		}
		if p.online.Params.Fits("", arrays) == nil && p.opt.Fits(arrays) == nil {
			if err := p.online.Params.Import(arrays); err != nil {
				return err
			}
			return p.opt.Import(arrays, s.Probes.Taken)
		}
		why = "has others"
	}
	if p.Say != nil {
		p.Say(fmt.Sprintf("online probes start anew: the checkpoint of step %d %s", s.Step, why))
	}
	return nil
}

// broadcast replaces values and moments by process 0's, which has taken some steps.
func (p *prober) broadcast(g engine.Group, taken, evaluated int) {
	p.online.Params.Broadcast(g)
	p.opt.Broadcast(g)
	p.opt.Taken, p.evaluated = taken, evaluated
}

// classesOf names the classes of a set, in their order, and their number.
func classesOf(set *dataset.Set) string {
	h := fnv.New64a()
	for _, c := range set.Classes() {
		fmt.Fprintf(h, "%s\x00", c.ID)
	}
	return fmt.Sprintf("%d classes %016x", len(set.Classes()), h.Sum64())
}

// fact is what all processes must be given alike of the probes.
func (p *prober) fact() fact {
	h := fnv.New64a()
	for i := range p.set.Len() {
		fmt.Fprintf(h, "%q\x00", p.set.Labels(i))
	}
	for _, i := range p.pick {
		fmt.Fprintf(h, "%s\x00%q\x00", p.HeldOut.Set.Key(i), p.HeldOut.Set.Labels(i))
	}
	return fact{"online probes", fmt.Sprintf("%+v lr %g every %d of %s and %d held-out clips %016x",
		p.OnlineConfig, p.LR, p.Every, p.classes, len(p.pick), h.Sum64())}
}
