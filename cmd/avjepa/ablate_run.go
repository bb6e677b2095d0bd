package main

import (
	"context"

	"avjepa/internal/ablation"
	"avjepa/internal/jepa"
	"avjepa/internal/train"
)

// make trains a run to its end, from where it is, and measures it.
func (a *ablate) make(ctx context.Context, j *ablationRun) error {
	run, err := train.Open(j.dir)
	if err != nil {
		return err
	}
	defer run.Close()
	skipped, err := a.train(ctx, run, j)
	if err != nil {
		return err
	}
	log, err := train.ReadMetrics(j.dir)
	if err != nil {
		return err
	}
	ev, err := evaluate(ctx, j.dir, &evalOptions{split: j.cfg.Eval.Split, embedding: j.cfg.Eval.Embedding,
		windows: j.cfg.Eval.Windows, engine: j.cfg.Engine}, a.p)
	if err != nil {
		return err
	}
	probes, err := fitProbes(ctx, ev, a.p)
	if err != nil {
		return err
	}
	jc, err := j.cfg.JEPAConfig()
	if err != nil {
		return configError(err)
	}
	plan, err := jepa.PlanTraining(jc, j.cfg.Train.BatchSize)
	if err != nil {
		return err
	}
	res := &ablation.Result{Run: j.run.Name, Preset: j.run.Preset, Seed: j.seed, Lambda: j.cfg.Loss.Lambda,
		Parameters: plan.Parameters, Steps: len(log), Seconds: sumUp(log).seconds,
		End: ablation.EndOf(log), Retrieval: ev.metrics, Split: ev.opts.split,
		Embedding: ev.opts.embedding, Windows: ev.opts.windows}
	if len(log) > 0 {
		res.Epochs = log[len(log)-1].Epoch
	}
	if probes != nil {
		res.Probe = &ablation.Probe{Classes: probes.Classes, Both: probes.Both.Top1,
			Audio: probes.Audio.Top1, Video: probes.Video.Top1}
	}
	if err := run.WriteJSON(ablation.ResultName, res); err != nil {
		return err
	}
	return partial(skipped+len(ev.features.Skipped), j.cfg.Data.Dir)
}

// train takes the steps of a run that it has not taken, and returns how many clips could
// not be read.
func (a *ablate) train(ctx context.Context, run *train.Folder, j *ablationRun) (skipped int, err error) {
	set, err := openTraining(ctx, j.cfg, a.p)
	if err != nil {
		return 0, err
	}
	if err := useStats(ctx, j.cfg, set, a.p); err != nil {
		return 0, err
	}
	e, err := openEngine(j.cfg)
	if err != nil {
		return 0, err
	}
	defer e.Close()
	sum, err := trainIn(ctx, run, j.cfg, true, e, nil, set, a.p)
	if sum != nil {
		skipped = sum.Skipped
	}
	return skipped, err
}
