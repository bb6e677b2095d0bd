package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"avjepa/internal/config"
	"avjepa/internal/engine"
	"avjepa/internal/report"
	"avjepa/internal/train"
)

// Bounds on the training of a demo. An epoch of a handful of clips is next to
// nothing, so one's own videos are trained on for some steps at least.
const (
	evaluateSeconds = 25 // kept back for evaluation and the report
	leastSteps      = 20
	ownSteps        = 200
)

// pretrain trains, for as many steps as the minutes allow.
func (d *demo) pretrain(ctx context.Context) error {
	c := d.cfg
	set, err := openSplit(ctx, c.Data.Dir, c.Data.Split, d.p)
	if err != nil {
		return err
	}
	if set.Len() < 2 {
		return fmt.Errorf("too few clips with picture and sound to train on (%d): the demo needs at "+
			"least 2, and some hundreds to learn anything", set.Len())
	}
	if set.Len() < c.Train.BatchSize {
		if err := d.choose("train.batch_size", set.Len()); err != nil {
			return err
		}
	}
	if d.sum.Clips[c.Eval.Split] == 0 {
		d.p.say("no clip in split %q to measure on: measuring on those trained on", c.Eval.Split)
		if err := d.choose("eval.split", c.Data.Split); err != nil {
			return err
		}
	}
	run, err := train.Open(d.dir())
	if err != nil {
		return err
	}
	defer run.Close()
	if d.fresh {
		if err := removeCheckpoints(run); err != nil {
			return err
		}
	}
	if err := useStats(ctx, c, set, d.p); err != nil {
		return err
	}
	e, err := openEngine(c)
	if err != nil {
		return err
	}
	defer e.Close()
	if _, err := train.Latest(d.dir()); errors.Is(err, train.ErrNoCheckpoint) {
		err = d.fit(e, set.Len())
		if err != nil {
			return err
		}
	} else if err := d.readSteps(); err != nil {
		return err
	}
	d.sum.Pretrain, err = trainIn(ctx, run, c, true, e, nil, set, d.p)
	return err
}

// fit shortens the schedule when the machine is too slow for the whole.
func (d *demo) fit(e engine.Engine, clips int) error {
	jc, err := d.cfg.JEPAConfig()
	if err != nil {
		return configError(err)
	}
	perStep, err := stepSeconds(e, jc, d.cfg.Train.BatchSize, 3*time.Second)
	if err != nil {
		return err
	}
	steps := d.cfg.TrainConfig(clips).Schedule.Steps
	if d.own && d.cfg.Train.Steps == 0 {
		steps = max(steps, ownSteps)
	}
	left := d.minutes*60 - time.Since(d.start).Seconds() - evaluateSeconds
	if most := max(leastSteps, int(left/(perStep*1.1))); most < steps {
		d.p.say("%.2f s a step: training %d steps instead of %d to end within %g minutes "+
			"(--minutes)", perStep, most, steps, d.minutes)
		steps = most
	}
	return d.choose("train.steps", steps)
}

// readSteps takes the length of an interrupted run from its configuration, unless
// it was asked for: fit may have chosen it, on a machine that was busier or idler.
func (d *demo) readSteps() error {
	if strings.HasPrefix(d.cfg.Origin("train.steps"), "flag") {
		return nil
	}
	old := config.New()
	if err := old.ApplyFile(filepath.Join(d.dir(), "config.toml")); err != nil {
		return configError(err)
	}
	return d.choose("train.steps", old.Train.Steps)
}

// removeCheckpoints makes a run begin again: its log starts anew by itself.
func removeCheckpoints(run *train.Folder) error {
	paths, err := train.Checkpoints(run.Dir)
	if err != nil {
		return err
	}
	for _, path := range paths {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return os.RemoveAll(filepath.Join(run.Dir, report.SamplesDir))
}
