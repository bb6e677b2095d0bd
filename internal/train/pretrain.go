package train

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"time"

	"avjepa/internal/checkpoint"
	"avjepa/internal/dataset"
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

	// Saved, when set, is called after a checkpoint was written, while nothing else uses the
	// model; it may embed with it. Not in a group, and not after an interrupt.
	Saved func(ctx context.Context, step int) error
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

	evaluating time.Duration // of this process's probes, and in Saved

	compute func()  // queues a step and the optimiser's, made once
	lr      float64 // of the step that compute queues
}

// begin allocates what a run needs and goes to the last checkpoint.
func begin(ctx context.Context, run *Folder, e engine.Engine, model *jepa.Model,
	clips *loader.Clips, cfg Config) (*trainer, error) {
	plan, err := jepa.PlanTraining(model.Config, cfg.BatchSize)
	if err != nil {
		return nil, err
	}
	t := &trainer{cfg: cfg, run: run, engine: e, model: model, saved: -1,
		together: together{group: model.Group(), stopper: -1},
		data:     fingerprint(clips.Set, &cfg), flops: float64(plan.StepFLOPs),
		epoch: max(1, loader.StepsPerEpoch(clips.Set.Len(), cfg.BatchSize))}
	if run != nil {
		t.dir = run.Dir
	}
	err = t.allocate(clips)
	if t.group != nil {
		err = t.agree(ctx, clips, err)
	}
	if err != nil {
		return nil, err
	}
	if err := t.open(clips); err != nil {
		if t.log != nil {
			t.log.close()
		}
		if t.probes != nil && t.probes.log != nil {
			t.probes.log.close()
		}
		return nil, err
	}
	return t, nil
}

// allocate makes moments and batch, and loads the newest checkpoint.
func (t *trainer) allocate(clips *loader.Clips) (err error) {
	if t.leads() {
		if err := t.run.removeTemporary(); err != nil {
			return err
		}
	}
	if t.opt, err = optim.New(t.engine, t.model.Params, t.cfg.Optim); err != nil {
		return err
	}
	if t.cfg.Probes != nil {
		if t.probes, err = newProber(&t.cfg, t.engine, t.model, clips.Set); err != nil {
			return err
		}
	}
	t.compute = t.newCompute()
	frames := engine.U8
	if clips.Maker.Config().FloatVideo() {
		frames = engine.F32
	}
	if err := t.allocateInput(frames); err != nil {
		return err
	}
	if !t.leads() {
		return nil
	}
	return t.resume()
}

// open begins to write the run and to make batches. On an error in one process all
// return one.
func (t *trainer) open(clips *loader.Clips) error {
	err := t.openRun()
	if t.group != nil {
		t.pending = err
		_, err = t.meet(message{})
	}
	if err != nil {
		return err
	}
	first, n := t.model.Clips()
	c := loader.Config{BatchSize: t.cfg.BatchSize, First: first, Slots: n, Seed: t.cfg.Seed,
		Workers: t.cfg.Workers, Lanes: t.cfg.Lanes, ShuffleBytes: t.cfg.ShuffleBytes}
	if t.cfg.Balanced {
		c.Weights = loader.Balanced(clips.Set)
	}
	t.loader, err = loader.New(clips, c, t.step)
	return err
}

// openRun writes the configuration and opens the log, where the process leads.
func (t *trainer) openRun() (err error) {
	if !t.leads() {
		return nil
	}
	if t.cfg.TOML != "" { // only now: a refused run keeps its own
		if err := t.run.Write("config.toml", []byte(t.cfg.TOML)); err != nil {
			return err
		}
	}
	if t.log, err = t.run.openLog(t.step); err != nil {
		return err
	}
	if t.probes == nil {
		return t.run.cutProbes(t.step)
	}
	t.probes.log, err = t.run.openProbes(t.step)
	return err
}

// resume loads the newest checkpoint, or refuses to write over one.
func (t *trainer) resume() error {
	path, err := Latest(t.run.Dir)
	if errors.Is(err, ErrNoCheckpoint) {
		return nil
	}
	if err != nil {
		return err
	}
	if !t.cfg.Resume {
		return fmt.Errorf("train: %w: %s: continue it with --resume, or choose another --name",
			ErrHasRun, path)
	}
	state, file, err := ReadState(path)
	if errors.Is(err, checkpoint.ErrFormat) {
		return fmt.Errorf("train: %w: %w: remove it to go on from the one before it",
			ErrMismatch, err)
	}
	if err != nil {
		return err
	}
	if state.Data != t.data || state.Seed != t.cfg.Seed {
		return fmt.Errorf("train: %w: %s was made with other clips, batches, order or "+
			"seed (%s, seed %d; now %s, seed %d): resume with those, or choose another --name",
			ErrMismatch, path, state.Data, state.Seed, t.data, t.cfg.Seed)
	}
	if err := Load(file, t.model, t.opt, state.Step); err != nil {
		return err
	}
	if t.probes != nil {
		if err := t.probes.resume(file, state); err != nil {
			return err
		}
		t.probes.evaluated = t.run.lastEvaluated(state.Step)
	}
	t.step, t.saved = state.Step, state.Step
	return nil
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
			err := t.save()
			if err == nil {
				err = t.tellSaved(ctx)
			}
			if err != nil {
				finish()
				return res, err
			}
		}
		if t.stopped(ctx) {
			break
		}
	}
	before := t.saved
	err := t.save()
	if err == nil && t.saved != before {
		err = t.tellSaved(ctx)
	}
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

// save sees to it that there is a checkpoint of the present step. On an error in one
// process all return one.
func (t *trainer) save() error {
	if t.saved == t.step || t.step == 0 {
		return nil
	}
	if t.group == nil {
		return t.write()
	}
	if t.leads() && t.pending == nil {
		t.pending = t.write()
	}
	if _, err := t.meet(message{}); err != nil {
		return err
	}
	t.saved = t.step
	return nil
}

// write writes a checkpoint of the present step.
func (t *trainer) write() error {
	state := State{Step: t.step, Seed: t.cfg.Seed, Config: t.cfg.TOML, Data: t.data}
	if t.probes != nil {
		state.Probes = t.probes.state()
	}
	w := newWriter(state)
	w.add(t.model.Params.Stored())
	w.add(t.opt.Stored())
	if t.probes != nil {
		w.add(t.probes.stored())
	}
	if err := w.write(checkpointName(t.dir, t.step)); err != nil {
		return err
	}
	t.saved = t.step
	if err := t.run.prune(t.cfg.Keep); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// fingerprint names the clips of a set and how they are dealt into batches: what
// a run must find unchanged to continue where it was. That is, in lanes, also where
// the clips lie; and for balanced epochs their labels.
func fingerprint(set *dataset.Set, c *Config) string {
	h := fnv.New64a()
	for i := 0; i < set.Len(); i++ {
		info := set.Info(i)
		fmt.Fprintf(h, "%s\x00%d\x00%d\x00", info.Key, info.FrameCount, info.SampleCount)
		if c.Lanes > 0 {
			fmt.Fprintf(h, "%d\x00%d\x00%d\x00", info.Shard, info.Offset, info.Bytes)
		}
		if c.Balanced {
			fmt.Fprintf(h, "%q\x00", info.Labels)
		}
	}
	text := fmt.Sprintf("%d clips %016x in batches of %d", set.Len(), h.Sum64(), c.BatchSize)
	if c.Lanes > 0 {
		text += fmt.Sprintf(", order shards in %d lanes of %d bytes in all", c.Lanes, c.ShuffleBytes)
	}
	if c.Balanced {
		text += ", balanced"
	}
	return text
}
