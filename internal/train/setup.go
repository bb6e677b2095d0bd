package train

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"

	"avjepa/internal/checkpoint"
	"avjepa/internal/dataset"
	"avjepa/internal/engine"
	"avjepa/internal/jepa"
	"avjepa/internal/loader"
	"avjepa/internal/optim"
)

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
