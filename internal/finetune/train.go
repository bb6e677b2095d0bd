package finetune

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"avjepa/internal/engine"
	"avjepa/internal/loader"
	"avjepa/internal/nn"
	"avjepa/internal/optim"
	"avjepa/internal/train"
)

// Data is what a run learns from and is judged by. The makers of both give one global
// view and no local ones; all clips have a known label.
type Data struct {
	Train, Val *loader.Clips
	Labels     *Labels

	// Beside are arrays of the pretrained checkpoint that go into best.safetensors as they
	// are: its projector.
	Beside []nn.Stored
}

// Observer is told how a run goes on; every field may be nil.
type Observer struct {
	Step  func(m StepMetrics)
	Epoch func(m EpochMetrics)
	Work  func(what string, done, of int) // keeping features, validating
	Say   func(format string, args ...any)
}

// Outcome is how a run ended.
type Outcome struct {
	Steps, First int // taken in all; that this process began at
	PerEpoch     int // steps
	Kept         string
	KeptBytes    int64   // of features
	KeepSeconds  float64 // that making them took
	Seconds      float64 // of this process
	Best, Last   EpochMetrics
	Checkpoint   string // to go on from
	Skipped      map[string]error
}

// Ways of keeping features, as Outcome.Kept and messages have them.
const (
	KeptNot    = "not"
	KeptMemory = "memory"
	KeptFile   = "file"
)

// Train trains net in the run folder, in one process: it begins, or with cfg.Resume goes
// on from the newest checkpoint, bit for bit. Whatever ends it early, a cancelled context
// too, a checkpoint is saved; the error is then the context's cause. Errors are those of
// train.Pretrain: train.ErrHasRun, train.ErrMismatch, train.ErrNotFinite.
func Train(ctx context.Context, run *train.Folder, e engine.Engine, net *Network, data Data,
	cfg Config, see Observer) (Outcome, error) {
	t, err := begin(run, e, net, data, cfg, see)
	if err != nil {
		return Outcome{}, err
	}
	start := time.Now()
	err = t.run(ctx)
	res := t.result()
	res.Seconds = time.Since(start).Seconds()
	return res, errors.Join(err, t.close())
}

// trainer is a run in progress.
type trainer struct {
	cfg      Config
	see      Observer
	folder   *train.Folder
	engine   engine.Engine
	net      *Network
	data     Data
	perEpoch int
	steps    int

	head, backbone     *optim.AdamW // backbone is nil when frozen
	headLR, backboneLR optim.Schedule
	objective          Objective
	targets            []float32 // (B, C)
	mixer              *mixer
	loader             *loader.Loader
	orders             *loader.Orders
	train, val         *kept // nil where features are not kept
	rowOf              []int // clip of the training set → row of train
	how                Outcome

	log, epochs *os.File
	step, saved int
	dirty       bool // there is something to save since
	first       int
	progress    progress
	fingerprint string
}

// begin allocates what a run needs and goes to the last checkpoint.
func begin(run *train.Folder, e engine.Engine, net *Network, data Data, cfg Config,
	see Observer) (*trainer, error) {
	if err := cfg.validate(net); err != nil {
		return nil, err
	}
	if n := data.Train.Set.Len(); n < cfg.BatchSize {
		return nil, fmt.Errorf("finetune: %w: %d clips for batches of %d (finetune.batch_size)",
			loader.ErrNoClip, n, cfg.BatchSize)
	}
	t := &trainer{cfg: cfg, see: see, folder: run, engine: e, net: net, data: data, saved: -1,
		perEpoch: cfg.StepsPerEpoch(data.Train.Set.Len())}
	t.steps = t.perEpoch * cfg.Epochs
	t.headLR, t.backboneLR = cfg.schedules(t.steps)
	t.objective = Objective{Multi: data.Labels.Multi, Smoothing: cfg.Smoothing}
	if t.objective.Multi && cfg.PosWeight {
		t.objective.PosWeight = PosWeights(data.Labels.Positives(data.Train.Set), data.Train.Set.Len())
	}
	t.targets = make([]float32, cfg.BatchSize*net.Classes)
	if !cfg.Augment.none() {
		t.mixer = &mixer{Augment: cfg.Augment, view: data.Train.Maker.Config(), seed: cfg.Seed}
	}
	t.fingerprint = fmt.Sprintf("finetune: %s in batches of %d, judged by %s",
		data.Labels.fingerprint(data.Train.Set), cfg.BatchSize, data.Labels.fingerprint(data.Val.Set))
	if cfg.Balanced {
		t.fingerprint += ", balanced"
	}
	var err error
	if t.head, err = optim.New(e, net.Heads, cfg.HeadOptim); err != nil {
		return nil, err
	}
	if !net.Frozen {
		if t.backbone, err = optim.New(e, net.Backbone, cfg.BackboneOptim); err != nil {
			return nil, err
		}
	}
	net.Init(cfg.Seed)
	if err := t.resume(); err != nil {
		return nil, err
	}
	t.first = t.step
	return t, t.openLogs()
}

// run takes the steps, and validates after every epoch.
func (t *trainer) run(ctx context.Context) error {
	if err := t.openClips(ctx); err != nil {
		return err
	}
	for {
		if t.step > 0 && t.step%t.perEpoch == 0 && t.progress.Epochs < t.step/t.perEpoch {
			if err := t.endEpoch(ctx); err != nil {
				return errors.Join(err, t.save())
			}
		}
		if t.step == t.steps || t.cfg.StopAfter > 0 && t.step-t.first == t.cfg.StopAfter {
			return t.save()
		}
		err := context.Cause(ctx)
		if err == nil {
			err = t.one(ctx)
		}
		if errors.Is(err, train.ErrNotFinite) {
			return err // the last good checkpoint stays
		}
		if err != nil {
			return errors.Join(err, t.save())
		}
	}
}

// one takes one step and logs it.
func (t *trainer) one(ctx context.Context) error {
	start := time.Now()
	m := StepMetrics{LR: t.headLR.At(t.step)}
	var l Losses
	var waited time.Duration
	var err error
	if t.train != nil {
		l, err = t.keptStep()
	} else {
		l, waited, err = t.viewStep(ctx)
	}
	if err != nil {
		return err
	}
	square := t.net.GradSquare()
	if t.backbone != nil {
		m.BackboneLR = t.backboneLR.At(t.step)
		t.backbone.Step(m.BackboneLR, square)
	}
	t.head.Step(m.LR, square)
	var norm [1]float32
	t.engine.Download(norm[:], square)
	if err := t.engine.Sync(); err != nil {
		return fmt.Errorf("finetune: %w", err)
	}
	t.step++
	m.Step, m.Epoch = t.step, float64(t.step)/float64(t.perEpoch)
	m.Loss, m.Linear, m.Attentive = l.Total(), l.Linear, l.Attentive
	m.GradNorm = math.Sqrt(float64(norm[0]))
	m.Seconds = max(time.Since(start), time.Nanosecond).Seconds()
	m.ClipsPerS = float64(t.cfg.BatchSize) / m.Seconds
	m.WaitShare = waited.Seconds() / m.Seconds
	if sum := m.Loss + m.GradNorm; sum-sum != 0 {
		return fmt.Errorf("finetune: %w at step %d: loss %v, gradient norm %v; lower finetune.lr (%g) "+
			"and resume, or begin again under another --name", train.ErrNotFinite, m.Step, m.Loss,
			m.GradNorm, t.cfg.Head.Base)
	}
	t.progress.add(l)
	t.dirty = true
	if t.see.Step != nil {
		t.see.Step(m)
	}
	return appendLine(t.log, m)
}

func (t *trainer) say(format string, args ...any) {
	if t.see.Say != nil {
		t.see.Say(format, args...)
	}
}

func (t *trainer) work(what string, done, of int) {
	if t.see.Work != nil {
		t.see.Work(what, done, of)
	}
}

// close ends the loader, the logs and the kept features.
func (t *trainer) close() error {
	if t.loader != nil {
		t.loader.Close()
	}
	t.train.close()
	t.val.close()
	return errors.Join(t.log.Close(), t.epochs.Close())
}

// result is how the run stands.
func (t *trainer) result() Outcome {
	r := t.how
	r.Steps, r.First, r.PerEpoch, r.Best = t.step, t.first, t.perEpoch, t.progress.Best
	r.Last = t.progress.Last
	if t.saved >= 0 {
		r.Checkpoint = t.folder.Checkpoint(t.saved)
	}
	r.Skipped = map[string]error{}
	add := func(m map[string]error) {
		for k, err := range m {
			r.Skipped[k] = err
		}
	}
	if t.loader != nil {
		add(t.loader.Skipped())
	}
	if t.train != nil {
		add(t.train.skipped)
	}
	if t.val != nil {
		add(t.val.skipped)
	}
	add(t.progress.skipped)
	return r
}
