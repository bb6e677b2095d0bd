package train

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"maps"
	"strings"

	"avjepa/internal/engine"
	"avjepa/internal/jepa"
	"avjepa/internal/loader"
	"avjepa/internal/probe"
)

// ErrStopped is behind the error of a process that ended because another one's
// context was cancelled. The run was saved, as by an interrupt of its own.
var ErrStopped = errors.New("run was stopped")

// together is what a trainer needs of the processes that train with it. A zero one
// is alone.
//
// All processes take the same steps and meet once in each, after its work, to tell
// what went wrong, whether to stop, and their share of the losses. So a process that
// fails takes part in the step's averages to its end, for the others wait for it,
// and then all end together: nothing of that step is logged or saved. Only process 0
// has the run folder.
type together struct {
	group   engine.Group
	dir     string            // process 0's run folder, for messages
	pending error             // what went wrong here and has not been told
	stopper int               // process that was asked to stop; −1 for none
	skipped map[string]string // clips that other processes could not read
}

// leads reports whether this process has the run folder.
func (t *trainer) leads() bool { return t.group == nil || t.group.Rank() == 0 }

// message is what processes tell each other.
type message struct {
	Fault   string    // what went wrong in the process
	Stop    bool      // its context was cancelled
	Numbers []float32 // its share of a step's losses
	Probes  []float32 // and of its online probes'

	Facts []fact // before training: what must be the same in all
	Dir   string // process 0's run folder
	Step  int    // and where it stands

	ProbeSteps, Evaluated int // of its online probes, and their last evaluation's

	Scores *scores // of its share of the held-out clips

	Skipped map[string]string // at the end
}

// fact is something that processes must agree on.
type fact struct{ Name, Value string }

// meet tells m to all processes, with what is pending here, and returns what each
// tells. All return an error when one has a fault, and when one is lost.
func (t *trainer) meet(m message) ([]message, error) {
	if t.pending != nil {
		m = message{Fault: t.pending.Error()}
	}
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(m); err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	texts, err := t.group.Exchange(b.Bytes())
	if err == nil {
		err = t.group.Err()
	}
	if err != nil {
		return nil, errors.Join(t.pending, t.lost(err))
	}
	all := make([]message, len(texts))
	for rank, text := range texts {
		if err := gob.NewDecoder(bytes.NewReader(text)).Decode(&all[rank]); err != nil {
			return nil, fmt.Errorf("train: what process %d says: %w: start the same program in all",
				rank, err)
		}
	}
	if t.pending != nil {
		return nil, t.pending
	}
	for rank, o := range all {
		if o.Fault != "" {
			return nil, fmt.Errorf("train: process %d failed: %s (%s)", rank, o.Fault, t.kept())
		}
		if o.Stop && t.stopper < 0 {
			t.stopper = rank
		}
	}
	return all, nil
}

// lost is the error of a group that lost a process: the parameters in memory are
// undefined then.
func (t *trainer) lost(err error) error {
	return fmt.Errorf("train: step %d: %w; %s: continue with --resume, on any number of processes "+
		"by which train.batch_size (%d) divides", t.step+1, err, t.kept(), t.cfg.BatchSize)
}

// kept says what there is to resume from.
func (t *trainer) kept() string {
	if t.saved < 0 {
		return "none has been saved yet"
	}
	return checkpointName(t.dir, t.saved) + " is kept"
}

// agree sees to it that all processes begin the same run at process 0's step with its
// values. err is what went wrong in this one so far.
func (t *trainer) agree(ctx context.Context, clips *loader.Clips, err error) error {
	t.pending = err
	m := message{Facts: t.facts(clips), Step: t.step, Dir: t.dir, Stop: ctx.Err() != nil}
	if t.probes != nil {
		m.ProbeSteps, m.Evaluated = t.probes.opt.Taken, t.probes.evaluated
	}
	all, err := t.meet(m)
	if err != nil {
		return err
	}
	for rank, o := range all {
		if err := differ(all[0].Facts, o.Facts, rank); err != nil {
			return err
		}
	}
	t.step, t.dir, t.opt.Taken = all[0].Step, all[0].Dir, all[0].Step
	t.model.Params.Broadcast(t.group)
	if t.step > 0 { // else the moments are zeros
		t.saved = t.step
		t.opt.Broadcast(t.group)
	}
	if t.probes != nil {
		t.probes.broadcast(t.group, all[0].ProbeSteps, all[0].Evaluated)
	}
	return nil
}

// facts returns what all processes must be given alike.
func (t *trainer) facts(clips *loader.Clips) []fact {
	c := &t.cfg
	value := func(v any) string { return fmt.Sprintf("%+v", v) }
	all := []fact{{"data", t.data}, {"seed", value(c.Seed)}, {"batch size", value(c.BatchSize)},
		{"schedule", value(c.Schedule)}, {"optimiser", value(c.Optim)},
		{"model", value(t.model.Config)}, {"views", value(clips.Maker.Config())},
		{"steps between checkpoints", value(c.CheckpointEvery)}, {"last step", value(c.StopAfter)}}
	if t.probes != nil {
		all = append(all, t.probes.fact())
	}
	return all
}

// differ returns an error that names the first fact in which process rank differs
// from process 0, and what differs in it.
func differ(first, other []fact, rank int) error {
	for i, f := range first {
		if i >= len(other) || other[i].Name != f.Name {
			return fmt.Errorf("train: process %d runs another program than process 0: start the same "+
				"one in all", rank)
		}
		if o := other[i]; o.Value != f.Value {
			a, b := difference(f.Value, o.Value)
			return fmt.Errorf("train: processes do not agree on the %s: process 0 has %s, process %d %s: "+
				"give all of them the same configuration and data", f.Name, a, rank, b)
		}
	}
	return nil
}

// shownFact is the length up to which differing values are shown whole.
const shownFact = 80

// difference returns two texts, or when they are long the first words that differ.
func difference(a, b string) (string, string) {
	x, y := strings.Fields(a), strings.Fields(b)
	if max(len(a), len(b)) <= shownFact {
		return a, b
	}
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return x[i], y[i]
		}
	}
	return fmt.Sprintf("%d values", len(x)), fmt.Sprintf("%d", len(y))
}

// losses waits for the step and returns its numbers, those of the whole batch; of the
// probes' too, if there are any.
func (t *trainer) losses(ctx context.Context) (l jepa.Losses, p probe.OnlineLosses, err error) {
	if t.group == nil {
		l = t.model.Losses()
		if t.probes != nil {
			p = t.probes.online.Losses()
		}
		return l, p, t.faultOf(t.engine.Sync())
	}
	m := message{Numbers: t.model.Numbers(), Stop: ctx.Err() != nil}
	if t.probes != nil {
		m.Probes = t.probes.online.Numbers()
	}
	if err := t.faultOf(t.engine.Sync()); t.pending == nil && t.group.Err() == nil {
		t.pending = err
	}
	all, err := t.meet(m)
	if err != nil {
		return l, p, err
	}
	numbers, probes := make([][]float32, len(all)), make([][]float32, len(all))
	for rank := range all {
		numbers[rank], probes[rank] = all[rank].Numbers, all[rank].Probes
	}
	if l, err = t.model.Combine(numbers); err == nil && t.probes != nil {
		p, err = t.probes.online.Combine(probes)
	}
	return l, p, err
}

// faultOf names the step in an engine's error.
func (t *trainer) faultOf(err error) error {
	if err != nil {
		err = fmt.Errorf("train: step %d: %w", t.step+1, err)
	}
	return err
}

// stopped reports whether to end the run after this step: all processes find the
// same.
func (t *trainer) stopped(ctx context.Context) bool {
	if t.group == nil {
		return ctx.Err() != nil
	}
	return t.stopper >= 0
}

// stopError returns why a stopped run ended, nil for one that was not.
func (t *trainer) stopError(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if t.group != nil && t.stopper >= 0 {
		return fmt.Errorf("train: %w: process %d was interrupted", ErrStopped, t.stopper)
	}
	return nil
}

// end tells all processes which clips each could not read.
func (t *trainer) end() error {
	if t.group == nil {
		return nil
	}
	m := message{Skipped: map[string]string{}}
	for key, err := range t.skippedHere() {
		m.Skipped[key] = err.Error()
	}
	all, err := t.meet(m)
	if err != nil {
		return err
	}
	t.skipped = map[string]string{}
	for _, o := range all {
		maps.Copy(t.skipped, o.Skipped)
	}
	return nil
}

// unread returns the clips that could not be read, here or in another process.
func (t *trainer) unread() map[string]error {
	out := t.skippedHere()
	for key, text := range t.skipped {
		if out[key] == nil {
			out[key] = errors.New(text)
		}
	}
	return out
}

// skippedHere returns the clips that this process could not read.
func (t *trainer) skippedHere() map[string]error {
	out := t.loader.Skipped()
	if t.probes != nil {
		maps.Copy(out, t.probes.skipped)
	}
	return out
}
