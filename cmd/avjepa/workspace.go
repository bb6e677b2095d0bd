package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"avjepa/internal/checkpoint"
	"avjepa/internal/config"
	"avjepa/internal/dataset"
	"avjepa/internal/embed"
	"avjepa/internal/encoder"
	"avjepa/internal/engine"
	"avjepa/internal/jepa"
	"avjepa/internal/loader"
	"avjepa/internal/train"
	"avjepa/internal/view"
)

// openSplit opens the clips of one split that have picture and sound. An empty
// split name means all clips.
func openSplit(ctx context.Context, dir, split string, p *progress) (*dataset.Set, error) {
	if dir == "" {
		return nil, usageError(errors.New("no data set: give --data DIR, a folder written by " +
			"avjepa ingest, or where it is: s3://bucket/name, https://host/name"))
	}
	set, err := openSet(ctx, dir, p)
	if err != nil {
		return nil, err
	}
	return selectSplit(set, dir, split)
}

// selectSplit is openSplit for a set that is open.
func selectSplit(set *dataset.Set, dir, split string) (*dataset.Set, error) {
	if split != "" {
		part := set.Select(split)
		if part.Len() == 0 {
			return nil, fmt.Errorf("%s has no clip in split %q: it has %s "+
				"(--split, data.split and eval.split choose)",
				dir, split, strings.Join(set.Splits(), ", "))
		}
		set = part
	}
	set = set.Where(func(f *dataset.Info) bool { return f.HasVideo() && f.HasAudio() })
	if set.Len() == 0 {
		return nil, fmt.Errorf("%s has no clip with both picture and sound in split %q", dir, split)
	}
	return set, nil
}

// newClips makes views of a set under a configuration.
func newClips(c *config.Config, set *dataset.Set) (*loader.Clips, error) {
	maker, err := view.NewMaker(c.ViewConfig())
	if err != nil {
		return nil, configError(err)
	}
	return loader.NewClips(set, maker, int64(c.Data.CacheMB)<<20), nil
}

// workers returns how many goroutines make views.
func workers(c *config.Config) int {
	if c.Data.Workers > 0 {
		return c.Data.Workers
	}
	return coresHere()
}

// runState is a trained model as a checkpoint holds it.
type runState struct {
	path  string // of the checkpoint
	cfg   *config.Config
	state train.State
	file  *checkpoint.File
	fit   jepa.Fit // of the values into the model that embeds
}

// openRun reads the best checkpoint of a run folder that knows one, else its newest, or a
// checkpoint file.
func openRun(path string) (*runState, error) {
	r, err := encoder.Read(path)
	if err != nil {
		return nil, modelError(err)
	}
	return &runState{path: r.Path, cfg: r.Config, state: r.State, file: r.File}, nil
}

// modelError marks an error of package encoder for the exit codes.
func modelError(err error) error {
	switch {
	case errors.Is(err, encoder.ErrCheckpoint):
		return kind{err, errCheckpoint}
	case errors.Is(err, encoder.ErrConfig):
		return configError(err)
	}
	return err
}

// embedViews is how many views run at once when embedding.
const embedViews = 64

// embed embeds the clips of a set with the run's encoder, in the given precision.
func (r *runState) embed(ctx context.Context, e engine.Engine, set *dataset.Set,
	precision string, cfg embed.Config, done func(n int)) (*embed.Features, *loader.Clips, error) {
	run := encoder.Run{Path: r.path, Config: r.cfg, State: r.state, File: r.file}
	model, fit, err := run.Model(e, embedViews)
	if err != nil {
		return nil, nil, modelError(err)
	}
	r.fit = fit
	defer model.Free()
	if precision == precisionInt8 {
		if err := model.Quantize(); err != nil {
			return nil, nil, kind{fmt.Errorf("%w (--precision chooses)", err), errEngine}
		}
	}
	clips, err := newClips(r.cfg, set)
	if err != nil {
		return nil, nil, err
	}
	cfg.Views, cfg.Workers = embedViews, workers(r.cfg)
	f, err := embed.Clips(ctx, e, model, clips, cfg, done)
	return f, clips, err
}
