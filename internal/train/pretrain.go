package train

import (
	"context"
	"errors"
	"fmt"
	"time"

	"avjepa/internal/engine"
	"avjepa/internal/jepa"
	"avjepa/internal/loader"
	"avjepa/internal/optim"
)

// Config says how a run is trained.
type Config struct {
	Seed            uint64
	BatchSize       int            // clips of a step, over all processes
	Schedule        optim.Schedule // Steps is the length of the run
	Optim           optim.Config
	Workers         int // goroutines that make views
	CheckpointEvery int // steps
	Keep            int // checkpoints
	Resume          bool
	TOML            string // the resolved configuration: config.toml, and in checkpoints
	StopAfter       int    // steps of this process, 0 for no bound; for tests of resuming

	// The order of clips: see loader.Config. Balanced draws them by loader.Balanced.
	Lanes        int
	ShuffleBytes int64
	Balanced     bool

	Probes *Probes // that learn beside the encoder; nil for none
}

// Result is how a run ended.
type Result struct {
	Steps      int              // taken in all
	First      int              // step this process began at
	Seconds    float64          // of this process
	WaitShare  float64          // of the time of the steps spent waiting for data
	GFLOPS     float64          // mean over this process's steps
	Checkpoint string           // the last one
	Skipped    map[string]error // clips that could not be read
}

// Errors of a run.
var (
	ErrNotFinite = errors.New("loss is not finite")
	ErrHasRun    = errors.New("run folder has checkpoints")
)

// Pretrain trains model on clips and logs into the run folder. It stops after
// the schedule's last step, on a cancelled context (after saving; the error is
// then the context's cause), or when the loss is not finite (ErrNotFinite; the
// last good checkpoint stays). observe is called after every step.
//
// In a group (jepa.NewInGroup) every process calls Pretrain with the same
// configuration and clips, and process 0 alone with a run folder, from which it also
// resumes; the others need none, nor its file system. All end after the same step:
// on an interrupt of any (ErrStopped in the others), and on an error of any.
func Pretrain(ctx context.Context, run *Folder, e engine.Engine, model *jepa.Model,
	clips *loader.Clips, cfg Config, observe func(Metrics)) (Result, error) {
	t, err := begin(ctx, run, e, model, clips, cfg)
	if err != nil {
		return Result{}, err
	}
	defer t.loader.Close()
	res, err := t.loop(ctx, observe)
	res.Skipped = t.unread()
	if t.log != nil {
		err = errors.Join(err, t.log.close())
	}
	if t.probes != nil && t.probes.log != nil {
		err = errors.Join(err, t.probes.log.close())
	}
	return res, err
}

// trainer is a run in progress.
type trainer struct {
	together
	cfg    Config
	run    *Folder // nil unless the process leads
	engine engine.Engine
	model  *jepa.Model
	opt    *optim.AdamW
	input
	probes *prober // nil without
	loader *loader.Loader
	log    *metricsLog // likewise
	data   string
	step   int // steps taken
	saved  int // step of the last checkpoint, −1 for none
	epoch  int // steps of one
	flops  float64

	evaluating time.Duration // of this process's probes

	compute func()  // queues a step and the optimiser's, made once
	lr      float64 // of the step that compute queues
}

// loop takes the steps.
func (t *trainer) loop(ctx context.Context, observe func(Metrics)) (Result, error) {
	res := Result{First: t.step, Steps: t.step}
	start, wait := time.Now(), time.Duration(0)
	finish := func() {
		res.Steps, res.Seconds = t.step, time.Since(start).Seconds()
		if taken := t.step - res.First; taken > 0 {
			stepping := res.Seconds - t.evaluating.Seconds()
			res.GFLOPS = t.flops * float64(taken) / stepping / 1e9
			res.WaitShare = wait.Seconds() / stepping
		}
		if t.saved >= 0 {
			res.Checkpoint = checkpointName(t.dir, t.saved)
		}
	}
	if err := t.evaluate(ctx); err != nil { // which an interrupt may have kept from being done
		finish()
		return res, err
	}
	for t.step < t.cfg.Schedule.Steps && (t.group == nil || !t.stopped(ctx)) {
		if t.cfg.StopAfter > 0 && t.step-res.First == t.cfg.StopAfter {
			break
		}
		m, waited, err := t.one(ctx)
		if err != nil {
			if stop := ctx.Err(); t.group == nil && stop != nil && errors.Is(err, stop) {
				break // interrupted while waiting for data
			}
			finish()
			return res, err
		}
		wait += waited
		if observe != nil {
			observe(m)
		}
		if err := t.evaluate(ctx); err != nil {
			finish()
			return res, err
		}
		if t.cfg.CheckpointEvery > 0 && t.step%t.cfg.CheckpointEvery == 0 {
			if err := t.save(); err != nil {
				finish()
				return res, err
			}
		}
		if t.stopped(ctx) {
			break
		}
	}
	err := t.save()
	if err == nil {
		err = t.end()
	}
	finish()
	if err != nil {
		return res, err
	}
	return res, t.stopError(ctx)
}

// one takes one step and logs it.
func (t *trainer) one(ctx context.Context) (Metrics, time.Duration, error) {
	start := time.Now()
	waited, err := t.take(ctx)
	if err != nil {
		return Metrics{}, 0, err
	}
	t.lr = t.cfg.Schedule.At(t.step)
	if t.probes != nil {
		t.probes.lr = t.probes.schedule.At(t.step)
	}
	t.compute()
	if t.ahead != nil && t.step+1 < t.cfg.Schedule.Steps {
		t.fetch(ctx) // while the device computes
	}
	l, p, err := t.losses(ctx)
	if err != nil {
		return Metrics{}, 0, err
	}
	t.step++
	took := max(time.Since(start), time.Nanosecond).Seconds() // clocks may be coarse
	m := Metrics{
		Step: t.step, Epoch: float64(t.step) / float64(t.epoch),
		Total: l.Total, Invariance: l.Invariance, SIGReg: l.SIGReg, Std: l.EmbedStd,
		LR: t.lr, GradNorm: l.GradNorm, Seconds: took,
		ClipsPerS: float64(t.cfg.BatchSize) / took, GFLOPS: t.flops / took / 1e9,
		WaitShare:   waited.Seconds() / took,
		ProbeLinear: p.Linear, ProbeAttentive: p.Attentive, ProbeUnimodal: p.Unimodal,
	}
	// x−x is 0 for finite x alone. A line of the log cannot hold any other.
	if sum := l.Total + l.Invariance + l.SIGReg + l.EmbedStd + l.GradNorm; sum-sum != 0 {
		return m, waited, t.notFinite(m)
	}
	if sum := p.Linear + p.Attentive + p.Unimodal; sum-sum != 0 {
		return m, waited, fmt.Errorf("train: %w at step %d: online probes have %v, %v and %v; lower "+
			"probe.lr (%g) and resume (%s)", ErrNotFinite, m.Step, p.Linear, p.Attentive, p.Unimodal,
			t.probes.LR, t.kept())
	}
	if !t.leads() {
		return m, waited, nil
	}
	err = t.log.add(&m)
	if t.group != nil {
		t.pending, err = err, nil // the others learn of it when all meet again
	}
	return m, waited, err
}

// newCompute returns what queues a step. Alone, on an engine that can record one, it
// is recorded; the averages of a group cannot be.
func (t *trainer) newCompute() func() {
	step := func() {
		t.model.Step(t.batch, t.step)
		t.opt.Step(t.lr, t.model.GradSquare())
		if t.probes != nil {
			t.probes.step(t.model)
		}
	}
	if t.group != nil {
		return step
	}
	return func() { engine.Record(t.engine, step) }
}

// notFinite is the error of a diverged step: the step's parameters are lost,
// the last checkpoint is not.
func (t *trainer) notFinite(m Metrics) error {
	return fmt.Errorf("train: %w at step %d: total %v, invariance %v, SIGReg %v, gradient norm %v; "+
		"lower train.lr (%g) or train.clip and resume (%s)",
		ErrNotFinite, m.Step, m.Total, m.Invariance, m.SIGReg, m.GradNorm, t.cfg.Schedule.Base, t.kept())
}
