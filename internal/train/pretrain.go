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
	"avjepa/internal/view"
)

// Config says how a run is trained.
type Config struct {
	Seed            uint64
	BatchSize       int
	Schedule        optim.Schedule // Steps is the length of the run
	Optim           optim.Config
	Workers         int // goroutines that make views
	CheckpointEvery int // steps
	Keep            int // checkpoints
	Resume          bool
	TOML            string // the resolved configuration: config.toml, and in checkpoints
	StopAfter       int    // steps of this process, 0 for no bound; for tests of resuming
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
func Pretrain(ctx context.Context, run *Folder, e engine.Engine, model *jepa.Model,
	clips *loader.Clips, cfg Config, observe func(Metrics)) (Result, error) {
	t, err := begin(run, e, model, clips, cfg)
	if err != nil {
		return Result{}, err
	}
	defer t.loader.Close()
	res, err := t.loop(ctx, observe)
	res.Skipped = t.loader.Skipped()
	return res, errors.Join(err, t.log.close())
}

// trainer is a run in progress.
type trainer struct {
	cfg    Config
	run    *Folder
	engine engine.Engine
	model  *jepa.Model
	opt    *optim.AdamW
	batch  *jepa.Batch
	loader *loader.Loader
	log    *metricsLog
	data   string
	step   int // steps taken
	saved  int // step of the last checkpoint, −1 for none
	epoch  int // steps of one
	flops  float64
}

// begin allocates what a run needs and goes to the last checkpoint.
func begin(run *Folder, e engine.Engine, model *jepa.Model, clips *loader.Clips,
	cfg Config) (*trainer, error) {
	plan, err := jepa.PlanTraining(model.Config, cfg.BatchSize)
	if err != nil {
		return nil, err
	}
	t := &trainer{cfg: cfg, run: run, engine: e, model: model, saved: -1,
		data: fingerprint(clips.Set, cfg.BatchSize), flops: float64(plan.StepFLOPs),
		epoch: max(1, loader.StepsPerEpoch(clips.Set.Len(), cfg.BatchSize))}
	if err := run.removeTemporary(); err != nil {
		return nil, err
	}
	if t.opt, err = optim.New(e, model.Params, cfg.Optim); err != nil {
		return nil, err
	}
	frames := engine.U8
	if clips.Maker.Config().FloatVideo() {
		frames = engine.F32
	}
	if t.batch, err = model.NewBatch(frames); err != nil {
		return nil, err
	}
	if err := t.resume(); err != nil {
		return nil, err
	}
	if cfg.TOML != "" { // only now: a refused run keeps its own
		if err := run.Write("config.toml", []byte(cfg.TOML)); err != nil {
			return nil, err
		}
	}
	if t.log, err = run.openLog(t.step); err != nil {
		return nil, err
	}
	t.loader, err = loader.New(clips,
		loader.Config{BatchSize: cfg.BatchSize, Seed: cfg.Seed, Workers: cfg.Workers}, t.step)
	if err != nil {
		t.log.close()
		return nil, err
	}
	return t, nil
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
		return fmt.Errorf("train: %w: %s was made with other clips, batches or seed "+
			"(%s, seed %d; now %s, seed %d): resume with those, or choose another --name",
			ErrMismatch, path, state.Data, state.Seed, t.data, t.cfg.Seed)
	}
	if err := Load(file, t.model, t.opt, state.Step); err != nil {
		return err
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
			res.GFLOPS = t.flops * float64(taken) / res.Seconds / 1e9
			res.WaitShare = wait.Seconds() / res.Seconds
		}
		if t.saved >= 0 {
			res.Checkpoint = t.run.checkpointName(t.saved)
		}
	}
	for t.step < t.cfg.Schedule.Steps {
		if t.cfg.StopAfter > 0 && t.step-res.First == t.cfg.StopAfter {
			break
		}
		m, waited, err := t.one(ctx)
		if err != nil {
			if stop := ctx.Err(); stop != nil && errors.Is(err, stop) {
				break // interrupted while waiting for data
			}
			finish()
			return res, err
		}
		wait += waited
		if observe != nil {
			observe(m)
		}
		if t.cfg.CheckpointEvery > 0 && t.step%t.cfg.CheckpointEvery == 0 {
			if err := t.save(); err != nil {
				finish()
				return res, err
			}
		}
		if ctx.Err() != nil {
			break
		}
	}
	if err := t.save(); err != nil {
		finish()
		return res, err
	}
	finish()
	if ctx.Err() != nil {
		return res, context.Cause(ctx)
	}
	return res, nil
}

// one takes one step and logs it.
func (t *trainer) one(ctx context.Context) (Metrics, time.Duration, error) {
	start := time.Now()
	b, waited, err := t.loader.Next(ctx)
	if err != nil {
		return Metrics{}, 0, err
	}
	t.upload(b)
	lr := t.cfg.Schedule.At(t.step)
	t.model.Step(t.batch, t.step)
	t.opt.Step(lr, t.model.GradSquare())
	l := t.model.Losses()
	if err := t.engine.Sync(); err != nil {
		return Metrics{}, 0, fmt.Errorf("train: step %d: %w", t.step+1, err)
	}
	t.step++
	took := max(time.Since(start), time.Nanosecond).Seconds() // clocks may be coarse
	m := Metrics{
		Step: t.step, Epoch: float64(t.step) / float64(t.epoch),
		Total: l.Total, Invariance: l.Invariance, SIGReg: l.SIGReg, Std: l.EmbedStd,
		LR: lr, GradNorm: l.GradNorm, Seconds: took,
		ClipsPerS: float64(t.cfg.BatchSize) / took, GFLOPS: t.flops / took / 1e9,
		WaitShare: waited.Seconds() / took,
	}
	// x−x is 0 for finite x alone. A line of the log cannot hold any other.
	if sum := l.Total + l.Invariance + l.SIGReg + l.EmbedStd + l.GradNorm; sum-sum != 0 {
		return m, waited, t.notFinite(m)
	}
	return m, waited, t.log.add(&m)
}

// notFinite is the error of a diverged step: the step's parameters are lost,
// the last checkpoint is not.
func (t *trainer) notFinite(m Metrics) error {
	kept := "none has been saved yet"
	if t.saved >= 0 {
		kept = t.run.checkpointName(t.saved) + " is kept"
	}
	return fmt.Errorf("train: %w at step %d: total %v, invariance %v, SIGReg %v, gradient norm %v; "+
		"lower train.lr (%g) or train.clip and resume (%s)",
		ErrNotFinite, m.Step, m.Total, m.Invariance, m.SIGReg, m.GradNorm, t.cfg.Schedule.Base, kept)
}

// upload moves a batch to the device.
func (t *trainer) upload(b *view.Batch) {
	put := func(dst engine.Tensor, pixels []byte, values []float32) {
		switch {
		case dst.Nil():
		case dst.DType() == engine.U8:
			t.engine.UploadBytes(dst, pixels)
		default:
			t.engine.Upload(dst, values)
		}
	}
	put(t.batch.GlobalVideo, b.GlobalVideo, b.GlobalVideoF)
	put(t.batch.LocalVideo, b.LocalVideo, b.LocalVideoF)
	put(t.batch.GlobalAudio, nil, b.GlobalAudio)
	put(t.batch.LocalAudio, nil, b.LocalAudio)
}

// save writes a checkpoint of the present step unless there is one.
func (t *trainer) save() error {
	if t.saved == t.step || t.step == 0 {
		return nil
	}
	err := Save(t.run.checkpointName(t.step), t.model, t.opt,
		State{Step: t.step, Seed: t.cfg.Seed, Config: t.cfg.TOML, Data: t.data})
	if err != nil {
		return err
	}
	t.saved = t.step
	if err := t.run.prune(t.cfg.Keep); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// fingerprint names the clips of a set and how they are dealt into batches: what
// a run must find unchanged to continue where it was.
func fingerprint(set *dataset.Set, batch int) string {
	h := fnv.New64a()
	for i := 0; i < set.Len(); i++ {
		info := set.Info(i)
		fmt.Fprintf(h, "%s\x00%d\x00%d\x00", info.Key, info.FrameCount, info.SampleCount)
	}
	return fmt.Sprintf("%d clips %016x in batches of %d", set.Len(), h.Sum64(), batch)
}
